"""Every figure of a finished run computed anew from its own files, and what does not agree."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.errors import MIError
from mi_lightning.io import one_line
from mi_lightning.report.formats import csv_table
from mi_lightning.report.results import RunResults, read_results
from mi_lightning.report.summary import recomputed_summary

_RELATIVE = 1e-6  # what earlier versions averaged in single precision agrees to seven digits

#: Blocks of ``results.json`` with figures of which the folder keeps no rows: what vouches for them is their SHA-256.
NOT_RECOMPUTED = ("controls", "ceiling", "chance", "verification")


@dataclass
class Recomputation:
    """What came of computing figures anew.

    Attributes:
        figures: Figures that were compared.
        problems: One line for each that does not agree, and for each file that cannot be read.
        notes: What could not be compared, and why; no problem.
        resting: Figures that cannot be computed from what the folder holds (:data:`NOT_RECOMPUTED`).
    """

    figures: int = 0
    problems: list[str] = field(default_factory=list)
    resting: int = 0
    notes: list[str] = field(default_factory=list)

    def compare(self, what: str, written: object, found: object, source: str) -> None:
        """Count a figure, and note if it is not what was found.

        Args:
            what: Where it stands.
            written: What stands there.
            found: What it should be.
            source: What that was computed from.
        """
        self.figures += 1
        if not alike(written, found):
            self.problems.append(f"{what} is {_shown(written)}, but {source} gives {_shown(found)}")

    def add(self, other: Recomputation, prefix: str) -> None:
        """Take in what came of a folder below."""
        self.figures += other.figures
        self.resting += other.resting
        self.notes += [f"{prefix}{line}" for line in other.notes]
        self.problems += [f"{prefix}{line}" for line in other.problems]


#: What an edited file can make of a computation.
NO_FIGURES = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


def check_run(folder: str | Path) -> Recomputation:
    """Compute the figures of a run anew.

    ``summary`` from the rows of ``per_label`` and the arrays; the best row of each label from the costs, where the
    least cost decides; ``per_label.csv`` and the arrays of ``reconstructions.npz`` against ``per_label``.

    Args:
        folder: The run's folder.
    """
    folder, done = Path(folder), Recomputation()
    try:
        _check(read_results(folder), done)
    except MIError as error:
        done.problems.append(str(error).replace(f"{folder}/", ""))
    except NO_FIGURES as error:
        done.problems.append(f"results.json: its figures cannot be computed ({one_line(error)})")
    return done


def _check(run: RunResults, done: Recomputation) -> None:
    """Compute the figures of a run anew."""
    done.resting = sum(_count(run.data.get(name)) for name in NOT_RECOMPUTED)
    _check_rows(run, done)
    _check_table(run, done)
    _check_arrays(run, done)
    recomputed = recomputed_summary(run)
    for name in dict.fromkeys((*run.summary, *recomputed)):
        if name in run.summary and name not in recomputed:
            if run.summary[name] is not None:
                done.problems.append(f"results.json: summary.{name} is a figure that nothing in per_label gives")
        else:
            done.compare(f"results.json: summary.{name}", run.summary.get(name), recomputed[name], "per_label")


def alike(written: object, found: object) -> bool:
    """Whether two values of JSON say the same: numbers to six digits, counts of zero left out.

    Example:
        >>> alike(0.1 + 0.2, 0.3), alike(0.3, 0.30001), alike({"stagnation": 1, "diverged": 0}, {"stagnation": 1})
        (True, False, True)
    """
    if isinstance(written, bool) or isinstance(found, bool):
        return written is found
    if isinstance(written, int | float) and isinstance(found, int | float):
        return math.isclose(written, found, rel_tol=_RELATIVE, abs_tol=1e-12)
    if isinstance(written, Mapping) and isinstance(found, Mapping):
        left, right = ({key: value for key, value in side.items() if value != 0} for side in (written, found))
        return left.keys() == right.keys() and all(alike(left[key], right[key]) for key in left)
    return type(written) is type(found) and written == found


def _check_rows(run: RunResults, done: Recomputation) -> None:
    """One best row for each label, and the one of least cost where that decides."""
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in run.data["per_label"]:
        groups.setdefault(row["label"], []).append(row)
    by_cost = (run.data["attack"].get("selection") or {}).get("class") == "LeastCost"
    for label, rows in groups.items():
        marked = [row["restart"] for row in rows if row.get("best", True)]
        if by_cost:
            least = min(rows, key=lambda row: math.inf if row["cost"] is None else row["cost"])
            done.compare(f"results.json: best restart of label {label}", marked, [least["restart"]], "the cost")
        elif len(marked) != 1:
            done.problems.append(f"results.json: label {label} has {len(marked)} best restarts, not one")


def _check_table(run: RunResults, done: Recomputation) -> None:
    """``per_label.csv`` against ``per_label``."""
    path, rows = run.folder / "per_label.csv", run.data["per_label"]
    try:
        written = path.read_bytes()
    except OSError as error:
        done.problems.append(f"per_label.csv: cannot be read ({error.strerror})")
        return
    lines, expected = (text.splitlines() for text in (written, csv_table(rows, ("label", "name")).encode()))
    done.figures += sum(map(len, rows))
    if len(lines) != len(expected):
        done.problems.append(f"per_label.csv: {len(lines)} lines, but per_label gives {len(expected)}")
        return
    done.problems += [
        f"per_label.csv: line {number} is not what per_label gives"
        for number, (line, other) in enumerate(zip(lines, expected, strict=True), 1)
        if line != other
    ]


def _check_arrays(run: RunResults, done: Recomputation) -> None:
    """``reconstructions.npz`` against ``per_label``: the same numbers, and pictures or sounds of numbers."""
    arrays, rows = run.arrays, run.data["per_label"]
    for name in ("label", "restart", "cost", "confidence"):
        for place, (row, value) in enumerate(zip(rows, _plain(arrays[name]), strict=True)):
            done.compare(f"results.json: per_label[{place}].{name}", row[name], value, "reconstructions.npz")
    shape = list(arrays["reconstruction"].shape[1:])
    done.compare("results.json: input_shape", run.data.get("input_shape", shape), shape, "reconstructions.npz")
    for name in ("reconstruction", "candidate"):
        finite = np.isfinite(arrays[name].reshape(len(rows), -1)).all(1).tolist()
        for place, (row, whole) in enumerate(zip(rows, finite, strict=True)):
            done.figures += 1
            if row["cost"] is not None and not whole:
                done.problems.append(
                    f"reconstructions.npz: {name}[{place}] is not finite, though per_label[{place}] has a cost"
                )


def _plain(array: NDArray[Any]) -> Iterator[int | float | None]:
    """The numbers of an array as JSON has them."""
    for value in array.tolist():
        yield value if isinstance(value, int) or math.isfinite(value) else None


def _count(tree: object) -> int:
    """Figures in a block of JSON."""
    if isinstance(tree, Mapping):
        return sum(map(_count, tree.values()))
    return int(isinstance(tree, int | float) and not isinstance(tree, bool))


def _shown(value: object) -> str:
    return "null" if value is None else repr(value)
