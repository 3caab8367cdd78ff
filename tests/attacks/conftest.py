from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from mi_lightning.attacks.result import InversionResult
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import WhiteBox

SHAPE = (1, 6, 5)
PEOPLE = 7


@pytest.fixture
def classifier() -> SoftmaxRegression:
    """A softmax regression whose weights are drawn, not trained: 7 people, images of 6 x 5 pixels."""
    model = SoftmaxRegression(input_shape=SHAPE, num_classes=PEOPLE)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture
def invert(classifier: SoftmaxRegression) -> Callable[..., InversionResult]:
    """Attack the classifier and return what was found; keywords are those of `Inversion`."""

    def run(*, callbacks: list | None = None, **settings: object) -> InversionResult:
        attack = Inversion(target=WhiteBox(classifier), **settings)
        return quiet_trainer(callbacks).invert(attack)

    return run


def quiet_trainer(callbacks: list | None = None) -> InversionTrainer:
    return InversionTrainer(
        accelerator="cpu",
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
