"""Reading what an attack left in its folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.checkpoint import plain_digest
from mi_lightning.data.base import Modality, modality_of
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import one_line, read_json
from mi_lightning.report import sound
from mi_lightning.report.media import Media, media
from mi_lightning.report.schema import RESULTS_SCHEMA, SCHEMA_VERSION, from_version_1, problem

#: Arrays that every ``reconstructions.npz`` holds, one line a row.
ARRAYS = ("reconstruction", "candidate", "label", "restart", "cost", "confidence")

#: What real samples give, by which of them is taken for the ceiling first.
CEILINGS = ("class_mean", "real_speech", "best_photograph", "real_test")


@dataclass(frozen=True, repr=False)
class RunResults:
    """What one attack left in its folder.

    Attributes:
        folder: Where it is.
        data: ``results.json``, which fits :data:`~mi_lightning.report.schema.RESULTS_SCHEMA`.
        pictures: Whether pictures and sounds of it may be shown.
        said: What becomes of a text of its folder before it is shown (names, where they are withheld).
    """

    folder: Path
    data: Mapping[str, Any]
    pictures: bool = True
    said: Callable[[str], str] = str

    @property
    def quick(self) -> bool:
        """Whether it is of a quick audit, which is no evidence."""
        return self.data.get("quick") is True

    @property
    def erased(self) -> int:
        """Number of people who were erased from it."""
        return int((self.data.get("erased") or {}).get("people", 0))

    def __repr__(self) -> str:
        """Say in one line where the run is, and of how many people."""
        return f"RunResults({str(self.folder)!r}, {len(self.best)} people)"

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def summary(self) -> Mapping[str, Any]:
        """Numbers of the whole attack."""
        summary: Mapping[str, Any] = self.data["summary"]
        return summary

    @property
    def attack_sha256(self) -> str:
        """Digest of the attack's configuration, every part of it: the same for the same attack, wherever it ran."""
        return plain_digest(self.data["attack"])

    @property
    def best(self) -> list[Mapping[str, Any]]:
        """One entry of ``per_label`` for each person: the restart of least cost."""
        return [row for row in self.data["per_label"] if row.get("best", True)]

    @property
    def best_index(self) -> list[int]:
        """Places of :attr:`best` in ``per_label``, and in the arrays."""
        return [index for index, row in enumerate(self.data["per_label"]) if row.get("best", True)]

    @property
    def ceiling(self) -> tuple[str, float] | None:
        """The most that a recogniser can be shown, by the first of :data:`CEILINGS`: which, and the share it names."""
        known = self.data.get("ceiling") or {}
        shares = ((name, (known.get(name) or {}).get("recognised")) for name in CEILINGS)
        return next(((name, share) for name, share in shares if share is not None), None)

    @cached_property
    def modality(self) -> Modality:
        """What the reconstructions are."""
        rate = sound.sample_rate(self.data["attack"], self.data.get("data"))
        return modality_of(self.data.get("input_shape", ()), self.data.get("input_range", (0.0, 1.0)), rate)

    @property
    def media(self) -> Media:
        """How they are shown."""
        return media(self.modality.kind)

    @property
    def reconstructions(self) -> Tensor:
        """The best one of each person, as in :attr:`best`, shape (people, *input_shape)."""
        return torch.from_numpy(self.arrays["reconstruction"][self.best_index])

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Content of ``reconstructions.npz``, one line per entry of ``per_label``.

        Raises:
            MIError: If the file is missing or damaged, or belongs to another ``results.json``.
        """
        path = self.folder / "reconstructions.npz"
        try:
            # opened here, since np.load leaves a damaged file open
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
        except FileNotFoundError:
            raise MIError(
                f"no reconstructions.npz beside results.json in {self.folder}: run the attack again"
            ) from None
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise MIError(f"cannot read {path}: {one_line(error)}: run the attack again") from error
        rows = len(self.data["per_label"])
        for name in ARRAYS:
            if name not in arrays or len(arrays[name]) != rows:
                raise MIError(f"expected {rows} rows of {name!r} in {path}, as in results.json: run the attack again")
        return arrays


def read_results(folder: str | Path) -> RunResults:
    """Read what :func:`~mi_lightning.report.writing.write_results` wrote, of this or an earlier version.

    What an earlier version wrote is given in the keys of this one; what it did not know is null.

    Args:
        folder: The run's folder, or its ``results.json``.

    Raises:
        MIError: If the file is missing or damaged, or has another schema version.
    """
    path = Path(folder)
    if path.name != "results.json":
        path = path / "results.json"
    if not path.is_file():
        raise MIError(f"no results.json in {path.parent}: name the folder of an attack (mi-lightning invert)")
    try:
        data = read_json(path)
    except MIError as error:
        if isinstance(error.__cause__, OSError):  # what was found may be whole
            raise
        raise MIError(f"{error}: run the attack again") from error
    found = data.get("schema_version") if isinstance(data, dict) else None
    if found not in (1, SCHEMA_VERSION):
        raise MIError(f"expected schema_version 1 or {SCHEMA_VERSION}, got {found} in {path}")
    if found == 1:
        data = from_version_1(data)
    if wrong := problem(data, RESULTS_SCHEMA):
        raise MIError(f"{path} does not fit schema version {found}: {wrong}")
    return RunResults(path.parent, data)


def read_runs(runs: Sequence[str | Path], names: Sequence[str] | None = None) -> tuple[list[str], list[RunResults]]:
    """Read several runs and give each a name.

    Args:
        runs: Their folders, one or more.
        names: Name of each; taken from the folders if None.

    Raises:
        InputError: If there is no run, or not one name for each.
        MIError: If a run cannot be read.
    """
    if not runs:
        raise InputError("at least one run", "none", "runs")
    found = [read_results(run) for run in runs]
    named = run_names(found) if names is None else list(names)
    if len(named) != len(found):
        raise InputError(f"{len(found)} names, one for each run", len(named), "names")
    return named, found


def run_names(runs: Sequence[RunResults]) -> list[str]:
    """A short name for each run: its folder, or the one above where a logger only numbered it; no two alike."""
    names = []
    for run in runs:
        folder = run.folder.resolve()
        numbered = re.fullmatch(r"version_\d+", folder.name) and folder.parent.name not in ("", "lightning_logs")
        names.append(folder.parent.name if numbered else folder.name)
    counts = Counter(names)
    names = [
        f"{name}/{run.name}" if counts[name] > 1 and run.name != name else name
        for name, run in zip(names, runs, strict=True)
    ]
    counts, seen = Counter(names), Counter[str]()
    for index, name in enumerate(names):
        if counts[name] > 1:
            seen[name] += 1
            names[index] = f"{name} ({seen[name]})"
    return names
