"""Waveforms as candidates: seconds of sound, looked at frame by frame."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.base import InputSpace
from mi_lightning.audio.rate import Rated, tell_rate
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target
from mi_lightning.targets.frames import FrameView, frame_count


class WaveformSpace(Rated, InputSpace):
    """The candidate is a waveform, sample by sample.

    A target that takes chunks (200 ms, say) is asked about all frames of a longer waveform at once
    (:class:`FrameView`).

    Args:
        duration: Length, in seconds; one chunk of the target if None.
        sample_rate: Samples in a second; the target's if not given.
        frame_shift: Time between the starts of two frames that the target is asked about, in seconds.
        initializer: Where the waveforms start; N(0, 1) for each sample if None. ``Noise`` with ``distribution:
            laplace`` and ``std`` sqrt(2) times the scale, or ``uniform``, and ``Zeros`` are the others of the
            literature.
        clamp: Whether every update is followed by clamping to the target's input range.
        band: Lowest and highest frequency, in Hz: every update is followed by taking away what lies outside. No limit
            if None.
        max_frames: Frames whose activations are in memory at a time, for long waveforms; all if None. (Rows in memory
            are ``rows_at_once``.)

    Raises:
        InputError: If an argument is outside its range.
    """

    def __init__(
        self,
        *,
        duration: float | None = None,
        sample_rate: int | None = None,
        frame_shift: float = 0.1,
        initializer: Initializer | None = None,
        clamp: bool = True,
        band: tuple[float, float] | None = None,
        max_frames: int | None = None,
    ) -> None:
        """Check the arguments."""
        super().__init__(clamp=clamp)
        self.start_rate(sample_rate)
        if duration is not None and not 0 < duration < math.inf:
            raise InputError("a finite duration > 0", duration, field="duration")
        if not 0 < frame_shift < math.inf or round(frame_shift * self.sample_rate) < 1:
            raise InputError("a frame_shift of one sample or more", frame_shift, field="frame_shift")
        if band is not None and not 0 <= band[0] < band[1]:
            raise InputError("band (low, high) with 0 <= low < high", tuple(band), field="band")
        if max_frames is not None and max_frames < 1:
            raise InputError("max_frames >= 1", max_frames, field="max_frames")
        self.duration, self.frame_shift = duration, frame_shift
        self.initializer = initializer or Noise(mean=0.0, std=1.0)
        self.band = None if band is None else (float(band[0]), float(band[1]))
        self.max_frames = max_frames
        self.samples = 0

    def bind(self, target: Target) -> None:
        """Fit the space to a target.

        Raises:
            InputError: If the target takes no waveforms, or at another rate, or they are shorter than its chunks.
        """
        super().bind(target)
        if len(target.input_shape) != 2 or target.input_shape[0] != 1:
            got = f"inputs of shape {target.input_shape}"
            raise InputError("a target of waveforms (1, samples) for WaveformSpace", got)
        self.take_rate(target.sample_rate)
        tell_rate(self.initializer, self.sample_rate, "the space's")
        if self.shift < 1:
            raise InputError("a frame_shift of one sample or more", self.frame_shift, field="frame_shift")
        chunk = target.input_shape[-1]
        self.samples = chunk if self.duration is None else round(self.duration * self.sample_rate)
        if self.samples < chunk:
            raise InputError(
                f"a duration of one chunk of the target ({chunk / self.sample_rate:g} s) or more",
                f"{self.duration:g} s",
                field="duration",
            )
        self._frames = frame_count(self.samples, chunk, self.shift)

    @property
    def shift(self) -> int:
        """Samples between the starts of two frames."""
        return round(self.frame_shift * self.sample_rate)

    @property
    def queries_per_candidate(self) -> int:
        """Queries that a candidate costs: one for each frame."""
        return self._frames

    def initial(self, rows: Rows) -> Tensor:
        """Return the initial waveforms, shape (R, 1, samples), put into the space."""
        z = self.initializer(rows, (1, self.samples), self.input_range)
        self.constrain_(z)
        return z

    def view(self, target: Target) -> Target:
        """Return the target, asked about all frames if the waveform is longer than a chunk."""
        if self.samples == target.input_shape[-1]:
            return target
        return FrameView(target, shift=self.shift, max_frames=self.max_frames)

    @torch.no_grad()
    def constrain_(self, z: Tensor) -> None:
        """Take away what is outside the band, then clamp to the input range, in place, as far as asked for."""
        if self.band is not None:
            spectrum = torch.fft.rfft(z)
            frequency = torch.fft.rfftfreq(z.shape[-1], 1 / self.sample_rate, device=z.device)
            spectrum *= (frequency >= self.band[0]) & (frequency <= self.band[1])
            z.copy_(torch.fft.irfft(spectrum, n=z.shape[-1]))
        super().constrain_(z)
