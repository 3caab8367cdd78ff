"""Estimators: the gradient of the cost with respect to the candidates."""

from __future__ import annotations

from mi_lightning.attacks.estimators.augmented import AugmentedAutograd
from mi_lightning.attacks.estimators.autograd import Autograd
from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.estimators.finite_difference import FiniteDifference
from mi_lightning.attacks.estimators.nes import NES
from mi_lightning.attacks.estimators.queries import QueryEstimator, Questions
from mi_lightning.attacks.estimators.smoothed import SmoothedAutograd
from mi_lightning.attacks.estimators.spsa import SPSA

__all__ = [
    "NES",
    "SPSA",
    "AugmentedAutograd",
    "Autograd",
    "FiniteDifference",
    "GradientEstimator",
    "QueryEstimator",
    "Questions",
    "SmoothedAutograd",
]
