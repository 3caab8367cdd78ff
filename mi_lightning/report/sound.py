"""Voices in reports: WAV files, spectrograms, and sounds inside an HTML page."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.data.base import SPEECH_RATE, modality_of
from mi_lightning.report.pictures import Pixels

_FULL = 32767  # sample of amplitude 1 in 16 bits
_DEPTH = 70.0  # decibels below the loudest point that a spectrogram shows
_WIDTH, _HEIGHT = 160, 96  # pixels of a spectrogram
_PLAYED = 2.0  # seconds inside a page: whole waveforms are in the files


def is_sound(shape: Sequence[int]) -> bool:
    """Whether inputs of this shape are waveforms: (1, samples).

    Example:
        >>> is_sound((1, 3200)), is_sound((1, 112, 92)), is_sound((300,))
        (True, False, False)
    """
    return modality_of(shape, (-1.0, 1.0)).kind == "sound"


def sample_rate(attack: Mapping[str, Any], data: Mapping[str, Any] | None) -> int:
    """Samples in a second (Hz), as the description of an attack's space or of its data says; 16000 where none does."""
    space = attack.get("space")
    for part in (space if isinstance(space, Mapping) else {}, data or {}):
        if isinstance(rate := part.get("sample_rate"), int):
            return rate
    return SPEECH_RATE


def full_scale(waves: Tensor) -> Tensor:
    """Cut off what is beyond full scale; NaN becomes silence."""
    return waves.nan_to_num(0.0).clamp(-1, 1)


def to_int16(waves: Tensor) -> NDArray[np.int16]:
    """Turn waveforms, any shape, full scale at 1, into 16-bit samples; what is beyond is cut off, NaN is silence."""
    whole: NDArray[np.int16] = (full_scale(waves) * _FULL).round().short().numpy()
    return whole


def from_int16(samples: NDArray[np.int16]) -> Tensor:
    """Turn 16-bit samples back into waveforms with full scale at 1."""
    return torch.from_numpy(samples.astype(np.float32)) / _FULL


def wav(samples: Tensor, rate: int) -> bytes:
    """Encode a waveform of any shape with one channel, full scale at 1, as a 16-bit WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_int16(samples.flatten()).astype("<i2").tobytes())
    return buffer.getvalue()


def wav_uri(samples: Tensor, rate: int) -> str:
    """Encode the first seconds of a waveform so that they can stand inside an HTML page."""
    played = samples.flatten()[: round(_PLAYED * rate)]
    return "data:audio/wav;base64," + base64.b64encode(wav(played, rate)).decode("ascii")


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
