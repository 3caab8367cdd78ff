"""Recordings are decoded once: what was decoded is kept in a file that later runs map into memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.audio.files import FULL_SCALE, DamagedAudioError
from mi_lightning.audio.prepare import prepare_audio
from mi_lightning.data.base import Part
from mi_lightning.data.cache import some
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import made_whole, nothing_is_written

#: All samples of a corpus one after the other, (samples,) int16, and the table of whose are where.
Decoded = tuple[NDArray[np.int16], dict[str, Any]]

_VERSION = 3  # of the files in the cache, and of what is noticed when they are made


@dataclass(frozen=True)
class Recording:
    """One recording of a corpus, not yet read.

    Attributes:
        speaker: Name of the speaker.
        name: Name of the recording, the same on every machine.
        path: File; None if it has none.
        part: Where the corpus puts it; None if the split decides.
    """

    speaker: str
    name: str
    path: Path | None = None
    part: Part | None = None


def cache_key(recordings: Sequence[Recording], kind: str, settings: dict[str, Any]) -> str:
    """Name of decoded audio in the cache: it changes with the files (size, times) and with what decodes them.

    Args:
        recordings: What is decoded.
        kind: Class of the data.
        settings: Plain values that change the decoded audio.
    """
    files = []
    for recording in recordings:
        state = None if recording.path is None else recording.path.stat()
        stamp = None if state is None else (str(recording.path), state.st_size, state.st_mtime_ns, state.st_ctime_ns)
        files.append((recording.speaker, recording.name, recording.part, stamp))
    content = json.dumps([_VERSION, kind, settings, files])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def open_decoded(folder: Path, decode: Callable[[], Decoded]) -> Decoded:
    """Map decoded audio into memory, decoding it first if no earlier run has, or if what it left is damaged.

    Args:
        folder: Where it is kept, a folder of its own.
        decode: Decodes it.
    """
    with contextlib.suppress(OSError, ValueError):  # not there yet, or damaged: it is made anew
        return _map(folder, json.loads((folder / "table.json").read_text(encoding="utf-8")))
    audio, table = decode()
    if nothing_is_written():
        return audio, table
    try:
        with made_whole(folder) as new:
            np.save(new / "audio.npy", audio)
            (new / "table.json").write_text(json.dumps(table), encoding="utf-8")
        return _map(folder, table)
    except (MIError, OSError) as error:
        warnings.warn(
            f"decoded audio is not kept, it will be decoded again next time: {error} (cache_dir)", stacklevel=2
        )
        return audio, table


def _map(folder: Path, table: dict[str, Any]) -> Decoded:
    return np.load(folder / "audio.npy", mmap_mode="r"), table


def decode_recordings(
    recordings: Sequence[Recording],
    read: Callable[[Recording], tuple[NDArray[np.float64], int]],
    *,
    sample_rate: int,
    trim_db: float | None,
    normalise: bool,
    place: str = "",
    field: str = "",
) -> Decoded:
    """Read and prepare every recording: all samples one after the other, whose are where, and what to warn of.

    Args:
        recordings: What is decoded.
        read: Gives samples (samples, channels) and the rate in Hz of one.
        sample_rate: Rate that is wanted, Hz.
        trim_db: See `mi_lightning.audio.prepare_audio` for this and the next.
        normalise: Whether the greatest amplitude of each recording becomes 1.
        place: Where the recordings lie, for errors, as ``" in /speech"``.
        field: Argument that names them, for errors.

    Raises:
        InputError: If some cannot be used; it names them.
    """
    pieces: list[NDArray[np.int16]] = []
    rows: list[dict[str, Any]] = []
    damaged: list[str] = []
    rates: set[int] = set()
    stereo = position = 0
    for recording in recordings:
        try:
            samples, rate = read(recording)
            audio = prepare_audio(samples, rate, sample_rate=sample_rate, trim_db=trim_db, normalise=normalise)
        except DamagedAudioError as error:
            damaged.append(f"{recording.name} ({error})")
            continue
        if rate < sample_rate:
            rates.add(rate)
        stereo += samples.shape[1] > 1
        pieces.append(np.round(audio * FULL_SCALE).astype(np.int16))
        stop = position + len(audio)
        rows.append({"speaker": recording.speaker, "name": recording.name, "part": recording.part})
        rows[-1] |= {"start": position, "stop": stop}
        position = stop
    if damaged:
        raise InputError(f"{len(recordings)} recordings{place} that can be used", f"damaged: {some(damaged)}", field)
    told = []
    if rates:
        told.append(
            f"some recordings have a rate of {', '.join(map(str, sorted(rates)))} Hz and are resampled to "
            f"{sample_rate} Hz: what their upper band lacks may give speakers away (sample_rate)"
        )
    if stereo:
        told.append(f"{stereo} recordings have several channels, which are averaged")
    flat = np.concatenate(pieces)
    digest = hashlib.sha256(json.dumps(rows).encode())
    digest.update(flat.tobytes())
    return flat, {"sha256": digest.hexdigest(), "recordings": rows, "told": told}
