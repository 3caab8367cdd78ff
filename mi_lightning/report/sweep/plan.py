"""What a sweep was to find out, and the runs that it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mi_lightning.errors import MIError
from mi_lightning.io import one_line, write_atomically
from mi_lightning.judging.calibration import Utility
from mi_lightning.report.axes import Axis
from mi_lightning.report.results import RunResults, read_results


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep was to find out.

    Attributes:
        title: Title of the report.
        axes: What varies; the first one is the strength.
        attacks: Names of the attacks.
        seeds: Seeds of the attacks.
        broken_below: An attack counts as broken where a smaller share of the people is recognised.
        settings: Attacks and grid as they stood in the configuration.
    """

    title: str
    axes: Sequence[Axis]
    attacks: Sequence[str]
    seeds: Sequence[int]
    broken_below: float
    settings: Mapping[str, Any]

    @property
    def strength(self) -> Axis:
        """The axis along which the figure runs."""
        return self.axes[0]

    @property
    def defends(self) -> bool:
        """Whether that axis is the strength of a defense, so that its words fit."""
        axis = self.strength
        keys = [str(key) for key in axis.changes]
        for content in self.settings.get("attacks", {}).values():
            changes = content.get("set") or {} if isinstance(content, Mapping) else {}
            keys += [str(key) for key, value in changes.items() if f"${axis.name}" in str(value)]
        return any("defenses" in key.split(".") for key in keys)


@dataclass(frozen=True)
class FinishedRun:
    """One run of a sweep, as it lies in its folder."""

    results: RunResults
    utility: Utility


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep, and where it belongs.

    Attributes:
        attack: Name of the attack.
        labels: Label on each axis.
        seed: Seed of the attack.
        folder: Its folder.
    """

    attack: str
    labels: Mapping[str, str]
    seed: int
    folder: Path

    def is_at(self, settings: Mapping[str, str]) -> bool:
        """Whether it has these labels."""
        return all(self.labels[name] == label for name, label in settings.items())

    @cached_property
    def finished(self) -> FinishedRun:
        """What it found."""
        return read_run(self.folder)


def write_utility(folder: Path, utility: Utility) -> None:
    """Write what a target released for test photographs beside the results of a run.

    Raises:
        MIError: If it cannot be written.
    """
    write_atomically(
        folder / "utility.npz",
        lambda file: np.savez_compressed(
            file, allow_pickle=False, confidence=utility.confidence.astype(np.float32), correct=utility.correct > 0
        ),
    )


def read_run(folder: Path) -> FinishedRun:
    """Read a run of a sweep.

    Raises:
        MIError: If a file is missing or damaged.
    """
    path = folder / "utility.npz"
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            utility = Utility(content["confidence"].astype(np.float64), content["correct"].astype(np.float64))
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise MIError(f"cannot read {path}: {one_line(error)}") from error
    return FinishedRun(read_results(folder), utility)
