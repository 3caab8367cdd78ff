"""What stands inside a page instead of beside it: small pictures and compressed sounds, as addresses of their own."""

from __future__ import annotations

import base64
import io
import logging

from PIL import Image
from torch import Tensor

from mi_lightning.audio.compressed import MP3_RATES, mp3
from mi_lightning.audio.files import wav
from mi_lightning.errors import MIError
from mi_lightning.report.pictures import Pixels

_log = logging.getLogger(__name__)

_PLAYED = 2.0  # seconds inside a page: whole waveforms are in the files
_QUALITY = 55  # of WebP: spectrograms and snapshots are looked at, never measured


def sound_uri(samples: Tensor, rate: int) -> str:
    """Encode the first seconds of a waveform: MP3, or WAV (seven times the size) without soundfile or at an odd rate.

    Args:
        samples: Any shape, one channel, full scale at 1.
        rate: Samples in a second.
    """
    if rate in MP3_RATES:
        try:
            return _uri("audio/mpeg", mp3(_played(samples, rate), rate))
        except MIError as error:  # no soundfile: a page that is larger is better than none
            _log.debug("a sound is kept as WAV: %s", error)
    return wav_uri(samples, rate)


def wav_uri(samples: Tensor, rate: int) -> str:
    """Encode the first seconds of a waveform without loss: where people judge what they hear.

    Args:
        samples: Any shape, one channel, full scale at 1.
        rate: Samples in a second.
    """
    return _uri("audio/wav", wav(_played(samples, rate), rate))


def _played(samples: Tensor, rate: int) -> Tensor:
    return samples.flatten()[: round(_PLAYED * rate)]


def webp_uri(pixels: Pixels) -> str:
    """Encode a picture, (H, W) or (H, W, 3), with loss: for what need not be seen to the pixel."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, format="WEBP", quality=_QUALITY, method=4)
    return _uri("image/webp", buffer.getvalue())


def _uri(media_type: str, content: bytes) -> str:
    return f"data:{media_type};base64," + base64.b64encode(content).decode("ascii")
