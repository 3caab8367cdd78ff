"""Attacks: rows, spaces, starts, costs, priors, gradient estimators and the module that puts them together."""

from __future__ import annotations

from mi_lightning.inversion.augmented import AugmentedAutograd
from mi_lightning.inversion.costs import (
    L2,
    CodeNorm,
    Cost,
    NegativeLogConfidence,
    NegativeLogOdds,
    OneMinusConfidence,
    Prior,
    TotalVariation,
)
from mi_lightning.inversion.disguise import DisguisedSpeech
from mi_lightning.inversion.dvector import DVectorDistance
from mi_lightning.inversion.filters import FilterChain, PowerLaw, UnitRMS
from mi_lightning.inversion.gradients import Autograd, GaussianBlur, GradientEstimator, GradientFilter, Objective
from mi_lightning.inversion.initial import GivenImage, Initial, MidGrey, NaturalNoise, Noise, Zeros
from mi_lightning.inversion.module import Inversion
from mi_lightning.inversion.public_faces import FaceDecoder, PublicFaces, PublicMean
from mi_lightning.inversion.public_speech import PublicSpeech, PublicVoices
from mi_lightning.inversion.result import InversionResult
from mi_lightning.inversion.rows import Rows
from mi_lightning.inversion.sliding import SlidingWindows
from mi_lightning.inversion.smoothing import SmoothedAutograd
from mi_lightning.inversion.spaces import LatentSpace, PixelSpace, Space
from mi_lightning.inversion.spectral import BandPass, SpectralEnvelope, SpeechNoise
from mi_lightning.inversion.waveform import WaveformSpace

__all__ = [
    "L2",
    "AugmentedAutograd",
    "Autograd",
    "BandPass",
    "CodeNorm",
    "Cost",
    "DVectorDistance",
    "DisguisedSpeech",
    "FaceDecoder",
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
    "NegativeLogOdds",
    "Noise",
    "Objective",
    "OneMinusConfidence",
    "PixelSpace",
    "PowerLaw",
    "Prior",
    "PublicFaces",
    "PublicMean",
    "PublicSpeech",
    "PublicVoices",
    "Rows",
    "SlidingWindows",
    "SmoothedAutograd",
    "Space",
    "SpectralEnvelope",
    "SpeechNoise",
    "TotalVariation",
    "UnitRMS",
    "WaveformSpace",
    "Zeros",
]
