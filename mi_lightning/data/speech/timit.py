"""TIMIT: people of eight dialect regions who read sentences rich in sounds."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from mi_lightning.data.speech.base import Sex
from mi_lightning.data.speech.cache import Recording
from mi_lightning.data.speech.folder import FolderOfSpeakers, natural
from mi_lightning.errors import InputError

_SENTENCE = re.compile(r"(s[axi]\d+)\.(?:wav|flac|sph)(?:\.wav)?", re.IGNORECASE)
_TIMIT_SPEAKER = re.compile(r"[fm]\w{3}\d", re.IGNORECASE)


class Timit(FolderOfSpeakers):
    """TIMIT [Garofolo et al., LDC93S1]: ``TRAIN/DR1/FCJF0/SX37.WAV``, in upper or lower case.

    The split is SincNet's [Ravanelli, Bengio, SLT 2018]: the five SX sentences of each speaker train, the three SI
    sentences test, and the two SA sentences, which everybody reads, are left out.

    Args:
        root: Folder that holds ``TRAIN`` and ``TEST`` (or one that holds such a folder ``TIMIT``); the environment
            variable ``TIMIT`` if not given.
        speakers: The corpus's own parts: ``"train"`` (462 speakers, as in the literature), ``"test"`` (168), ``"all"``.
        **speech: The arguments of `SpeakerDataModule`, but those of the split.

    Raises:
        InputError: If no folder is given; on first use, if the folder or files in it cannot be used.
    """

    variable = "TIMIT"
    layout = "that holds TRAIN and TEST of TIMIT"

    def __init__(
        self, root: str | None = None, speakers: Literal["train", "test", "all"] = "train", **speech: Any
    ) -> None:
        # the corpus decides on the split: its arguments are no arguments here
        super().__init__(root, split="first", split_seed=0, test_fraction=0.2, **speech)
        if speakers not in ("train", "test", "all"):
            raise InputError("speakers train, test or all", speakers, "speakers")
        self.speakers = speakers

    @cached_property
    def _found(self) -> dict[str, tuple[str, list[Recording]]]:
        """Dialect and recordings of each speaker."""
        parts = ("train", "test") if self.speakers == "all" else (self.speakers,)
        tops = {path.name.lower(): path for path in self.folder.iterdir() if path.is_dir()}
        if "timit" in tops and not tops.keys() & {"train", "test"}:
            tops = {path.name.lower(): path for path in tops["timit"].iterdir() if path.is_dir()}
        found: dict[str, tuple[str, list[Recording]]] = {}
        for part in parts:
            if part not in tops:
                raise InputError(f"a folder {part.upper()} of TIMIT", f"none in {self.root}", self.field)
            for dialect in sorted(tops[part].iterdir(), key=natural):
                if not (dialect.is_dir() and re.fullmatch(r"dr[1-8]", dialect.name, re.IGNORECASE)):
                    continue
                for speaker in sorted(dialect.iterdir(), key=natural):
                    if speaker.is_dir() and _TIMIT_SPEAKER.fullmatch(speaker.name):
                        found[speaker.name.lower()] = (dialect.name.lower(), self._sentences(speaker))
        return found

    @staticmethod
    def _sentences(speaker: Path) -> list[Recording]:
        """List the SX and SI sentences of a speaker; one file of each, though a converted copy may lie beside it."""
        name = speaker.name.lower()
        files: dict[str, Path] = {}
        for path in sorted(speaker.iterdir()):
            if (match := _SENTENCE.fullmatch(path.name)) is not None:
                files.setdefault(match[1].lower(), path)
        return [
            Recording(name, f"{name}/{sentence}", path, "train" if sentence.startswith("sx") else "test")
            for sentence, path in sorted(files.items(), key=lambda item: natural(Path(item[0])))
            if not sentence.startswith("sa")
        ]

    def find(self) -> list[Recording]:
        """List the SX and SI sentences."""
        return [recording for _, recordings in self._found.values() for recording in recordings]

    def sex_of(self, speaker: str) -> Sex:
        """Sex that the first letter of the speaker's folder gives."""
        return "F" if speaker.startswith("f") else "M"

    @property
    def dialects(self) -> tuple[str, ...]:
        """Dialect region of each speaker, ``"dr1"`` to ``"dr8"``, in the order of the labels."""
        return tuple(self._found[name][0] for name in self.class_names)

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"speakers": self.speakers, "split": "sx_si"}
