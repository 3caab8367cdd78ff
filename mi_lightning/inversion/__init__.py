"""Attacks: rows, spaces, starts, costs, priors, gradient estimators and the module that puts them together."""

from __future__ import annotations

from mi_lightning.inversion.costs import L2, Cost, NegativeLogConfidence, OneMinusConfidence, Prior, TotalVariation
from mi_lightning.inversion.filters import FilterChain, PowerLaw, UnitRMS
from mi_lightning.inversion.gradients import Autograd, GaussianBlur, GradientEstimator, GradientFilter, Objective
from mi_lightning.inversion.initial import GivenImage, Initial, MidGrey, NaturalNoise, Noise, Zeros
from mi_lightning.inversion.module import Inversion
from mi_lightning.inversion.result import InversionResult
from mi_lightning.inversion.rows import Rows
from mi_lightning.inversion.smoothing import SmoothedAutograd
from mi_lightning.inversion.spaces import LatentSpace, PixelSpace, Space

__all__ = [
    "L2",
    "Autograd",
    "Cost",
    "FilterChain",
    "GaussianBlur",
    "GivenImage",
    "GradientEstimator",
    "GradientFilter",
    "Initial",
    "Inversion",
    "InversionResult",
    "LatentSpace",
    "MidGrey",
    "NaturalNoise",
    "NegativeLogConfidence",
    "Noise",
    "Objective",
    "OneMinusConfidence",
    "PixelSpace",
    "PowerLaw",
    "Prior",
    "Rows",
    "SmoothedAutograd",
    "Space",
    "TotalVariation",
    "UnitRMS",
    "Zeros",
]
