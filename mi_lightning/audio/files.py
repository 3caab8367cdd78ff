"""Sound in files: reading recordings, and waveforms as samples of 16 bits."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.audio.containers import what_is_missing
from mi_lightning.extras import load_soundfile

FULL_SCALE = 32767  # sample of amplitude 1 in 16 bits
_FRAMES = 2 * 1152  # samples at the end of an MP3 file of which encoders do not agree whether they count


class DamagedAudioError(Exception):
    """A recording that cannot be used; the message says why in a few words."""


def read_audio(path: Path) -> tuple[NDArray[np.float64], int]:
    """Read a WAV, FLAC, AIFF, NIST SPHERE, MP3, Ogg Vorbis or Opus file.

    Returns:
        Samples (samples, channels) with full scale at 1, and the rate in Hz.

    Raises:
        DamagedAudioError: If it cannot be read to its end, or holds nothing, or something that is no number.
    """
    soundfile = load_soundfile()
    try:
        if (missing := what_is_missing(path)) is not None:
            raise DamagedAudioError(missing)
        with soundfile.SoundFile(str(path)) as file:
            announced, rate = int(file.frames), int(file.samplerate)
            spare = _FRAMES if file.format == "MP3" else 0
            samples: NDArray[np.float64] = file.read(dtype="float64", always_2d=True)
    except FileNotFoundError:
        raise DamagedAudioError("missing") from None
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise DamagedAudioError(_reason(error)) from None
    if announced <= 0:
        raise DamagedAudioError("no samples")
    if not len(samples) or len(samples) < announced - spare:
        raise DamagedAudioError(f"truncated: {len(samples)} of {announced} samples")
    if not np.isfinite(samples).all():
        raise DamagedAudioError("samples that are no numbers")
    return samples, rate


def full_scale(waves: Tensor) -> Tensor:
    """Cut off what is beyond full scale; NaN becomes silence."""
    return waves.nan_to_num(0.0).clamp(-1, 1)


def to_int16(waves: Tensor) -> NDArray[np.int16]:
    """Turn waveforms, any shape, full scale at 1, into 16-bit samples; what is beyond is cut off, NaN is silence."""
    whole: NDArray[np.int16] = (full_scale(waves) * FULL_SCALE).round().short().numpy()
    return whole


def from_int16(samples: NDArray[np.int16]) -> Tensor:
    """Turn 16-bit samples back into waveforms with full scale at 1."""
    return torch.from_numpy(samples.astype(np.float32)) / FULL_SCALE


def wav(samples: Tensor, rate: int) -> bytes:
    """Encode a waveform of any shape with one channel, full scale at 1, as a 16-bit WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(to_int16(samples.flatten()).astype("<i2").tobytes())
    return buffer.getvalue()


def _reason(error: Exception) -> str:
    """Say what went wrong without the path, which is named anyway."""
    return " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".") or type(error).__name__
