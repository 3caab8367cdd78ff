"""Voices in reports: their rate, and spectrograms."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mi_lightning.audio.rate import SPEECH_RATE
from mi_lightning.report.pictures import Pixels

_DEPTH = 70.0  # decibels below the loudest point that a spectrogram shows
_WIDTH, _HEIGHT = 160, 96  # pixels of a spectrogram


def sample_rate(attack: Mapping[str, Any], data: Mapping[str, Any] | None) -> int:
    """Samples in a second (Hz), as the description of an attack's space or of its data says; 16000 where none does."""
    space = attack.get("space")
    for part in (space if isinstance(space, Mapping) else {}, data or {}):
        if isinstance(rate := part.get("sample_rate"), int):
            return rate
    return SPEECH_RATE


def spectrograms(waves: Tensor, rate: int) -> Pixels:
    """Draw waveforms: time to the right, frequency upwards (linear, to half the rate), loudness from dark to bright.

    Args:
        waves: Shape (N, 1, samples), N >= 1.
        rate: Samples in a second.

    Returns:
        Shape (N, height, width, 3); each is as bright as it can be.
    """
    size = max(64, round(0.025 * rate))
    x = waves.detach().float().cpu().nan_to_num(nan=0.0, posinf=1.0, neginf=-1.0)[:, 0]
    x = x / x.abs().amax(1, keepdim=True).clamp_min(1)  # so that the square of a wave out of bounds is a number
    x = torch.nn.functional.pad(x, (0, max(0, size - x.shape[-1])))
    hop = max(1, min(size // 2, (x.shape[-1] - size) // _WIDTH or 1))
    window = torch.hann_window(size)
    power = torch.stft(x, size, hop, window=window, center=False, return_complex=True).abs().square()
    power = torch.nn.functional.adaptive_avg_pool2d(power[:, None], (_HEIGHT, _WIDTH))[:, 0]
    loudest = power.amax((1, 2), keepdim=True).clamp_min(torch.finfo(power.dtype).tiny)
    decibels = 10 * (power / loudest).clamp_min(10 ** (-_DEPTH / 10)).log10()
    level = ((1 + decibels / _DEPTH) * 255).round().clamp(0, 255).byte().flip(1).numpy()
    drawn: Pixels = _colours()[level]
    return drawn


@cache
def _colours() -> Pixels:
    """256 colours from black over red to white, evenly brighter."""
    from matplotlib import colormaps  # a third of a second that pictures of faces need not wait for

    table: Pixels = (colormaps["magma"](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8)
    return table
