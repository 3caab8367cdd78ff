"""Long-term average amplitude spectrum of speech: of many languages, or of given speakers."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mi_lightning.audio.rate import Rated
from mi_lightning.audio.spectra import power_spectra
from mi_lightning.data.base import PersonDataModule
from mi_lightning.data.speech.protocol import speech_of
from mi_lightning.errors import InputError

#: Long-term average spectrum of speech, men and women of 12 languages together: level in third-octave bands, dB.
#: Byrne et al., *An international comparison of long-term average speech spectra*, J. Acoust. Soc. Am. 96 (1994).
_LEVELS = {
    63: 38.6,
    80: 43.5,
    100: 54.4,
    125: 57.7,
    160: 56.8,
    200: 60.2,
    250: 60.3,
    315: 59.0,
    400: 62.1,
    500: 62.1,
    630: 60.5,
    800: 56.8,
    1000: 53.7,
    1250: 53.0,
    1600: 52.0,
    2000: 48.7,
    2500: 48.1,
    3150: 46.8,
    4000: 45.6,
    5000: 44.5,
    6300: 44.3,
    8000: 43.7,
    10000: 43.4,
    12500: 41.3,
    16000: 40.7,
}


class SpeechSpectrum(Rated):
    """Long-term average amplitude spectrum of speech: of many languages, or of given speakers.

    Args:
        references: Speech of speakers *other* than those who are attacked, set up when it is first used; the published
            average of 12 languages if None.
        sample_rate: Samples in a second; the target's if not given.
        seconds: Speech of each utterance that is used, at most.
    """

    #: Knowledge of other people, which an attacker has without the target (the control *prior alone*).
    public: ClassVar[bool] = True

    def __init__(
        self, references: PersonDataModule | None = None, *, sample_rate: int | None = None, seconds: float = 10.0
    ) -> None:
        """Keep the arguments; nothing is read yet."""
        self.references, self.seconds = references, seconds
        self.start_rate(sample_rate)
        self._known: dict[int, Tensor] = {}

    def rate_changed(self) -> None:
        """Forget the spectra at another rate."""
        self._known.clear()

    def amplitude(self, samples: int) -> Tensor:
        """Return the amplitude at each frequency of ``rfft`` of so many samples, 1 at most, shape (samples // 2 + 1,).

        Raises:
            InputError: If the references are no speech, or of another rate.
        """
        if samples not in self._known:
            hertz = torch.fft.rfftfreq(samples, 1 / self.sample_rate)
            amplitude = self._published(hertz) if self.references is None else self._measured(hertz)
            self._known[samples] = amplitude / amplitude.max()
        return self._known[samples]

    def _published(self, hertz: Tensor) -> Tensor:
        """Amplitude density by the table; linear in decibels over the logarithm of frequency, flat beyond its ends."""
        centre = torch.tensor(list(_LEVELS), dtype=torch.float64)
        # a third of an octave is 0.232 of its centre wide: level of the band to level of 1 Hz
        level = torch.tensor(list(_LEVELS.values()), dtype=torch.float64) - 10 * torch.log10(0.232 * centre)
        place = hertz.double().clamp(float(centre[0]), float(centre[-1])).log()
        right = torch.searchsorted(centre.log(), place).clamp(1, len(centre) - 1)
        low, high = centre.log()[right - 1], centre.log()[right]
        share = (place - low) / (high - low)
        decibels = level[right - 1] * (1 - share) + level[right] * share
        # below the first band there is no voice, and nothing at all at 0 Hz
        return (10 ** (decibels / 20) * (hertz.double() / 63).clamp_max(1)).float()

    def _measured(self, hertz: Tensor) -> Tensor:
        """Amplitude by the utterances of the references, each of the same weight."""
        if self.references is None:  # callers have checked
            raise InputError("references", None, "references")
        self.references.prepare_data()
        self.references.setup("fit")
        speech = speech_of(self.references, "references")
        if speech.sample_rate != self.sample_rate:
            raise InputError(f"references at {self.sample_rate} Hz", speech.sample_rate, "references")
        total = torch.zeros(1)
        for _, wave in speech.utterances("train"):
            power = power_spectra(wave[..., : round(self.seconds * self.sample_rate)]).mean((0, 2))
            total = total + power / power.sum().clamp_min(torch.finfo(power.dtype).tiny)
        # between the frequencies of the short windows: a straight line
        place = hertz / (self.sample_rate / 2) * (len(total) - 1)
        left = place.floor().long().clamp(0, len(total) - 2)
        share = place - left
        power = total[left] * (1 - share) + total[left + 1] * share
        return power.sqrt()
