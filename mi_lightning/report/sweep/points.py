"""Numbers of a sweep: one point for each strength and attack, and where an attack breaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.judging.calibration import Utility
from mi_lightning.report.sweep.figure import Figure, deciding_figure
from mi_lightning.report.sweep.plan import SweepPlan, SweepRun
from mi_lightning.report.verification import unshown
from mi_lightning.stats import bootstrap_interval, exact_interval, nested_interval

#: Numbers of a person, in each run: their name in ``per_label``, and whether they are shares of hits.
_PERSONAL = {
    "recognised": True,
    "recognised_top5": True,
    "accepted_at_1_percent": True,
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
    found: list[dict[str, Any]] = []
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
                "unshown": unshown([run.finished.results.data for run in mine]),
            }
        )
    figure = deciding_figure([point for line in found for point in line["points"]])
    return [line | {"breakdown": breakdown(line["points"], plan, figure)} for line in found]


def measured(points: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    """Points at which the figure of that name was measured."""
    return [point for point in points if point.get(key) is not None]


def breakdown(points: Sequence[Mapping[str, Any]], plan: SweepPlan, figure: Figure) -> dict[str, Any]:
    """Say at which strength an attack breaks.

    A share that is small because the attack itself failed (it has no usable iterate for a person, as where rounded
    answers never move) says nothing about who is protected: only where the share stays below the threshold even if
    everybody for whom the attack failed were counted, the attack is broken.

    Args:
        points: Points of one attack, in any order.
        plan: What was to be found out.
        figure: Figure that decides.

    Returns:
        ``figure``: its name; ``label``: the smallest strength at which the attack is broken, None if there is none;
        ``share`` and ``accuracy_cost`` there; ``stays``: whether the share is below the threshold at every greater
        strength, too; ``failed_at``: the smallest strength before it at which the share is below only since the attack
        failed, and ``attack_failed`` there; ``below_at``: the first of the two; ``worked``: whether the share was large
        enough without the defense, None if that was not measured; ``holds_until``, the last strength before
        ``below_at``; and ``unmeasured``, the strengths of which nothing is known.
    """
    order, limit = plan.strength.rising, plan.broken_below
    points = sorted(measured(points, figure.key), key=lambda point: order.index(point["label"]))
    below = [point[figure.key]["value"] < limit for point in points]
    reference_point = next((i for i, point in enumerate(points) if point["label"] == plan.strength.reference), None)
    worked = None if reference_point is None else not below[reference_point]
    candidates = [i for i, is_below in enumerate(below) if is_below and i != reference_point]
    sure = [i for i in candidates if points[i][figure.key]["value"] + _failed_share(points[i]) < limit]
    first = sure[0] if sure else None
    failed = next((i for i in candidates if i not in sure and (first is None or i < first)), None)
    below_at = candidates[0] if candidates else None
    before = points[:below_at]
    return {
        "figure": figure.key,
        "label": None if first is None else points[first]["label"],
        "strength": None if first is None else points[first]["strength"],
        "share": None if first is None else points[first][figure.key],
        "accuracy_cost": None if first is None else points[first]["accuracy_cost"],
        "failed_at": None if failed is None else points[failed]["label"],
        "attack_failed": None if failed is None else points[failed]["attack_failed"],
        "below_at": None if below_at is None else points[below_at]["label"],
        "holds_until": None if not before else before[-1]["label"],
        "stays": first is not None and all(below[first:]),
        "worked": worked,
        "unmeasured": [label for label in order if label not in {point["label"] for point in points}],
    }


def _failed_share(point: Mapping[str, Any]) -> float:
    """Share of the people (and seeds) for whom the attack failed; 0 where nobody said."""
    failed = point.get("attack_failed")
    return 0.0 if failed is None else float(failed["count"] / failed["of"])


def _point(runs: Sequence[SweepRun], base: Utility | None) -> dict[str, Any]:
    """Numbers of one point of the grid: over people, photographs and seeds."""
    numbers: dict[str, Any] = {}
    for name, is_share in _PERSONAL.items():
        values = _personal(runs, name)
        if np.isfinite(values).all():
            numbers[name] = _estimate(float(values.mean()), _interval(values, is_share=is_share))
        else:
            numbers[name] = None
    numbers["attack_failed"] = _attack_failed(runs)
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
    """A number of each person in the run of each seed, shape (people, seeds); NaN where it was not measured."""
    columns = [[row.get(name) for row in run.finished.results.best] for run in runs]
    return np.array(columns, dtype=np.float64).T


def _attack_failed(runs: Sequence[SweepRun]) -> dict[str, int] | None:
    """For how many people, over all seeds, the attack failed; None where there are no verdicts."""
    verdicts = [row.get("verdict") for run in runs for row in run.finished.results.best]
    if None in verdicts:
        return None
    return {"count": verdicts.count("attack_failed"), "of": len(verdicts)}


def _estimate(value: float, interval: tuple[float, float]) -> dict[str, float]:
    return {"value": value, "low": interval[0], "high": interval[1]}


def _interval(values: NDArray[np.float64], *, is_share: bool) -> tuple[float, float]:
    """Interval of a mean of (people, seeds): exact for hits of one seed, else people are resampled with all of them."""
    if not is_share:
        return _mean_interval(values.mean(1))
    if values.shape[1] == 1:
        return exact_interval(int(values.sum()), len(values))
    return nested_interval(values)


def _mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    return bootstrap_interval(lambda index: values[index].mean(1, dtype=np.float64), len(values))
