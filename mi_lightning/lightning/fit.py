"""Training a classifier in one call."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from lightning.pytorch import Trainer, seed_everything

from mi_lightning.classifiers.base import Classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError

ClassifierT = TypeVar("ClassifierT", bound=Classifier)


def fit(
    classifier: ClassifierT, data: PersonDataModule, *, max_epochs: int = 100, seed: int = 0, **trainer: Any
) -> ClassifierT:
    """Train a classifier quietly, and test it.

    Args:
        classifier: What to train, in place.
        data: The people; its training samples are trained on, its test samples tested on.
        max_epochs: Passes over the training samples, at least 1.
        seed: Seed of the order of the samples, and of whatever else is drawn.
        trainer: Other arguments of Lightning's ``Trainer``. No logger, bar, summary or checkpoint unless asked for.

    Returns:
        The classifier, in evaluation mode. ``training_info["test_accuracy"]`` is its share of right answers.

    Raises:
        InputError: If ``max_epochs`` is below 1.
        MIError: If the data cannot be read.
    """
    if max_epochs < 1:
        raise InputError("max_epochs >= 1", max_epochs, field="max_epochs")
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    with _without_notes():
        seed_everything(seed, verbose=False)
        lightning_trainer = Trainer(max_epochs=max_epochs, **{**quiet, **trainer})
        lightning_trainer.fit(classifier, datamodule=data)
        lightning_trainer.test(classifier, datamodule=data, verbose=False)
    return classifier.eval()


@contextmanager
def _without_notes() -> Iterator[None]:
    """Switch off Lightning's notes on hardware and on loaders for the time being."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"The '.*_dataloader' does not have many workers")
            warnings.filterwarnings("ignore", message=r".isinstance\(treespec, LeafSpec\). is deprecated")
            warnings.filterwarnings("ignore", message=r"The number of training batches .* is smaller than")
            yield
    finally:
        logger.setLevel(level)
