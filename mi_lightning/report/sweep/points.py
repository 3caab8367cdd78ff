"""Numbers of a sweep: one point for each strength and attack, and where an attack breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.judging.calibration import Utility
from mi_lightning.report.sweep.plan import SweepPlan, SweepRun
from mi_lightning.stats import bootstrap_interval, share_interval

#: Numbers of a person, in each run: their name in ``per_label``, and whether they are shares of hits.
_PERSONAL = {
    "evaluator_top1": True,
    "evaluator_top5": True,
    "identification_top1": True,
    "confidence": False,
    "cost": False,
    "ssim": False,
    "nrmse": False,
    "queries": False,
    "seconds": False,
}


def series_of(plan: SweepPlan, runs: Sequence[SweepRun]) -> list[dict[str, Any]]:
    """Numbers of every attack at every setting of the other axes: one point for each strength, and where it breaks."""
    found = []
    kinds = {(run.attack, tuple(run.labels[axis.name] for axis in plan.axes[1:])): run for run in runs}
    order = {
        (attack, label): None for attack in plan.attacks for label in product(*(axis.labels for axis in plan.axes[1:]))
    }
    for attack, others in order:
        if (attack, others) not in kinds:
            continue
        settings = {axis.name: label for axis, label in zip(plan.axes[1:], others, strict=True)}
        mine = [run for run in runs if run.attack == attack and run.is_at(settings)]
        at = {label: [run for run in mine if run.labels[plan.strength.name] == label] for label in plan.strength.rising}
        base = at.get(plan.strength.reference or "")
        points = [
            {"label": label, "strength": plan.strength.strength(label), "seeds": len(here)}
            | _point(here, base[0].finished.utility if base else None)
            for label, here in at.items()
            if here
        ]
        found.append(
            {
                "name": ", ".join([attack, *(f"{name} {label}" for name, label in settings.items())]),
                "attack": attack,
                "settings": settings,
                "points": points,
                "breakdown": breakdown(points, plan),
            }
        )
    return found


def measured(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Points at which somebody counted who is identified."""
    return [point for point in points if point["identification_top1"] is not None]


def breakdown(points: Sequence[Mapping[str, Any]], plan: SweepPlan) -> dict[str, Any]:
    """Say at which strength an attack breaks.

    Args:
        points: Points of one attack, in any order.
        plan: What was to be found out.

    Returns:
        ``label``: the smallest strength at which identification is below the threshold, None if there is none;
        ``stays``: whether it is below at every greater strength, too; ``worked``: whether the attack identified enough
        people without the defense, None if that was not measured; ``accuracy_cost`` there; ``holds_until``, the last
        strength before it; and ``unmeasured``, the strengths of which nothing is known.
    """
    order = plan.strength.rising
    points = sorted(measured(points), key=lambda point: order.index(point["label"]))
    below = [point["identification_top1"]["value"] < plan.broken_below for point in points]
    reference_point = next((i for i, point in enumerate(points) if point["label"] == plan.strength.reference), None)
    worked = None if reference_point is None else not below[reference_point]
    first = next((i for i, is_below in enumerate(below) if is_below and i != reference_point), None)
    before = points[:first]
    return {
        "label": None if first is None else points[first]["label"],
        "strength": None if first is None else points[first]["strength"],
        "identification": None if first is None else points[first]["identification_top1"],
        "accuracy_cost": None if first is None else points[first]["accuracy_cost"],
        "holds_until": None if not before else before[-1]["label"],
        "stays": first is not None and all(below[first:]),
        "worked": worked,
        "unmeasured": [label for label in order if label not in {point["label"] for point in points}],
    }


def _point(runs: Sequence[SweepRun], base: Utility | None) -> dict[str, Any]:
    """Numbers of one point of the grid: over people, photographs and seeds."""
    numbers: dict[str, Any] = {}
    for name, is_share in _PERSONAL.items():
        values = _personal(runs, name)
        if np.isfinite(values).all():
            interval = share_interval(values) if is_share else _mean_interval(values)
            numbers[name] = _estimate(float(values.mean()), interval)
        else:
            numbers[name] = None
    numbers["seconds"] = float(np.mean([run.finished.results.summary["seconds"] for run in runs]))
    numbers["queries"] = numbers["queries"]["value"]
    utility = runs[0].finished.utility  # the seeds are the attack's: the defense is the same
    numbers["accuracy"] = _estimate(utility.accuracy, utility.accuracy_interval())
    numbers["calibration_error"] = _estimate(utility.calibration_error, utility.calibration_interval())
    numbers["passes"] = len(utility.correct)
    numbers["accuracy_cost"] = None
    if base is not None and base.correct.shape[1] == utility.correct.shape[1]:
        lost = base.per_photograph - utility.per_photograph
        numbers["accuracy_cost"] = _estimate(float(lost.mean()), _mean_interval(lost))
    return numbers


def _personal(runs: Sequence[SweepRun], name: str) -> NDArray[np.float64]:
    """A number of each person, the mean over the seeds, shape (people,)."""
    columns = [[row[name] for row in run.finished.results.best] for run in runs]
    mean: NDArray[np.float64] = np.array(columns, dtype=np.float64).mean(0)
    return mean


def _estimate(value: float, interval: tuple[float, float]) -> dict[str, float]:
    return {"value": value, "low": interval[0], "high": interval[1]}


def _mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    return bootstrap_interval(lambda index: values[index].mean(1, dtype=np.float64), len(values))
