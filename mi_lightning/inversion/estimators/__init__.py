"""Estimators that only query: they need no gradients from the target."""

from __future__ import annotations

from mi_lightning.inversion.estimators.base import QueryEstimator
from mi_lightning.inversion.estimators.cmaes import CMAES
from mi_lightning.inversion.estimators.finite_differences import FiniteDifference
from mi_lightning.inversion.estimators.nes import NES
from mi_lightning.inversion.estimators.spsa import SPSA

__all__ = ["CMAES", "NES", "SPSA", "FiniteDifference", "QueryEstimator"]
