"""Logistic regression: scikit-learn's own answers are the reference."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from sklearn.linear_model import LogisticRegression as Reference

from mi_lightning.classifiers import LogisticRegression
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.data import AttFaces
from mi_lightning.errors import InputError
from mi_lightning.targets import BlackBox, NumpyFunction, WhiteBox


def fit(data: AttFaces, *, epochs: int = 1, people: int | None = None, **arguments) -> LogisticRegression:
    classifier = LogisticRegression(input_shape=data.input_shape, num_classes=people or data.num_classes, **arguments)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(classifier, datamodule=data)
    trainer.test(classifier, datamodule=data, verbose=False)
    return classifier.eval()


def reference(data: AttFaces, **arguments) -> Reference:
    x, y = data.train_x.flatten(1).double().numpy(), data.train_y.numpy()
    return Reference(**({"max_iter": 1000} | arguments)).fit(x, y)


@pytest.mark.parametrize("c", [1.0, 0.01])
def test_confidences_are_those_of_scikit_learn(faces: AttFaces, c: float) -> None:
    classifier, theirs = fit(faces, c=c, tol=1e-8), reference(faces, C=c, tol=1e-8)
    x = faces.test_x.flatten(1).numpy()
    expected = theirs.predict_proba(x.astype(np.float64))
    assert np.abs(classifier.predict_proba(x) - expected).max() < 1e-6
    assert np.abs(classifier.predict_proba(faces.test_x.numpy()) - expected).max() < 1e-6
    with torch.no_grad():
        assert np.abs(classifier(faces.test_x).softmax(1).numpy() - expected).max() < 1e-6
        double = classifier.double()(faces.test_x.double()).softmax(1).numpy()
    assert np.abs(double - expected).max() < 1e-6


def test_the_penalty_is_that_of_c(faces: AttFaces) -> None:
    """At the minimum: sum of (p - onehot) x^T + W / c = 0; the biases are free."""
    classifier = fit(faces, c=0.1, tol=1e-10).double()
    x = faces.train_x.flatten(1).double()
    residual = classifier(faces.train_x.double()).softmax(1).detach() - torch.nn.functional.one_hot(faces.train_y, 4)
    torch.testing.assert_close(residual.T @ x, -classifier.head.weight.data / 0.1, atol=1e-4, rtol=1e-4)
    assert float(residual.sum(0).abs().max()) < 1e-4


def test_two_people(faces: AttFaces) -> None:
    """scikit-learn keeps one line of weights for two classes."""
    two = faces.train_y < 2
    faces.train_x, faces.train_y = faces.train_x[two], faces.train_y[two]
    two = faces.test_y < 2
    faces.test_x, faces.test_y = faces.test_x[two], faces.test_y[two]
    classifier, theirs = fit(faces, people=2, tol=1e-8), reference(faces, tol=1e-8)
    expected = theirs.predict_proba(faces.test_x.flatten(1).double().numpy())
    assert np.abs(classifier.predict_proba(faces.test_x.numpy()) - expected).max() < 1e-6


def test_one_fit_trains_it_whatever_the_batches(face_folder: Path) -> None:
    def trained(batch_size: int, epochs: int) -> LogisticRegression:
        data = AttFaces(root=str(face_folder), test_per_person=2, batch_size=batch_size)
        data.setup()
        return fit(data, epochs=epochs)

    whole, parts = trained(12, 1), trained(5, 7)
    torch.testing.assert_close(whole.head.weight, parts.head.weight, atol=1e-6, rtol=1e-5)
    assert whole.training_info["epochs"] == parts.training_info["epochs"] == 1
    assert parts.training_info["train_accuracy"] == 1.0
    assert parts.training_info["test_accuracy"] == 1.0
    assert 0 < parts.training_info["train_loss"] < 0.5
    assert 1 < parts.training_info["solver_iterations"] < 1000


def test_a_solver_that_was_stopped_is_reported(faces: AttFaces) -> None:
    with pytest.warns(UserWarning, match=r"stopped after 2 iterations, before its end \(max_iter\)"):
        classifier = fit(faces, max_iter=2)
    assert classifier.training_info["solver_iterations"] == 2


def test_checkpoint_white_box_and_black_box_say_the_same(faces: AttFaces, tmp_path: Path) -> None:
    classifier = fit(faces, c=2.0)
    save_classifier(classifier, tmp_path / "logistic.ckpt")
    loaded = load_classifier(tmp_path / "logistic.ckpt")
    assert isinstance(loaded, LogisticRegression)
    assert (loaded.c, loaded.max_iter, loaded.tol) == (2.0, 1000, 1e-4)
    assert loaded.training_info["solver_iterations"] == classifier.training_info["solver_iterations"]
    shape = {"input_shape": loaded.input_shape, "num_classes": 4}
    x = faces.test_x.clone().requires_grad_()
    known = WhiteBox(loaded).confidences(x)
    (gradient,) = torch.autograd.grad(known[:, 0].sum(), x)
    assert float(gradient.abs().sum()) > 0
    for target in (BlackBox.of(loaded), BlackBox(NumpyFunction(classifier.predict_proba), **shape)):
        torch.testing.assert_close(target.confidences(faces.test_x), known.detach(), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"c": 0.0}, r"expected c > 0, got 0\.0 \(c\)"),
        ({"max_iter": 0}, r"expected max_iter > 0, got 0 \(max_iter\)"),
        ({"tol": -1.0}, r"expected tol > 0, got -1\.0 \(tol\)"),
        ({"num_classes": 1}, r"expected num_classes >= 2, got 1"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        LogisticRegression(**({"input_shape": (1, 4, 4), "num_classes": 3} | arguments))


def test_a_person_without_photographs(faces: AttFaces) -> None:
    with pytest.raises(InputError, match=r"expected training samples of all 5 people, got 4 people$"):
        fit(faces, people=5)


def test_samples_of_another_size() -> None:
    classifier = LogisticRegression(input_shape=(1, 4, 4), num_classes=3)
    with pytest.raises(InputError, match=r"samples of shape \(N, 16\) or \(N, 1, 4, 4\), got \(2, 15\)"):
        classifier.predict_proba(np.zeros((2, 15)))
    assert classifier.predict_proba(np.zeros((2, 16))).tolist() == [[pytest.approx(1 / 3)] * 3] * 2


def test_several_devices_are_refused(faces: AttFaces) -> None:
    classifier = LogisticRegression(input_shape=faces.input_shape, num_classes=faces.num_classes)
    classifier._trainer = SimpleNamespace(world_size=2, datamodule=faces)
    with pytest.raises(InputError, match=r"expected 1 device for scikit-learn's solver, got 2 \(devices\)"):
        classifier.on_fit_start()
