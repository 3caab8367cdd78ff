"""Noise with the long-term spectrum of speech: what a voice sounds like when nobody in particular says nothing."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.audio.rate import Rated
from mi_lightning.data.base import PersonDataModule
from mi_lightning.data.speech.spectrum import SpeechSpectrum
from mi_lightning.errors import InputError


class SpeechNoise(Rated, Initializer):
    """Noise with the long-term spectrum of speech: what a voice sounds like when nobody in particular says nothing.

    Args:
        std: Standard deviation of each waveform, at least 0, before it is clamped.
        references: Speech of *other* speakers; the published average of 12 languages if None.
        sample_rate: Samples in a second; the target's if not given.

    Raises:
        InputError: If an argument is outside its range.
    """

    axes = "sound"

    def __init__(
        self, *, std: float = 0.1, references: PersonDataModule | None = None, sample_rate: int | None = None
    ) -> None:
        """Check the arguments."""
        if not 0 <= std < math.inf:
            raise InputError("a finite std >= 0", std, field="std")
        self.std, self.spectrum = std, SpeechSpectrum(references, sample_rate=sample_rate)
        self.start_rate(sample_rate)

    def rate_changed(self) -> None:
        """Bring the spectrum to the rate."""
        self.spectrum.take_rate(self.sample_rate)

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the noise, shape (R, *shape)."""
        self.check(shape)
        white = rows.draw(lambda generator: torch.randn(shape, generator=generator))
        shaped = torch.fft.irfft(torch.fft.rfft(white) * self.spectrum.amplitude(shape[-1]), n=shape[-1])
        size = shaped.square().mean(-1, keepdim=True).sqrt().clamp_min(torch.finfo(shaped.dtype).tiny)
        start: Tensor = (shaped / size * self.std).clamp_(*value_range)
        return start
