"""Filters: they act on a gradient before the update."""

from __future__ import annotations

from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.attacks.filters.chain import FilterChain
from mi_lightning.attacks.filters.gaussian_blur import GaussianBlur
from mi_lightning.attacks.filters.power_law import PowerLaw
from mi_lightning.attacks.filters.public_faces import PublicFaces
from mi_lightning.attacks.filters.spectral import BandPass, SpectralEnvelope
from mi_lightning.attacks.filters.unit_rms import UnitRMS

__all__ = [
    "BandPass",
    "FilterChain",
    "GaussianBlur",
    "GradientFilter",
    "PowerLaw",
    "PublicFaces",
    "SpectralEnvelope",
    "UnitRMS",
]
