"""Reading recordings from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mi_lightning.extras import load_soundfile


class DamagedAudioError(Exception):
    """A recording that cannot be used; the message says why in a few words."""


def read_audio(path: Path) -> tuple[NDArray[np.float64], int]:
    """Read a WAV, FLAC or NIST SPHERE file.

    Returns:
        Samples (samples, channels) with full scale at 1, and the rate in Hz.

    Raises:
        DamagedAudioError: If it cannot be read to its end, or holds nothing, or something that is no number.
    """
    soundfile = load_soundfile()
    try:
        with soundfile.SoundFile(str(path)) as file:
            announced, rate = int(file.frames), int(file.samplerate)
            samples: NDArray[np.float64] = file.read(dtype="float64", always_2d=True)
    except FileNotFoundError:
        raise DamagedAudioError("missing") from None
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise DamagedAudioError(_reason(error)) from None
    if announced <= 0:
        raise DamagedAudioError("no samples")
    if len(samples) < announced:
        raise DamagedAudioError(f"truncated: {len(samples)} of {announced} samples")
    if not np.isfinite(samples).all():
        raise DamagedAudioError("samples that are no numbers")
    return samples, rate


def _reason(error: Exception) -> str:
    """Say what went wrong without the path, which is named anyway."""
    return " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".") or type(error).__name__
