"""Files of sound that are shorter than they say: what decoders pass over in silence."""

from __future__ import annotations

import os
import re
import struct
from pathlib import Path
from typing import BinaryIO

_UNKNOWN = (0, 0xFFFFFFFF)  # sizes that programs write who cannot go back to the header
_PAGE = 65307  # bytes of the longest page of Ogg
_LAST = 4  # flag of the last page of a stream


def what_is_missing(path: Path) -> str | None:
    """Say what a WAV, AIFF, NIST SPHERE or Ogg file lacks by its own word; None if nothing, or if it does not say.

    FLAC and MP3 are no containers of this kind: their decoders tell. An MP3 file without the header of Xing, which most
    encoders write, does not say how long it should be.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(0)
        start = file.read(12)
        if start[:4] in (b"RIFF", b"RIFX", b"FORM"):
            return _of_chunks(file, length, start)
        if start.startswith(b"NIST_1A"):
            return _of_sphere(file, length)
        if start.startswith(b"OggS"):
            return _of_ogg(file, length)
    return None


def _short(there: int, wanted: int) -> str | None:
    return f"truncated: {max(0, there)} of {wanted} bytes of sound" if there < wanted else None


def _of_chunks(file: BinaryIO, length: int, start: bytes) -> str | None:
    """Look at the chunk of samples: ``data`` of WAV, ``SSND`` of AIFF."""
    order = "<" if start[:4] == b"RIFF" else ">"
    place = 12
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack(f"{order}4sI", head)
        place += 8
        if name in (b"data", b"SSND"):
            return None if size in _UNKNOWN else _short(length - place, size)
        place += size + size % 2
        file.seek(place)
    return "truncated: no samples"


def _of_sphere(file: BinaryIO, length: int) -> str | None:
    """Compare the number of samples in the header; compressed ones have no length that is known."""
    file.seek(0)
    lines = file.read(4096).split(b"\n")
    fields = dict(re.findall(rb"(sample_\w+|channel_count) -\w+ (\S+)", b"\n".join(lines)))
    try:
        header = int(lines[1])
        wanted = int(fields[b"sample_count"]) * int(fields[b"sample_n_bytes"]) * int(fields.get(b"channel_count", b"1"))
    except (IndexError, KeyError, ValueError):
        return None
    plain = fields.get(b"sample_coding", b"pcm") in (b"pcm", b"ulaw", b"alaw")
    return _short(length - header, wanted) if plain else None


def _of_ogg(file: BinaryIO, length: int) -> str | None:
    """See that the last page is whole, and marked as the last of its stream."""
    file.seek(max(0, length - 2 * _PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    whole = len(page) > 26 and len(segments) == page[26] and len(page) >= 27 + len(segments) + sum(segments)
    return None if whole and page[5] & _LAST else "truncated: its last page is missing"
