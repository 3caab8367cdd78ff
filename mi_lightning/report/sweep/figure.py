"""Which figure says whether people are given away, and what to call it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mi_lightning.report.sweep.plan import SweepRun


@dataclass(frozen=True)
class Figure:
    """A share of the people, and its words.

    Attributes:
        key: Its name in results.
        title: What a column or a line of it is called.
        noun: What falls or rises, as in "recognition falls under 10%".
        done: What is done to people, as in "40% are recognised".
        caution: What must stand beside a headline by it; empty where there is nothing to warn of.
    """

    key: str
    title: str
    noun: str
    done: str
    caution: str


#: By a recogniser that was trained on other people and is no part of any attack.
RECOGNISED = Figure("recognised", "recognised (outside judge)", "recognition", "recognised", "")
#: What is left where there is no recogniser. It is never called by a shorter name.
INSIDE = Figure(
    "identification_top1",
    "identified (inside evaluator)",
    "identification by the inside evaluator",
    "identified by the inside evaluator",
    "by the inside evaluator only",
)
FIGURES = {figure.key: figure for figure in (RECOGNISED, INSIDE)}


def deciding_figure(points: Sequence[Mapping[str, Any]]) -> Figure:
    """The outside recogniser's figure if any point of a sweep has it, else the inside evaluator's."""
    return RECOGNISED if any(point.get(RECOGNISED.key) is not None for point in points) else INSIDE


def missing_headline(series: Sequence[Mapping[str, Any]], runs: Sequence[SweepRun]) -> str | None:
    """Say that the headline is missing, why, and what stands in its place; None if it is there."""
    if all(line["breakdown"]["figure"] == RECOGNISED.key for line in series):
        return None
    reasons = (run.finished.results.data.get("recogniser_missing") for run in runs)
    why = next((str(reason) for reason in reasons if reason), "these runs were judged without one")
    return (
        f"The headline is missing, who is recognised by an outside recogniser: {why.rstrip('.')}. In its place stands "
        "what the inside evaluator says, which was trained on the same photographs and is easily fooled."
    )


def yardsticks(runs: Sequence[SweepRun], figure: Figure) -> dict[str, float]:
    """What a figure is measured against: ``ceiling`` and ``chance``, as far as the runs know them.

    The ceiling is what the same recogniser says of the mean training photograph of each person.
    """
    found: dict[str, float] = {}
    for run in runs:
        data = run.finished.results.data
        ceiling = ((data.get("ceiling") or {}).get("class_mean") or {}).get(figure.key)
        chance = (data.get("chance") or {}).get(figure.key)
        for name, value in (("ceiling", ceiling), ("chance", chance)):
            if value is not None:
                found.setdefault(name, float(value))
    return found
