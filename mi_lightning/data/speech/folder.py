"""Speakers in a tree of files below one folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar

from mi_lightning.data.speech.base import SpeakerDataModule
from mi_lightning.data.speech.cache import Recording
from mi_lightning.errors import InputError

_SUFFIXES = frozenset({".wav", ".flac", ".sph", ".nist", ".ogg", ".aif", ".aiff"})


class FolderOfSpeakers(SpeakerDataModule):
    """Speakers in a tree of files below one folder: the base of corpora that are read from disk.

    Args:
        root: The folder; the environment variable `variable` if not given.
        **speech: The arguments of `SpeakerDataModule`.

    Raises:
        InputError: If no folder is given.
    """

    field = "root"
    #: Environment variable that names the folder if no argument does.
    variable: ClassVar[str]
    #: What the folder should look like, for errors.
    layout: ClassVar[str]

    def __init__(self, root: str | None = None, **speech: Any) -> None:
        super().__init__(**speech)
        root = root if root is not None else os.environ.get(self.variable)
        if root is None:
            expected = f"a folder {self.layout}, or the environment variable {self.variable}"
            raise InputError(expected, "neither", "root")
        self.root = root

    @property
    def folder(self) -> Path:
        """The folder.

        Raises:
            InputError: If there is none.
        """
        folder = Path(self.root)
        if not folder.is_dir():
            raise InputError(f"a folder {self.layout}", f"{folder}, no folder", self.field)
        return folder

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"root": self.root}


def natural(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Key that sorts ``2.wav`` before ``10.wav``, folder by folder."""
    parts = (part for name in path.parts for part in (*re.split(r"(\d+)", name.lower()), "/"))
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def audio_below(folder: Path) -> list[Path]:
    """Audio files at any depth, in natural order; hidden ones (and what other systems leave) are passed over."""
    files = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    return sorted(files, key=natural)


def recordings_below(folder: Path) -> list[Recording]:
    """List the recordings in a folder with one folder per speaker, in natural order; hidden folders are nobody's."""
    speakers = sorted((path for path in folder.iterdir() if path.is_dir()), key=natural)
    return [
        Recording(speaker.name, path.relative_to(folder).as_posix(), path)
        for speaker in speakers
        if not speaker.name.startswith(".")
        for path in audio_below(speaker)
    ]


class SpeakerFolder(FolderOfSpeakers):
    """Any folder with one folder per speaker, which holds WAV, FLAC or NIST SPHERE files at any depth.

    Args:
        root: The folder; the environment variable ``MI_SPEAKERS`` if not given.
        **speech: The arguments of `SpeakerDataModule`.

    Raises:
        InputError: If no folder is given; on first use, if the folder or files in it cannot be used.
    """

    variable = "MI_SPEAKERS"
    layout = "with one folder of recordings per speaker"

    def find(self) -> list[Recording]:
        """List the files below each speaker's folder."""
        return recordings_below(self.folder)
