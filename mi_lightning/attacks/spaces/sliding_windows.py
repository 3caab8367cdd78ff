"""Sliding inversion: a long waveform, one window after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.base import Space
from mi_lightning.attacks.spaces.waveform import WaveformSpace
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


class SlidingWindows(Space):
    """A waveform that is inverted window by window, in place [P23, sliding model inversion].

    It starts at random over the whole length and half a window more at each end. The whole attack (iterations, stop
    rules) then runs on the first window of ``w`` samples, is begun anew ``stride`` samples further on, from what the
    last window has left there, and so on to the end; all rows do the same window at the same time. Half a window is
    dropped at each end, where samples were part of fewer windows than others.

    Confidence and cost of the result are those of the finished waveform, of which the target is asked at last.

    Args:
        duration: Length of the result, in seconds; one window if None.
        sample_rate: Samples in a second.
        stride: Samples from one window to the next, from 1 to the length of a window.
        initializer: Where the waveforms start; N(0, 1) for each sample if None. [P23] did best from Laplace noise.
        clamp: Whether every update is followed by clamping to the target's input range.
        frame_shift: Time between the frames of the finished waveform that the target is asked about, in seconds.

    Raises:
        InputError: If an argument is outside its range.
    """

    def __init__(
        self,
        *,
        duration: float | None = None,
        sample_rate: int = 16000,
        stride: int = 500,
        initializer: Initializer | None = None,
        clamp: bool = True,
        frame_shift: float = 0.1,
    ) -> None:
        """Check the arguments."""
        super().__init__()
        if stride < 1:
            raise InputError("stride >= 1", stride, field="stride")
        self._whole = WaveformSpace(
            duration=duration, sample_rate=sample_rate, frame_shift=frame_shift, initializer=initializer, clamp=clamp
        )
        self.duration, self.sample_rate, self.stride = duration, sample_rate, stride
        self.initializer, self.clamp, self.frame_shift = self._whole.initializer, clamp, frame_shift
        self.window = 0
        self._track = torch.empty(0)

    def bind(self, target: Target) -> None:
        """Fit the space to a target; a window is one chunk of it.

        Raises:
            InputError: If the target takes no waveforms, they are shorter than a window, or windows do not touch.
        """
        super().bind(target)
        self._whole.bind(target)
        self.window = target.input_shape[-1]
        if self.stride > self.window:
            raise InputError(f"stride <= {self.window}, the window", self.stride, field="stride")

    @property
    def final(self) -> WaveformSpace:
        """The space of the finished waveforms."""
        return self._whole

    @property
    def length(self) -> int:
        """Samples of the waveform that is worked on: the result's, and half a window at each end."""
        return self._whole.samples + 2 * (self.window // 2)

    @property
    def windows(self) -> int:
        """Number of windows: the last may end up to a stride before the end, within the half window that is dropped."""
        return (self.length - self.window) // self.stride + 1

    def initial(self, rows: Rows) -> Tensor:
        """Draw the whole waveforms; return the first window of each, shape (R, 1, window)."""
        self._track = self.initializer(rows, (1, self.length), self.input_range)
        if self.clamp:
            self._track.clamp_(*self.input_range)
        return self._track[..., : self.window].clone()

    def next_window(self, window: int, best: Tensor) -> Tensor:
        """Put what was found in a window into the waveform; return the next window, shape (R, 1, window).

        Args:
            window: Number of the window that is done, from 0.
            best: What was found there, shape (R, 1, window), on the CPU.
        """
        self._write(window, best)
        begin = (window + 1) * self.stride
        return self._track[..., begin : begin + self.window].clone()

    def finish(self, window: int, best: Tensor) -> Tensor:
        """Put what was found in the last window into the waveform; return it without half a window at each end."""
        self._write(window, best)
        half = self.window // 2
        return self._track[..., half : half + self._whole.samples].clone()

    def _write(self, window: int, best: Tensor) -> None:
        begin = window * self.stride
        self._track[..., begin : begin + self.window] = best

    def run_state(self) -> dict[str, Tensor]:
        """Return what a run has made so far, for :meth:`load_run_state`: the waveforms that are worked on."""
        return {"track": self._track.clone()}

    def load_run_state(self, state: dict[str, Tensor]) -> None:
        """Go on where a run was when :meth:`run_state` was asked."""
        self._track = state["track"].clone()

    def decode(self, z: Tensor) -> Tensor:
        """Return the windows as they are."""
        return z

    @torch.no_grad()
    def constrain_(self, z: Tensor) -> None:
        """Clamp to the input range, in place, if asked for."""
        if self.clamp:
            z.clamp_(*self.input_range)

    def bounds(self) -> tuple[float, float]:
        """Return the input range: a target is not asked outside."""
        return self.input_range
