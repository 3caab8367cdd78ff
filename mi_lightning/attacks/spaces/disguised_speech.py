"""A real utterance in disguise: its spectrogram is made louder and softer, smoothly, until it passes for a speaker."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.initializers.public_speech import PublicSpeech
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.waveform import WaveformSpace
from mi_lightning.audio.spectra import band_matrix
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target

_WINDOW, _HOP = 512, 128  # samples


class DisguisedSpeech(WaveformSpace):
    """The candidate is speech of somebody else and a map of gains, over mel bands and time, that disguises it.

    x = inverse short-time Fourier transform of (that of the speech, times exp of the gains). Pitch, rhythm and phases
    of the speech stay; its colour changes smoothly: what is found is speech by construction, and says only what a
    coarse spectrogram can say. The speech is part of the candidate, so that a row stands for itself, but no step moves
    it: its gradient is zero.

    Args:
        initializer: Where the speech comes from; :class:`PublicSpeech` if None.
        bands: Mel bands of the map.
        step: Time between two columns of the map, in seconds: gains are straight lines between them. One column for
            the whole, a filter that does not change, if None.
        most: Greatest gain, in decibels, up or down.
        sample_rate: Samples in a second; the target's if not given.
        **waveform: The arguments of `WaveformSpace` for the speech, but ``clamp`` and ``band``.

    Raises:
        InputError: If an argument is outside its range.
    """

    def __init__(
        self,
        *,
        initializer: Initializer | None = None,
        bands: int = 32,
        step: float | None = 0.1,
        most: float = 30.0,
        sample_rate: int | None = None,
        **waveform: Any,
    ) -> None:
        """Check the arguments."""
        super().__init__(
            initializer=initializer or PublicSpeech(),
            sample_rate=sample_rate,
            clamp=True,
            band=None,
            **waveform,
        )
        if bands < 2:
            raise InputError("bands >= 2", bands, field="bands")
        if step is not None and not 0 < step < math.inf:
            raise InputError("a finite step > 0", step, field="step")
        if not 0 < most < math.inf:
            raise InputError("a finite most > 0", most, field="most")
        self.bands, self.step, self.most = bands, step, most
        self._columns = 1
        self._spread: dict[torch.device, Tensor] = {}

    def bind(self, target: Target) -> None:
        """Fit the space to a target; see :class:`WaveformSpace`."""
        super().bind(target)
        self._spread.clear()
        self._columns = 1 if self.step is None else max(2, 1 + round(self.samples / self.sample_rate / self.step))

    def initial(self, rows: Rows) -> Tensor:
        """Return the speech of each row beside gains of zero, shape (R, 1, samples + bands * columns)."""
        speech = super().initial(rows)
        return torch.cat((speech, torch.zeros(len(rows), 1, self.bands * self._columns)), -1)

    def gains(self, z: Tensor) -> Tensor:
        """Return the maps, shape (R, bands, columns), in nats of amplitude."""
        return z[:, 0, self.samples :].reshape(len(z), self.bands, self._columns)

    def decode(self, z: Tensor) -> Tensor:
        """Disguise the speech, shape (R, 1, samples)."""
        speech, window = z[:, 0, : self.samples].detach(), torch.hann_window(_WINDOW, dtype=z.dtype, device=z.device)
        spectrum = torch.stft(speech, _WINDOW, _HOP, window=window, return_complex=True)
        gains = self.gains(z)
        if self._columns > 1:
            gains = interpolate(gains, spectrum.shape[-1], mode="linear", align_corners=True)
        changed = spectrum * (self._to_frequencies(z) @ gains).exp()
        found: Tensor = torch.istft(changed, _WINDOW, _HOP, window=window, length=self.samples)
        return found.clamp(*self.input_range)[:, None]

    def _to_frequencies(self, like: Tensor) -> Tensor:
        """Matrix from bands to frequencies, rows that sum to 1, shape (257, bands)."""
        if like.device not in self._spread:
            weight = band_matrix(self.bands, self.sample_rate).T + 1e-9
            # what lies beyond the middle of the first and last band goes with them
            weight[: int(weight[:, 0].argmax()), 0] += 1
            weight[int(weight[:, -1].argmax()) :, -1] += 1
            self._spread[like.device] = (weight / weight.sum(1, keepdim=True)).to(like)
        return self._spread[like.device].to(like)

    @torch.no_grad()
    def constrain_(self, z: Tensor) -> None:
        """Keep the gains within bounds, in place."""
        limit = self.most / 20 * math.log(10)
        z[..., self.samples :].clamp_(-limit, limit)

    def bounds(self) -> tuple[float, float] | None:
        """Return None: gains are no samples."""
        return None
