"""Attacks: rows, spaces, starts, costs, priors, gradient estimators and the module that puts them together."""

from __future__ import annotations

from mi_lightning.inversion.costs import L2, Cost, NegativeLogConfidence, OneMinusConfidence, Prior, TotalVariation
from mi_lightning.inversion.gradients import Autograd, GaussianBlur, GradientEstimator, GradientFilter, Objective
from mi_lightning.inversion.initial import GivenImage, Initial, MidGrey, Noise, Zeros
from mi_lightning.inversion.module import Inversion
from mi_lightning.inversion.result import InversionResult
from mi_lightning.inversion.rows import Rows
from mi_lightning.inversion.spaces import LatentSpace, PixelSpace, Space

__all__ = [
    "L2",
    "Autograd",
    "Cost",
    "GaussianBlur",
    "GivenImage",
    "GradientEstimator",
    "GradientFilter",
    "Initial",
    "Inversion",
    "InversionResult",
    "LatentSpace",
    "MidGrey",
    "NegativeLogConfidence",
    "Noise",
    "Objective",
    "OneMinusConfidence",
    "PixelSpace",
    "Prior",
    "Rows",
    "Space",
    "TotalVariation",
    "Zeros",
]
