"""Speakers in a tree of files below one folder."""

from __future__ import annotations

import os
import re
import shlex
import warnings
from pathlib import Path
from typing import Any, ClassVar

from mi_lightning.data.cache import some
from mi_lightning.data.people import need_text
from mi_lightning.data.speech.base import SpeakerDataModule
from mi_lightning.data.speech.cache import Recording
from mi_lightning.errors import InputError

_SUFFIXES = frozenset({".wav", ".flac", ".sph", ".nist", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff"})
#: Endings of sound that nothing here decodes.
_FOREIGN = frozenset({".m4a", ".aac", ".mp4", ".wma", ".amr", ".3gp", ".webm", ".mka", ".mkv", ".caf", ".ape", ".wv"})


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


def _leads_nowhere(path: Path, folder: Path) -> bool:
    """Whether it is a link whose recordings are not read: to nothing, or to a folder below a speaker's."""
    return path.is_symlink() and not path.is_file() and (path.parent != folder or not path.is_dir())


def _conversion(name: str) -> str:
    """The command that turns a file of sound into one that is read."""
    return f"ffmpeg -i {shlex.quote(name)} {shlex.quote(Path(name).stem + '.flac')}"


class SpeakerFolder(FolderOfSpeakers):
    """Any folder with one folder per speaker, which holds recordings at any depth.

    WAV, FLAC, AIFF, NIST SPHERE, MP3, Ogg Vorbis and Opus are read, at any rate and with any number of channels. What
    else lies there is left out, and named; a speaker of whom only such sound is there (M4A, say) is an error.

    Args:
        root: The folder; the environment variable ``MI_SPEAKERS`` if not given.
        **speech: The arguments of `SpeakerDataModule`.

    Raises:
        InputError: If no folder is given; on first use, if the folder or files in it cannot be used.
    """

    variable = "MI_SPEAKERS"
    layout = "with one folder of recordings per speaker"

    def find(self) -> list[Recording]:
        """List the files below each speaker's folder, and name what is left out."""
        folder = self.folder
        recordings = recordings_below(folder)
        need_text(sorted({recording.speaker for recording in recordings}), folder)
        used, speakers = {recording.path for recording in recordings}, {recording.speaker for recording in recordings}
        there = sorted(folder.rglob("*"), key=natural)
        # a link to a folder is not followed below a speaker's: it need not end
        left_out = [path for path in there if (path.is_file() or _leads_nowhere(path, folder)) and path not in used]
        left_out = [
            path
            for path in left_out
            if path.parent != folder or path.is_symlink() or path.suffix.lower() in _SUFFIXES | _FOREIGN
        ]
        foreign = [path.relative_to(folder) for path in left_out if path.suffix.lower() in _FOREIGN]
        lost = {path.parts[0]: path for path in foreign if len(path.parts) > 1 and path.parts[0] not in speakers}
        if lost:
            names = [f"{name} ({path.name})" for name, path in lost.items()]
            first = next(iter(lost.values())).name
            raise InputError(
                f"recordings of each speaker that can be read; convert with {_conversion(first)}",
                f"none of {some(names)}",
                self.field,
            )
        nobody = [path.name for path in there if path.parent == folder and path.is_dir() and path.name not in speakers]
        nobody = [name for name in nobody if not name.startswith(".")]
        if nobody and len(speakers) > 1:
            warnings.warn(
                f"{folder}: {len(nobody)} folders without a recording are nobody's: {some(nobody)}", stacklevel=2
            )
        if left_out and len(speakers) > 1:  # else what is missing is told
            named = some([path.relative_to(folder).as_posix() for path in left_out])
            hint = f"; {len(foreign)} are sound: {_conversion(foreign[0].name)}" if foreign else ""
            warnings.warn(f"{folder}: {len(left_out)} files are left out: {named}{hint}", stacklevel=2)
        return recordings
