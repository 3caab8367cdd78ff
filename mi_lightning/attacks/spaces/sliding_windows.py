"""Sliding inversion: a long waveform, one window after the other."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.base import InputSpace
from mi_lightning.attacks.spaces.waveform import WaveformSpace
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


class SlidingWindows(InputSpace):
    """A waveform that is inverted window by window, in place [P23, sliding model inversion].

    It starts at random over the whole length and half a window more at each end. The whole attack (iterations, stop
    rules) then runs on the first window of ``w`` samples, is begun anew ``stride`` samples further on, from what the
    last window has left there, and so on to the end; all rows do the same window at the same time. Half a window is
    dropped at each end, where samples were part of fewer windows than others.

    Confidence and cost of the result are those of the finished waveform, of which the target is asked at last.

    Args:
        stride: Samples from one window to the next, from 1 to the length of a window.
        **waveform: The arguments of `WaveformSpace` for the result, but ``band`` and ``max_frames``. [P23] did best
            from Laplace noise.

    Raises:
        InputError: If an argument is outside its range.
    """

    def __init__(self, *, stride: int = 500, **waveform: Any) -> None:
        """Check the arguments."""
        whole = WaveformSpace(band=None, max_frames=None, **waveform)
        super().__init__(clamp=whole.clamp)
        if stride < 1:
            raise InputError("stride >= 1", stride, field="stride")
        self._whole, self.stride = whole, stride
        self.duration, self.sample_rate, self.frame_shift = whole.duration, whole.sample_rate, whole.frame_shift
        self.initializer = whole.initializer
        self.window = 0
        self._track = torch.empty(0)

    def bind(self, target: Target) -> None:
        """Fit the space to a target; a window is one chunk of it.

        Raises:
            InputError: If the target takes no waveforms, they are shorter than a window, or windows do not touch.
        """
        super().bind(target)
        self._whole.bind(target)
        self.sample_rate = self._whole.sample_rate
        self.window = target.input_shape[-1]
        if self.stride > self.window:
            raise InputError(f"stride <= {self.window}, the window", self.stride, field="stride")

    @property
    def said_rate(self) -> int | None:
        """The sample rate that was given; None if it is the target's."""
        return self._whole.said_rate

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
