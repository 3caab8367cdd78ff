"""Softmax regression against analytic answers, and what the base class promises."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping

from mi_lightning.checkpoint import class_path
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.data import AttFaces
from mi_lightning.errors import InputError


def fit(
    data: AttFaces, *, epochs: int = 5, seed: int = 0, callbacks: list | None = None, **arguments
) -> SoftmaxRegression:
    seed_everything(seed, verbose=False)
    classifier = SoftmaxRegression(
        input_shape=data.input_shape,
        num_classes=data.num_classes,
        class_names=data.class_names,
        input_range=data.input_range,
        **arguments,
    )
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(classifier, datamodule=data)
    trainer.test(classifier, datamodule=data, verbose=False)
    return classifier


def test_logits_are_the_affine_map(tiny_softmax: SoftmaxRegression) -> None:
    x = torch.rand(3, 1, 8, 6)
    weight, bias = tiny_softmax.head.weight, tiny_softmax.head.bias
    expected = torch.stack([(weight * image.reshape(1, -1)).sum(1) + bias for image in x])
    torch.testing.assert_close(tiny_softmax(x), expected)
    torch.testing.assert_close(tiny_softmax(x), tiny_softmax.head(tiny_softmax.features(x)))
    assert torch.equal(tiny_softmax.features(x), x.reshape(3, -1))


def test_gradient_to_the_input_is_that_of_a_linear_softmax(tiny_softmax: SoftmaxRegression) -> None:
    """d(-log p_k)/dx = W^T (p - e_k)."""
    x = torch.rand(4, 1, 8, 6, requires_grad=True)
    logits = tiny_softmax(x)
    logits.log_softmax(1).diagonal().sum().neg().backward()
    expected = (logits.softmax(1) - torch.eye(4)) @ tiny_softmax.head.weight
    torch.testing.assert_close(x.grad, expected.reshape(4, 1, 8, 6))


def test_untrained_gives_every_person_the_same_probability() -> None:
    classifier = SoftmaxRegression(input_shape=(1, 4, 4), num_classes=5)
    assert torch.equal(classifier(torch.rand(2, 1, 4, 4)).softmax(1), torch.full((2, 5), 0.2))
    assert classifier.class_names == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize("shape", [(2, 48), (2, 1, 6, 8), (1, 8, 6), (2, 3, 8, 6)])
def test_another_input_shape_is_refused(tiny_softmax: SoftmaxRegression, shape: tuple[int, ...]) -> None:
    given = ", ".join(map(str, shape))
    with pytest.raises(InputError, match=rf"^expected input of shape \(N, 1, 8, 6\), got \({given}\)$"):
        tiny_softmax(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"num_classes": 1}, r"num_classes >= 2, got 1 \(num_classes\)"),
        ({"input_shape": ()}, r"input_shape of positive sizes, got \(\)"),
        ({"input_shape": (1, 0)}, r"input_shape of positive sizes, got \(1, 0\)"),
        ({"input_range": (1.0, 0.0)}, r"low < high, got \(1\.0, 0\.0\)"),
        ({"class_names": ["a"]}, r"3 class_names, got 1"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        SoftmaxRegression(**({"input_shape": (1, 4, 4), "num_classes": 3} | arguments))


def test_fit_learns_the_people(faces: AttFaces) -> None:
    faster = {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1)}
    start = fit(faces, epochs=1, **faster).training_info
    end = fit(faces, epochs=40, **faster).training_info
    assert end["train_loss"] < 0.5 * start["train_loss"]
    assert end["test_accuracy"] == 1.0


def test_one_step_is_one_step_of_gradient_descent(face_folder) -> None:
    """From zero weights the gradient of the mean cross-entropy is (1/C - onehot)^T x / N."""
    data = AttFaces(root=str(face_folder), test_per_person=2, batch_size=12)
    data.setup()
    classifier = fit(data, epochs=1, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.3))
    onehot = torch.nn.functional.one_hot(data.train_y, 4).float()
    expected = -0.3 * (0.25 - onehot).T @ data.train_x.flatten(1) / 12
    torch.testing.assert_close(classifier.head.weight.detach(), expected)


def test_fit_is_reproducible_and_the_order_matters(face_folder, faces: AttFaces) -> None:
    first, again = fit(faces), fit(faces, seed=5)  # no draw of a softmax comes from the global state
    assert torch.equal(first.head.weight, again.head.weight)
    other = AttFaces(root=str(face_folder), test_per_person=2, batch_size=4, order_seed=9)
    assert not torch.equal(first.head.weight, fit(other).head.weight)


def test_reported_accuracy_is_that_of_the_test_images(faces: AttFaces) -> None:
    classifier = fit(faces, epochs=1)
    with torch.no_grad():
        logits = classifier(faces.test_x)
        train = classifier(faces.train_x)
    info = classifier.training_info
    assert info["test_accuracy"] == pytest.approx((logits.argmax(1) == faces.test_y).float().mean().item())
    assert info["test_loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, faces.test_y).item(), rel=1e-5)
    assert info["data"] == faces.describe()
    assert info["epochs"] == 1
    assert info["seconds"] > 0
    assert train.shape == (12, 4)


def test_early_stopping_watches_the_training_loss(faces: AttFaces) -> None:
    stop = EarlyStopping("train/loss", patience=2, min_delta=10.0, check_on_train_epoch_end=True)
    assert fit(faces, epochs=20, callbacks=[stop]).training_info["epochs"] == 3


def test_schedule_is_advanced_once_an_epoch(faces: AttFaces) -> None:
    rates = []

    def schedule(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        rates.append(optimizer.param_groups)
        return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)

    fit(faces, epochs=3, lr_scheduler=schedule, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.8))
    assert rates[0][0]["lr"] == pytest.approx(0.1)


def test_hyperparameters_are_plain(tiny_softmax: SoftmaxRegression) -> None:
    assert dict(tiny_softmax.hparams) == {
        "input_shape": [1, 8, 6],
        "num_classes": 4,
        "class_names": ["s1", "s2", "s3", "s4"],
        "input_range": [0.0, 1.0],
    }


def test_class_path_is_the_short_one() -> None:
    assert class_path(SoftmaxRegression) == "mi_lightning.classifiers.SoftmaxRegression"
