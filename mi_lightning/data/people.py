"""What lies in a folder with one folder of photographs for each person: nothing is read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mi_lightning.data.cache import some
from mi_lightning.data.pictures import SUFFIXES
from mi_lightning.data.store import Photograph
from mi_lightning.errors import InputError

_FOREIGN = frozenset({".heic", ".heif", ".avif", ".tif", ".tiff", ".gif", ".jp2", ".jxl", ".dng", ".cr2", ".nef"})


@dataclass
class Listed:
    """Files below the folders of people.

    Attributes:
        photographs: Pictures that may be read, each person's in natural order.
        skipped: Paths of what is hidden or no such picture.
        lost: Paths of links that lead to no file, or to a folder, which would not end where it leads back.
        foreign: Of each person a picture of a kind that is not read.
    """

    photographs: list[Photograph] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    foreign: dict[str, str] = field(default_factory=dict)

    def add(self, person: str, folder: Path, root: Path, part: str | None) -> None:
        """Take up what lies at any depth in one folder of a person."""
        for path in sorted(folder.rglob("*"), key=lambda path: natural(path.as_posix())):
            label, suffix = path.relative_to(root).as_posix(), path.suffix.lower()
            if not path.is_file():
                if path.is_symlink():
                    self.lost.append(label)
                continue
            hidden = any(each.startswith(".") for each in path.relative_to(folder).parts)
            if not hidden and suffix in SUFFIXES:
                self.photographs.append(Photograph(person, label, path, part))
                continue
            self.skipped.append(label)
            if suffix in _FOREIGN:
                self.foreign.setdefault(person, path.name)


def natural(name: str) -> tuple[tuple[int, int | str, str], ...]:
    """Key that sorts ``s2`` before ``s10``."""
    parts = (part for part in re.split(r"(\d+)", name))
    return tuple((0, int(part), part) if part.isdecimal() else (1, part.lower(), part) for part in parts)


def need_text(names: Sequence[str], root: Path) -> None:
    """See that names of folders are text without control characters: no report can hold others.

    Raises:
        InputError: If some are not.
    """
    if other := [ascii(name) for name in names if {unicodedata.category(each) for each in name} & {"Cc", "Cs"}]:
        raise InputError(f"names of people in {root} that are text", some(other), "root")
