"""Spaces: where candidates live, and how they become inputs."""

from __future__ import annotations

from mi_lightning.attacks.spaces.base import Space
from mi_lightning.attacks.spaces.disguised_speech import DisguisedSpeech
from mi_lightning.attacks.spaces.latent import LatentSpace
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.attacks.spaces.sliding_windows import SlidingWindows
from mi_lightning.attacks.spaces.waveform import WaveformSpace

__all__ = ["DisguisedSpeech", "LatentSpace", "PixelSpace", "SlidingWindows", "Space", "WaveformSpace"]
