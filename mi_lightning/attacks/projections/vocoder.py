"""Vocoders as a projection: what a spectrogram cannot say is taken out of a waveform."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.projections.base import Projection
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.disguised_speech import DisguisedSpeech
from mi_lightning.data.axes import check_axes
from mi_lightning.errors import InputError
from mi_lightning.nn.vocoder import GriffinLimVocoder, VocosVocoder, same_loudness


class Vocoder(Projection):
    """Pass waveforms through a vocoder every few iterations, as loud as they were.

    A judge scores every reconstruction as it was found and after this vocoder, whether or not it took part in the
    attack.

    Args:
        vocoder: Turns waveforms (N, 1, samples) into waveforms of the same shape.
        every: Iterations between two projections, at least 1; only what was found at the end passes if None.
    """

    def __init__(self, vocoder: nn.Module, every: int | None) -> None:
        """Keep the vocoder."""
        super().__init__(every)
        self.vocoder = vocoder

    def bind(self, problem: Problem) -> None:
        """See that candidates are waveforms, and load what the vocoder needs before any work is done.

        Raises:
            InputError: If they are none, or the vocoder is for another sample rate.
            MIError: If a package is missing.
        """
        problem.tell_rate(self.vocoder)
        candidate = problem.space.initial(Rows.grid([0], 1, seed=0))
        shape = tuple(candidate.shape[1:])
        check_axes(shape, "sound", self, "projections")
        if self.every and isinstance(problem.space, DisguisedSpeech):
            raise InputError(f"candidates (1, samples) for {type(self).__name__}", shape)
        self._range = problem.target.input_range
        self.apply(candidate)

    def apply(self, z: Tensor) -> Tensor:
        """Pass waveforms through the vocoder, within the range of the target's inputs."""
        return self.project(z, self._range)

    @torch.no_grad()
    def project(self, x: Tensor, input_range: tuple[float, float]) -> Tensor:
        """Pass waveforms through the vocoder, as loud as they were, within the range; same shape."""
        return same_loudness(self.vocoder(x), x, input_range)


class GriffinLim(Vocoder):
    """Amplitudes of the spectrogram only, on a mel or linear scale, phases by Griffin and Lim (IEEE TASSP 1984).

    Args:
        every: Iterations between two projections, at least 1; only what was found at the end passes if None.
        **settings: The arguments of `GriffinLimVocoder`.

    Raises:
        InputError: If an argument is outside its range.
        MIError: When an attack starts, if torchaudio cannot be imported.
    """

    def __init__(self, every: int | None = None, **settings: Any) -> None:
        """Check the arguments."""
        super().__init__(GriffinLimVocoder(**settings), every)


class NeuralVocoder(Vocoder):
    """The neural vocoder Vocos [Siuzdak, ICLR 2024], of the package ``vocos``.

    Args:
        every: Iterations between two projections, at least 1; only what was found at the end passes if None.
        **settings: The arguments of `VocosVocoder`.

    Raises:
        InputError: If an argument is outside its range, or (when an attack starts) there are no such weights.
        MIError: When an attack starts, if vocos or torchaudio cannot be imported.
    """

    def __init__(self, every: int | None = None, **settings: Any) -> None:
        """Check the arguments."""
        super().__init__(VocosVocoder(**settings), every)
