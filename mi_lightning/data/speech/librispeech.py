"""LibriSpeech: people who read books aloud."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from mi_lightning.data.speech.base import Sex
from mi_lightning.data.speech.cache import Recording
from mi_lightning.data.speech.folder import FolderOfSpeakers, recordings_below
from mi_lightning.errors import InputError


class LibriSpeech(FolderOfSpeakers):
    """LibriSpeech [Panayotov et al., ICASSP 2015]: ``SUBSET/SPEAKER/CHAPTER/*.flac`` beside ``SPEAKERS.TXT``.

    Args:
        root: Folder that holds ``SPEAKERS.TXT`` and the subsets; the environment variable ``LIBRISPEECH`` if not given.
        subset: Folder of the subset, as ``"train-clean-100"``.
        **speech: The arguments of `SpeakerDataModule`.

    Raises:
        InputError: If no folder is given; on first use, if the folder or files in it cannot be used.
    """

    variable = "LIBRISPEECH"
    layout = "that holds SPEAKERS.TXT and the subsets of LibriSpeech"

    def __init__(self, root: str | None = None, subset: str = "train-clean-100", **speech: Any) -> None:
        super().__init__(root, **speech)
        self.subset = subset

    def find(self) -> list[Recording]:
        """List the utterances of the subset."""
        subset = self.folder / self.subset
        if not subset.is_dir():
            there = ", ".join(sorted(path.name for path in self.folder.iterdir() if path.is_dir())) or "none"
            raise InputError(f"a subset of LibriSpeech in {self.root} ({there})", self.subset, "subset")
        return recordings_below(subset)

    @cached_property
    def _sexes(self) -> dict[str, Sex]:
        """Sex of each speaker that ``SPEAKERS.TXT`` names."""
        try:
            text = (self.folder / "SPEAKERS.TXT").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}  # the recordings are enough to train on
        sexes: dict[str, Sex] = {}
        for line in text.splitlines():
            fields = [field.strip() for field in line.split("|")]
            if not line.startswith(";") and len(fields) > 1:
                sexes[fields[0]] = "F" if fields[1].upper() == "F" else "M" if fields[1].upper() == "M" else "?"
        return sexes

    def sex_of(self, speaker: str) -> Sex:
        """Sex that ``SPEAKERS.TXT`` gives."""
        return self._sexes.get(speaker, "?")

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"subset": self.subset}
