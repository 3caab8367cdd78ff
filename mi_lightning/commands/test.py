"""Testing a classifier that is saved: what comes before."""

from __future__ import annotations

from pathlib import Path

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError
from mi_lightning.judging.make import same_split


def before(classifier: Classifier, datamodule: PersonDataModule, checkpoint: Path | None) -> None:
    """Load the weights to test.

    Args:
        classifier: Takes the weights.
        datamodule: The people.
        checkpoint: File of the weights.

    Raises:
        MIError: If there is no such checkpoint, or it is one of another class, shape or split.
    """
    if checkpoint is None:
        raise InputError("a checkpoint to test", "none", "checkpoint")
    trained = load_classifier(checkpoint, "--checkpoint")
    if type(trained) is not type(classifier):
        raise InputError(
            f"a checkpoint of {type(classifier).__name__}",
            f"one of {type(trained).__name__}: {checkpoint}",
            "checkpoint",
        )
    if trained.input_shape != classifier.input_shape or trained.num_classes != classifier.num_classes:
        raise InputError(
            f"a checkpoint for input of shape {classifier.input_shape} and {classifier.num_classes} classes",
            f"{trained.input_shape} and {trained.num_classes}: {checkpoint}",
            "checkpoint",
        )
    datamodule.prepare_data()
    datamodule.setup("test")
    same_split(trained.training_info.get("data"), datamodule.describe(), "data")
    classifier.load_state_dict(trained.state_dict())
    classifier.training_info = trained.training_info
