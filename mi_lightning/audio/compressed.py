"""Sound in few bytes, for pages that carry their sounds inside."""

from __future__ import annotations

import io

import numpy as np
from torch import Tensor

from mi_lightning.audio.files import full_scale
from mi_lightning.extras import load_soundfile

#: Rates (Hz) that MPEG audio, layer III, knows; others would have to be resampled.
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_LEVEL = 0.5  # of libsndfile's scale from 0 (largest) to 1; about 35 kbit/s for speech at 16 kHz


def mp3(samples: Tensor, rate: int) -> bytes:
    """Encode a waveform as MP3 of variable bit rate, about a seventh of a WAV file of 16 bits.

    MP3, since every browser plays it (Opus in Ogg needs Safari 18.4), and since the same samples give the same bytes:
    an Ogg stream has a random serial number. Its header tells the player which samples are padding, so that the
    length is kept.

    Args:
        samples: Any shape, one channel, full scale at 1; what is beyond is cut off, NaN is silence.
        rate: Samples in a second, one of :data:`MP3_RATES`.

    Raises:
        MIError: If soundfile cannot be imported.
        ValueError: If MP3 has no such rate.
    """
    if rate not in MP3_RATES:
        raise ValueError(f"expected a rate of {', '.join(map(str, MP3_RATES))} Hz, got {rate}")
    soundfile = load_soundfile()
    buffer = io.BytesIO()
    wave = full_scale(samples.detach().float().cpu()).flatten().numpy().astype(np.float32)
    soundfile.write(
        buffer,
        wave,
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=_LEVEL,
        bitrate_mode="VARIABLE",
    )
    return buffer.getvalue()
