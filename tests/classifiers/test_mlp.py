"""The perceptron against a transcription, its gradients by hand, its initial weights against their moments."""

from __future__ import annotations

import math

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from mi_lightning.classifiers import MLP
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.data import AttFaces
from mi_lightning.errors import InputError


@pytest.fixture
def mlp() -> MLP:
    torch.manual_seed(0)
    return MLP(input_shape=(1, 8, 6), num_classes=4, hidden=7, init="normal", std=0.5).eval()


def test_logits_are_those_of_the_formula(mlp: MLP) -> None:
    x = torch.rand(3, 1, 8, 6)
    hidden = 1 / (1 + torch.exp(-(x.reshape(3, -1) @ mlp.body.weight.T + mlp.body.bias)))
    torch.testing.assert_close(mlp.features(x), hidden)
    torch.testing.assert_close(mlp(x), hidden @ mlp.head.weight.T + mlp.head.bias)


def test_gradient_to_the_input_is_the_chain_rule(mlp: MLP) -> None:
    """d(1 - p_k)/dx = p_k W1^T (h (1 - h) W2^T (p - e_k)): where p_k is 0 it vanishes."""
    x = torch.rand(4, 1, 8, 6, requires_grad=True)
    p = mlp(x).softmax(1)
    (1 - p.diagonal()).sum().backward()
    h = mlp.features(x)
    inner = h * (1 - h) * ((p - torch.eye(4)) @ mlp.head.weight)
    expected = p.diagonal()[:, None] * (inner @ mlp.body.weight)
    torch.testing.assert_close(x.grad, expected.reshape(4, 1, 8, 6).detach())


def test_sizes_of_the_paper() -> None:
    with torch.device("meta"):  # no need to draw 31 million weights for their shape
        mlp = MLP(input_shape=(1, 112, 92), num_classes=40)
    assert mlp.body.weight.shape == (3000, 10304)
    assert mlp.head.weight.shape == (40, 3000)


@pytest.mark.parametrize(
    ("init", "first", "second", "bound"),
    [
        # uniform within b has deviation b / sqrt(3); 600 inputs, 500 units, 400 people
        ("default", 1 / math.sqrt(3 * 600), 1 / math.sqrt(3 * 500), math.sqrt(3)),
        ("xavier", math.sqrt(2 / 1100), math.sqrt(2 / 900), math.sqrt(3)),
        ("normal", 0.05, 0.05, math.inf),
    ],
)
def test_initial_weights(init: str, first: float, second: float, bound: float) -> None:
    torch.manual_seed(1)
    mlp = MLP(input_shape=(1, 20, 30), num_classes=400, hidden=500, init=init, std=0.05)
    for layer, deviation in ((mlp.body.requires_grad_(False), first), (mlp.head.requires_grad_(False), second)):
        assert float(layer.weight.std()) == pytest.approx(deviation, rel=0.01)
        assert abs(float(layer.weight.mean())) < 0.01 * deviation
        furthest = float(layer.weight.abs().max()) / deviation
        assert furthest <= bound * 1.001 if bound < math.inf else furthest > 3.5  # a normal one has tails
        assert bool(layer.bias.any()) == (init == "default")


def test_initial_weights_come_from_the_seed() -> None:
    def draw(seed: int) -> torch.Tensor:
        seed_everything(seed, verbose=False)
        return MLP(input_shape=(1, 4, 4), num_classes=3, hidden=5, init="normal").body.weight

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


def test_checkpoint_keeps_every_setting(mlp: MLP, tmp_path) -> None:
    save_classifier(mlp, tmp_path / "mlp.ckpt")
    loaded = load_classifier(tmp_path / "mlp.ckpt")
    assert isinstance(loaded, MLP)
    assert (loaded.hidden, loaded.init, loaded.std) == (7, "normal", 0.5)
    x = torch.rand(2, 1, 8, 6)
    assert torch.equal(loaded(x), mlp(x))


def test_fit_learns_the_people(faces: AttFaces) -> None:
    seed_everything(0, verbose=False)
    mlp = MLP(
        input_shape=faces.input_shape,
        num_classes=faces.num_classes,
        hidden=30,
        init="normal",
        std=0.2,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, fused=True),
    )
    trainer = Trainer(
        max_epochs=60,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(mlp, datamodule=faces)
    trainer.test(mlp, datamodule=faces, verbose=False)
    assert mlp.training_info["train_loss"] < 0.1
    assert mlp.training_info["test_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"hidden": 0}, r"^expected hidden >= 1, got 0 \(hidden\)$"),
        ({"init": "he"}, r"^expected init default, normal or xavier, got he \(init\)$"),
        ({"std": 0.0}, r"^expected a finite std > 0, got 0\.0 \(std\)$"),
        ({"std": math.inf}, r"^expected a finite std > 0, got inf \(std\)$"),
        ({"std": math.nan}, r"^expected a finite std > 0, got nan \(std\)$"),
        ({"num_classes": 1}, r"^expected num_classes >= 2, got 1 \(num_classes\)$"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        MLP(**({"input_shape": (1, 4, 4), "num_classes": 3, "hidden": 5} | arguments))


def test_another_input_shape_is_refused(mlp: MLP) -> None:
    with pytest.raises(InputError, match=r"^expected input of shape \(N, 1, 8, 6\), got \(2, 48\)$"):
        mlp(torch.zeros(2, 48))
