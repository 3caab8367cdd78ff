"""What speech sounds like on average, whoever speaks: starts and gradient filters with its spectrum."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.audio.rate import Rated
from mi_lightning.data.base import PersonDataModule
from mi_lightning.data.speech.spectrum import SpeechSpectrum
from mi_lightning.errors import InputError


class _Weights(Rated, GradientFilter):
    """Weigh the frequencies of a gradient with respect to a waveform; phases stay, so it still points downhill."""

    axes = "sound"

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def rate_changed(self) -> None:
        """Forget the weights at another rate."""
        self._known.clear()

    def weight(self, samples: int) -> Tensor:
        """Weight of each frequency of ``rfft``, at least 0, shape (samples // 2 + 1,)."""
        raise NotImplementedError

    def forward(self, gradient: Tensor) -> Tensor:
        """Filter gradients of shape (R, 1, samples)."""
        self.check(gradient.shape[1:])
        samples = gradient.shape[-1]
        key = (samples, gradient.device, gradient.dtype)
        if key not in self._known:
            self._known[key] = self.weight(samples).to(gradient)
        filtered: Tensor = torch.fft.irfft(torch.fft.rfft(gradient) * self._known[key], n=samples)
        return filtered


class BandPass(_Weights):
    """Keep one band of frequencies of a gradient.

    Args:
        low: Lowest frequency, in Hz.
        high: Highest frequency, in Hz.
        sample_rate: Samples in a second; the target's if not given.

    Raises:
        InputError: If there is no such band.
    """

    def __init__(self, *, low: float = 80.0, high: float = 7000.0, sample_rate: int | None = None) -> None:
        """Check the arguments."""
        super().__init__()
        if not 0 <= low < high:
            raise InputError("0 <= low < high", f"{low:g} and {high:g}", field="low")
        self.low, self.high = low, high
        self.start_rate(sample_rate)

    def weight(self, samples: int) -> Tensor:
        """1 within the band, 0 outside."""
        hertz = torch.fft.rfftfreq(samples, 1 / self.sample_rate)
        inside: Tensor = (hertz >= self.low) & (hertz <= self.high)
        return inside.float()


class SpectralEnvelope(_Weights):
    """Weigh the frequencies of a gradient as those of speech: the spectral-envelope prior.

    The gradient at each frequency is multiplied by the amplitude of the average spectrum of speech to a power. Equal to
    a change of variables x = H u, where the unknown u is white: the power is 2 for H with the spectrum of speech. What
    the descent adds then sounds like speech in its colour, not like the hiss that a network hears best.

    Args:
        power: Power of the amplitude, at least 0.
        references: Speech of *other* speakers; the published average of 12 languages if None.
        sample_rate: Samples in a second; the target's if not given.

    Raises:
        InputError: If an argument is outside its range.
    """

    def __init__(
        self, *, power: float = 2.0, references: PersonDataModule | None = None, sample_rate: int | None = None
    ) -> None:
        """Check the arguments."""
        super().__init__()
        if not 0 <= power < math.inf:
            raise InputError("a finite power >= 0", power, field="power")
        self.power, self.spectrum = power, SpeechSpectrum(references, sample_rate=sample_rate)
        self.start_rate(sample_rate)

    def rate_changed(self) -> None:
        """Bring the spectrum to the rate."""
        super().rate_changed()
        self.spectrum.take_rate(self.sample_rate)

    def weight(self, samples: int) -> Tensor:
        """Amplitude of speech to the power."""
        weight: Tensor = self.spectrum.amplitude(samples) ** self.power
        return weight
