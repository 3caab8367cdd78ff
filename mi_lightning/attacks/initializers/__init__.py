"""Initializers: where candidates start."""

from __future__ import annotations

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.initializers.constant import MidGrey, Zeros
from mi_lightning.attacks.initializers.given_image import GivenImage
from mi_lightning.attacks.initializers.natural_noise import NaturalNoise
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.initializers.public_mean import PublicMean
from mi_lightning.attacks.initializers.public_speech import PublicSpeech
from mi_lightning.attacks.initializers.speech_noise import SpeechNoise

__all__ = [
    "GivenImage",
    "Initializer",
    "MidGrey",
    "NaturalNoise",
    "Noise",
    "PublicMean",
    "PublicSpeech",
    "SpeechNoise",
    "Zeros",
]
