"""Photographs are decoded once, one after the other, into a file that batches are read from: they need no memory."""

from __future__ import annotations

import hashlib
import json
import math
import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mi_lightning.data.base import Batch
from mi_lightning.data.pictures import DamagedPictureError, Picture
from mi_lightning.errors import MIError
from mi_lightning.io import made_whole, nothing_is_written

_PIXELS, _TABLE = "pixels.u8", "table.json"
_VERSION = 1  # of the files in the cache


@dataclass(frozen=True)
class Photograph:
    """A file of a folder of people, not yet read.

    Attributes:
        person: Whose folder it lies in.
        name: Its path below the folder of the data, the same on every machine.
        path: The file.
        part: ``"train"`` or ``"test"`` where the folders say it; None if the split decides.
    """

    person: str
    name: str
    path: Path
    part: str | None = None


@dataclass(frozen=True)
class Decoded:
    """A photograph in the store.

    Attributes:
        person: Who it is.
        name: Its path below the folder of the data.
        part: See `Photograph`.
        sha256: Digest of its pixels.
        note: What became of it, where it is not as it should be: ``"no face"``; empty otherwise.
    """

    person: str
    name: str
    part: str | None
    sha256: str
    note: str = ""


@dataclass(frozen=True)
class PhotographStore:
    """Decoded photographs in a file.

    Attributes:
        folder: Where the file lies.
        shape: Shape of one photograph, (channels, height, width).
        photographs: What is in it, in order.
        damaged: Files that could not be read, each with its reason.
        faceless: Files that were left out since no face was found.
    """

    folder: Path
    shape: tuple[int, ...]
    photographs: tuple[Decoded, ...]
    damaged: tuple[str, ...]
    faceless: tuple[str, ...]

    @property
    def sha256(self) -> str:
        """Digest of who is on which photograph, and of all pixels."""
        rows = [(each.person, each.name, each.part, each.sha256) for each in self.photographs]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def read(self, index: Tensor) -> Tensor:
        """Read photographs, (N, channels, height, width) float32 in [0, 1], and nothing else of the file.

        Args:
            index: Which, (N,).

        Raises:
            MIError: If the file is gone.
        """
        levels = np.empty((len(index), *self.shape), np.uint8)
        size = math.prod(self.shape)
        try:
            with (self.folder / _PIXELS).open("rb", buffering=0) as file:
                for place, row in enumerate(index.tolist()):
                    file.seek(row * size)
                    if file.readinto(levels[place].data) != size:
                        raise OSError("it is shorter than it was")
        except OSError as error:
            reason = error.strerror or str(error)
            raise MIError(f"cannot read the decoded photographs in {self.folder}: {reason}; run again") from error
        return torch.from_numpy(levels).float().div_(255)

    @classmethod
    def open(cls, folder: Path, shape: tuple[int, ...]) -> PhotographStore:
        """Open what an earlier run decoded.

        Raises:
            OSError: If there is none.
            ValueError: If it is damaged.
        """
        try:
            table = json.loads((folder / _TABLE).read_text(encoding="utf-8"))
            rows = tuple(Decoded(**row) for row in table["photographs"])
            found = cls(folder, shape, rows, tuple(table["damaged"]), tuple(table["faceless"]))
        except (KeyError, TypeError) as error:
            raise ValueError("no table of photographs") from error
        if (folder / _PIXELS).stat().st_size != len(rows) * math.prod(shape):
            raise ValueError("not all pixels are there")
        return found

    @classmethod
    def decode(
        cls,
        folder: Path,
        shape: tuple[int, ...],
        photographs: Iterable[Photograph],
        read: Callable[[Path], tuple[Picture | None, str]],
    ) -> PhotographStore:
        """Decode photographs one after the other; the folder appears when all are done.

        Where nothing is to be written (:func:`mi_lightning.io.writing_nothing`) they are in a temporary folder, which
        goes with the store.

        Args:
            folder: Where they are kept, a folder of its own.
            shape: Shape of one, (channels, height, width).
            photographs: The files.
            read: Gives the pixels, (height, width) or (height, width, 3), None to leave it out; and a note.

        Raises:
            MIError: If the file cannot be written.
        """
        if not nothing_is_written():
            return cls._decode(folder, shape, photographs, read)
        with ExitStack() as undo:
            temporary = Path(undo.enter_context(TemporaryDirectory(prefix="mi_lightning.")))
            store = cls._decode(temporary / folder.name, shape, photographs, read)
            weakref.finalize(store, undo.pop_all().close)
        return store

    @classmethod
    def _decode(
        cls,
        folder: Path,
        shape: tuple[int, ...],
        photographs: Iterable[Photograph],
        read: Callable[[Path], tuple[Picture | None, str]],
    ) -> PhotographStore:
        rows: list[Decoded] = []
        damaged: list[str] = []
        faceless: list[str] = []

        def fill(file: IO[bytes]) -> None:
            for each in photographs:
                try:
                    picture, note = read(each.path)
                except DamagedPictureError as error:
                    damaged.append(f"{each.name} ({error})")
                    continue
                if picture is None:
                    faceless.append(each.name)
                    continue
                planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
                if planes.shape != shape:
                    raise RuntimeError(f"{each.name}: {planes.shape} instead of {shape}")
                pixels = np.ascontiguousarray(planes).tobytes()
                file.write(pixels)
                rows.append(Decoded(each.person, each.name, each.part, hashlib.sha256(pixels).hexdigest(), note))

        with made_whole(folder) as new:
            with (new / _PIXELS).open("wb") as file:
                fill(file)
            table = {"photographs": [asdict(row) for row in rows], "damaged": damaged, "faceless": faceless}
            (new / _TABLE).write_text(json.dumps(table), encoding="utf-8")
        return cls(folder, shape, tuple(rows), tuple(damaged), tuple(faceless))


def store_key(photographs: Sequence[Photograph], settings: object) -> str:
    """Name of decoded photographs in the cache: it changes with the files (size, times) and with what decodes them.

    Args:
        photographs: What is decoded.
        settings: Plain values that change what they become.
    """
    content = hashlib.sha256(json.dumps([_VERSION, settings]).encode())
    for each in photographs:
        state = each.path.stat()
        times = (state.st_mtime_ns, state.st_ctime_ns)  # a copy may keep the first, and so do permissions
        stamp = (each.person, each.name, each.part, str(each.path.absolute()), state.st_size, *times)
        content.update(json.dumps(stamp).encode())
    return f"faces-{content.hexdigest()[:24]}"


class StoredSet(Dataset[Batch]):
    """Photographs of a store and their labels; a batch is read when it is asked for.

    Args:
        store: Holds them.
        index: Which of them, (N,).
        y: Their labels, (N,) int64.
    """

    def __init__(self, store: PhotographStore, index: Tensor, y: Tensor) -> None:
        """Read nothing yet."""
        self.store, self.index, self.y = store, index, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> Batch:
        x, y = self.__getitems__([index])
        return x[0], y[0]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Read the batch of ``indices``."""
        index = torch.as_tensor(indices)
        return self.store.read(self.index[index]), self.y[index]
