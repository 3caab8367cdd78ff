"""What a recording becomes before it is learnt from: one channel, one rate, no silent ends, one loudness."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mi_lightning.audio.files import DamagedAudioError

_FRAME = 0.02  # seconds over which loudness is measured to find silence


def prepare_audio(
    samples: NDArray[np.float64], rate: int, *, sample_rate: int, trim_db: float | None, normalise: bool
) -> NDArray[np.float64]:
    """Make one channel of a recording at the wanted rate, without silence at its ends, as loud as it can be.

    Args:
        samples: (samples, channels), full scale at 1.
        rate: Their rate, Hz.
        sample_rate: Wanted rate, Hz; polyphase filtering of `scipy.signal.resample_poly`.
        trim_db: Ends that are quieter than this many decibels below the loudest 20 ms are cut; None keeps them.
        normalise: Whether the greatest amplitude becomes 1.

    Returns:
        (samples,) in [-1, 1].

    Raises:
        DamagedAudioError: If there is no sound in it.
    """
    mono = samples.mean(1)
    if rate != sample_rate:
        from scipy.signal import resample_poly  # a third of a second that pictures need not wait for

        common = math.gcd(rate, sample_rate)
        mono = resample_poly(mono, sample_rate // common, rate // common)
    peak = float(np.abs(mono).max(initial=0))
    if not peak:
        raise DamagedAudioError("nothing but silence")
    if trim_db is not None:
        size = max(1, round(_FRAME * sample_rate))
        power = np.add.reduceat(mono**2, np.arange(0, len(mono), size))
        loud = np.flatnonzero(power > power.max() * 10 ** (-trim_db / 10))
        mono = mono[loud[0] * size : (loud[-1] + 1) * size]
    if normalise:
        mono = mono / peak
    clipped: NDArray[np.float64] = mono.clip(-1, 1)
    return clipped
