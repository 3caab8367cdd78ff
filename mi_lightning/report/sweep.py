"""What a sweep found: ``sweep.csv``, ``sweep.json`` (schema version 1), ``sweep.html`` and ``curves.svg``."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from rich import box
from rich.table import Table

from mi_lightning.commands.sweep.grid import Axis
from mi_lightning.errors import MIError
from mi_lightning.judging.calibration import Utility
from mi_lightning.report import pictures
from mi_lightning.report.curves import Curve, draw_curves
from mi_lightning.report.html import circumstances, page_template, reference, show, side_by_side, stretch_style
from mi_lightning.report.results import RunResults, package_versions, read_results, write_atomically
from mi_lightning.stats import bootstrap_interval, share_interval

SCHEMA_VERSION = 1
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


@dataclass(frozen=True)
class SweepPlan:
    """What a sweep was to find out.

    Attributes:
        title: Title of the report.
        axes: What varies; the first one is the strength.
        attacks: Names of the attacks.
        seeds: Seeds of the attacks.
        broken_below: An attack counts as broken where it identifies a smaller share of the people.
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

    @cached_property
    def finished(self) -> FinishedRun:
        """What it found."""
        return read_run(self.folder)


def write_utility(folder: Path, utility: Utility) -> None:
    """Write what a target released for test photographs beside the results of a run."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, allow_pickle=False, confidence=utility.confidence.astype(np.float32), correct=utility.correct > 0
    )
    write_atomically(folder / "utility.npz", buffer.getvalue())


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
        raise MIError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    return FinishedRun(read_results(folder), utility)


# ------------------------------------------------------------------------------------------------ numbers


def _estimate(value: float, interval: tuple[float, float]) -> dict[str, float]:
    return {"value": value, "low": interval[0], "high": interval[1]}


def _personal(runs: Sequence[SweepRun], name: str) -> NDArray[np.float64]:
    """A number of each person, the mean over the seeds, shape (people,)."""
    columns = [[row[name] for row in run.finished.results.best] for run in runs]
    mean: NDArray[np.float64] = np.array(columns, dtype=np.float64).mean(0)
    return mean


def _mean_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    return bootstrap_interval(lambda index: values[index].mean(1, dtype=np.float64), len(values))


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


def series_of(plan: SweepPlan, runs: Sequence[SweepRun]) -> list[dict[str, Any]]:
    """Numbers of every attack at every setting of the other axes: one point for each strength, and where it breaks."""
    found = []
    kinds = {(run.attack, tuple(run.labels[axis.name] for axis in plan.axes[1:])): run for run in runs}
    order = {
        (attack, tuple(label)): None
        for attack in plan.attacks
        for label in _products([a.labels for a in plan.axes[1:]])
    }
    for attack, others in order:
        if (attack, others) not in kinds:
            continue
        settings = {axis.name: label for axis, label in zip(plan.axes[1:], others, strict=True)}
        mine = [run for run in runs if run.attack == attack and _is_at(run, settings)]
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


def _products(labels: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [()]
    for choice in labels:
        rows = [(*row, label) for row in rows for label in choice]
    return rows


def _is_at(run: SweepRun, settings: Mapping[str, str]) -> bool:
    return all(run.labels[name] == label for name, label in settings.items())


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
    points = sorted(points, key=lambda point: order.index(point["label"]))
    below = [point["identification_top1"]["value"] < plan.broken_below for point in points]
    reference_point = next((i for i, point in enumerate(points) if point["label"] == plan.strength.reference), None)
    worked = None if reference_point is None else not below[reference_point]
    first = next((i for i, is_below in enumerate(below) if is_below and i != reference_point), None)
    return {
        "label": None if first is None else points[first]["label"],
        "strength": None if first is None else points[first]["strength"],
        "identification": None if first is None else points[first]["identification_top1"],
        "accuracy_cost": None if first is None else points[first]["accuracy_cost"],
        "holds_until": points[-1]["label"] if first is None else points[first - 1]["label"] if first else None,
        "stays": first is not None and all(below[first:]),
        "worked": worked,
        "unmeasured": [label for label in order if label not in {point["label"] for point in points}],
    }


# ------------------------------------------------------------------------------------------------ files


def write_sweep(
    folder: Path, plan: SweepPlan, runs: Sequence[SweepRun], *, failed: Mapping[str, str], missing: int = 0
) -> None:
    """Write the files of a sweep. Each appears whole or not at all.

    Args:
        folder: Where to.
        plan: What was to be found out.
        runs: Runs that are finished, one or more.
        failed: Runs that failed, and why.
        missing: Runs that are still to be done.

    Raises:
        MIError: If a run cannot be read or a file cannot be written.
    """
    series = series_of(plan, runs)
    curves = draw_curves(
        [
            Curve(
                name=line["name"],
                labels=[point["label"] for point in line["points"]],
                accuracy=[_triple(point["accuracy"]) for point in line["points"]],
                calibration_error=[_triple(point["calibration_error"]) for point in line["points"]],
                top1=[_triple(point["evaluator_top1"]) for point in line["points"]],
                identification=[_triple(point["identification_top1"]) for point in line["points"]],
                queries=[point["queries"] for point in line["points"]],
            )
            for line in series
        ],
        axis_title=plan.strength.title,
        broken_below=plan.broken_below,
    )
    data = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "package_versions": package_versions(),
        "title": plan.title,
        "settings": plan.settings,
        "axes": [
            {"name": axis.name, "title": axis.title, "labels": list(axis.labels), "reference": axis.reference}
            for axis in plan.axes
        ],
        "seeds": list(plan.seeds),
        "broken_below": plan.broken_below,
        "series": series,
        "reading": reading(plan, series),
        "runs": [_run_row(plan, run) | {"folder": str(run.folder.relative_to(folder))} for run in runs],
        "failed": dict(failed),
        "missing": missing,
    }
    files = {
        "sweep.csv": _csv([_run_row(plan, run) for run in runs]),
        "curves.svg": curves,
        "sweep.html": _page(plan, runs, series, curves, failed=failed, missing=missing).encode(),
        "sweep.json": (json.dumps(data, indent=2, allow_nan=False, default=str) + "\n").encode(),
    }
    for name, content in files.items():
        write_atomically(folder / name, content)


def _triple(estimate: Mapping[str, float]) -> tuple[float, float, float]:
    return estimate["value"], estimate["low"], estimate["high"]


def _run_row(plan: SweepPlan, run: SweepRun) -> dict[str, Any]:
    """One run as a row of a table."""
    summary, utility = run.finished.results.summary, run.finished.utility
    names = ("evaluator_top1", "evaluator_top5", "identification_top1", "confidence_mean", "cost_mean", "ssim_mean")
    return {
        "attack": run.attack,
        **{axis.name: run.labels[axis.name] for axis in plan.axes},
        "seed": run.seed,
        **{
            name: summary.get(name)
            for name in (*names, "nrmse_mean", "queries_per_label", "iterations_mean", "seconds")
        },
        "test_accuracy": utility.accuracy,
        "calibration_error": utility.calibration_error,
    }


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


# ------------------------------------------------------------------------------------------------ words


def reading(plan: SweepPlan, series: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in plain sentences where each attack breaks, and at what cost, and who would have been deceived."""
    return [f"{line['name']}: {_breaks(plan, line)}" for line in series] + contrasts(plan, series)


def contrasts(plan: SweepPlan, series: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the strengths that look safe by one attack and are not by another."""
    said = []
    for line in series:
        label = line["breakdown"]["label"]
        if label is None or line["breakdown"]["worked"] is False:
            continue
        there = {
            other["name"]: point["identification_top1"]["value"]
            for other in series
            for point in other["points"]
            if point["label"] == label and point["identification_top1"]["value"] >= plan.broken_below
        }
        if there:
            name = max(there, key=lambda other: there[other])
            at = f"{plan.strength.title} {label}"
            seems = f"Judged by “{line['name']}” alone, {at} looks safe"
            if not plan.defends:
                seems = f"“{line['name']}” identifies under {show(plan.broken_below, 'share')} at {at}"
            said.append(f"{seems}; “{name}” still identifies {show(there[name], 'share')} there.")
    return said


def _breaks(plan: SweepPlan, line: Mapping[str, Any]) -> str:
    """Where an attack breaks, as the end of a sentence, and what is not known."""
    found, points, title = line["breakdown"], line["points"], plan.strength.title
    limit = show(plan.broken_below, "share")
    share = show(points[-1]["identification_top1"]["value"], "share")
    if found["worked"] is False:
        about = "the defense" if plan.defends else title
        text = f"identifies under {limit} at {plan.strength.reference} already, so it says nothing about {about}."
    elif all(point["label"] == plan.strength.reference for point in points):
        text = f"identifies {share} at {points[-1]['label']}; nothing else has been measured."
    elif found["label"] is None and plan.defends:
        text = f"not blocked by any strength tried; at {points[-1]['label']} it still identifies {share}."
    elif found["label"] is None:
        text = f"identifies {limit} or more at every {title} tried; {share} at {points[-1]['label']}."
    else:
        verb = "falls" if found["worked"] else "is"
        text = f"identification {verb} under {limit} at {title} {found['label']} ({_interval(found['identification'])})"
        if found["accuracy_cost"] is not None:
            text += f", where {_cost(plan, found['accuracy_cost'])}"
        text += "." if found["stays"] else f"; {_again(plan)} it is above that again."
    return " ".join([text, *_unknown(plan, found)])


def _cost(plan: SweepPlan, cost: Mapping[str, float]) -> str:
    """What is paid in test accuracy, in words."""
    if plan.defends:
        return f"the defense costs {_points(cost)} of test accuracy"
    return f"test accuracy is {_points(cost)} lower than at {plan.strength.reference}"


def _again(plan: SweepPlan) -> str:
    return "at a greater strength" if plan.defends else f"at a later {plan.strength.title}"


def _unknown(plan: SweepPlan, found: Mapping[str, Any]) -> list[str]:
    """What cannot be said about an attack since it was not measured, in sentences."""
    said, axis, gaps = [], plan.strength, found["unmeasured"]
    if plan.defends and found["worked"] is None:
        why = (
            "The grid has no value without the defense"
            if axis.reference is None
            else "There is no run without the defense"
        )
        said.append(f"{why}: whether the attack works undefended, and what the defense costs, is unknown.")
    if gaps:
        early = [label for label in gaps if label != axis.reference]
        if found["label"] is not None:
            early = [label for label in early if axis.rising.index(label) < axis.rising.index(found["label"])]
        may = (
            ""
            if not early or found["worked"] is False
            else "; it may break there"
            if found["label"] is None
            else "; it may break earlier"
        )
        said.append(f"Not measured: {', '.join(gaps)}{may}.")
    return said


def _verdict(plan: SweepPlan, line: Mapping[str, Any]) -> dict[str, str]:
    """Where an attack breaks, for the top of the page: a headline, its unit, and sentences."""
    found, points, limit = line["breakdown"], line["points"], show(plan.broken_below, "share")
    head, unit = str(found["label"]), plan.strength.title
    if found["worked"] is False:
        head, unit = "says nothing", ""
        text = f"It identifies fewer than {limit} at {plan.strength.reference} already."
    elif all(point["label"] == plan.strength.reference for point in points):
        head, unit, text = "not measured", "", f"There are runs at {points[-1]['label']} only."
    elif found["label"] is None:
        head, unit = "not blocked" if plan.defends else f"{limit} or more", ""
        what = "strength" if plan.defends else plan.strength.title
        text = f"Identification stays at {limit} or above at every {what} tried, up to {found['holds_until']}."
    else:
        text = f"Identification there: {_interval(found['identification'])}."
        if found["accuracy_cost"] is not None:
            cost = _cost(plan, found["accuracy_cost"])
            text += f" {cost[0].upper()}{cost[1:]}."
        if not found["stays"]:
            again = _again(plan)
            text += f" {again[0].upper()}{again[1:]} it is above {limit} again."
    return {"name": line["name"], "head": head, "unit": unit, "text": " ".join([text, *_unknown(plan, found)])}


def _interval(estimate: Mapping[str, float]) -> str:
    """A share with its interval."""
    value, low, high = (show(estimate[key], "share") for key in ("value", "low", "high"))
    return f"{value}, 95% interval {low} to {high}"


def _points(estimate: Mapping[str, float]) -> str:
    """A difference of shares, in percentage points."""
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value + 0:.1f} points ({low + 0:.1f} to {high + 0:.1f})"


def sweep_table(plan: SweepPlan, runs: Sequence[SweepRun]) -> Table:
    """Make the table for the terminal: one line for each strength, top-1 and identification of each attack."""
    series = series_of(plan, runs)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(plan.strength.title)
    for name in ("accuracy", "calib. error"):
        table.add_column(name, justify="right")
    for line in series:
        table.add_column(f"{line['name']}\ntop-1", justify="right")
        table.add_column("\nident.", justify="right")
    for label in plan.strength.rising:
        here = [next((p for p in line["points"] if p["label"] == label), None) for line in series]
        some = next((point for point in here if point is not None), None)
        if some is None:
            continue
        row = [label, show(some["accuracy"]["value"], "share"), show(some["calibration_error"]["value"], "share")]
        for point in here:
            names = ("evaluator_top1", "identification_top1")
            row += ["–" if point is None else show(point[name]["value"], "share") for name in names]
        table.add_row(*row)
    table.caption = "\n".join(reading(plan, series))
    table.caption_justify = "left"
    return table


# ------------------------------------------------------------------------------------------------ page


def _page(
    plan: SweepPlan,
    runs: Sequence[SweepRun],
    series: Sequence[Mapping[str, Any]],
    curves: bytes,
    *,
    failed: Mapping[str, str],
    missing: int,
) -> str:
    """The whole page."""
    seed = plan.seeds[0]
    shown = [run for run in runs if run.seed == seed] or list(runs)
    columns = _columns(plan, series, shown)
    return page_template("sweep.html.j2").render(
        title=plan.title,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        plan=plan,
        series=series,
        count=len(runs),
        failed=failed,
        missing=missing,
        contrasts=contrasts(plan, series),
        verdicts=[_verdict(plan, line) for line in series],
        curves="data:image/svg+xml;base64," + base64.b64encode(curves).decode("ascii"),
        groups=_groups(plan, columns),
        columns=columns,
        people=_people(columns),
        seed=shown[0].seed,
        names=[f"{line['name']}" for line in series],
        parameters=side_by_side(_of_series(plan, series, runs)),
        circumstances=side_by_side([circumstances(run.finished.results) for run in _one_each(series, plan, runs)]),
        config=yaml.safe_dump(plan.settings, sort_keys=False, allow_unicode=True),
        faint=any(pictures.faint(_pixels(column["run"])) for column in columns if _is_shown(column["run"])),
    )


def _one_each(series: Sequence[Mapping[str, Any]], plan: SweepPlan, runs: Sequence[SweepRun]) -> list[SweepRun]:
    """One run for each attack, at the strength in the middle: for settings."""
    chosen = []
    for line in series:
        label = line["points"][len(line["points"]) // 2]["label"]
        chosen.append(
            next(
                run
                for run in runs
                if run.attack == line["attack"]
                and _is_at(run, line["settings"])
                and run.labels[plan.strength.name] == label
            )
        )
    return chosen


def _of_series(plan: SweepPlan, series: Sequence[Mapping[str, Any]], runs: Sequence[SweepRun]) -> list[dict[str, Any]]:
    return [
        {"target": run.finished.results.data["target"], "attack": run.finished.results.data["attack"]}
        for run in _one_each(series, plan, runs)
    ]


def _columns(plan: SweepPlan, series: Sequence[Mapping[str, Any]], runs: Sequence[SweepRun]) -> list[dict[str, Any]]:
    """Columns of the figure: for each strength every attack, side by side."""
    columns = []
    for label in plan.strength.rising:
        for line in series:
            for run in runs:
                if (
                    run.attack == line["attack"]
                    and _is_at(run, line["settings"])
                    and run.labels[plan.strength.name] == label
                ):
                    columns.append({"label": label, "series": line["name"], "run": run})
                    break
    return columns


def _groups(plan: SweepPlan, columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Headings over the columns: each strength, and how many columns it has."""
    counts = {label: sum(column["label"] == label for column in columns) for label in plan.strength.rising}
    return [(label, count) for label, count in counts.items() if count]


def _is_shown(run: SweepRun) -> bool:
    return pictures.is_picture(run.finished.results.data.get("input_shape", ()))


def _pixels(run: SweepRun) -> pictures.Pixels:
    """Best reconstructions of a run, as they are shown."""
    results = run.finished.results
    low, high = results.data.get("input_range", (0.0, 1.0))
    return pictures.to_pixels(torch.from_numpy(results.arrays["reconstruction"][results.best_index]), (low, high))


def _people(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the figure: each person with a photograph and a cell for each column."""
    people: dict[tuple[int, str], dict[str, Any]] = {}
    for place, column in enumerate(columns):
        results = column["run"].finished.results
        is_shown = _is_shown(column["run"])
        pixels = _pixels(column["run"]) if is_shown else None
        for i, (index, row) in enumerate(zip(results.best_index, results.best, strict=True)):
            person = people.setdefault(
                (row["label"], row["name"]), {"name": row["name"], "mean": None, "cells": [None] * len(columns)}
            )
            if is_shown and person["mean"] is None:
                person["mean"] = reference(results.arrays, "reference_mean", index)
            person["cells"][place] = {
                "cost": f"{row['cost'] + 0.0:.3g}",  # 0, not -0
                "right": bool(row["evaluator_top1"]),
                "guess": row.get("evaluator_guess") or "nobody",
                "picture": None if pixels is None else _small(pixels[i]),
                "stretch": "" if pixels is None else stretch_style(pixels[i]),
                "series": column["series"],
                "label": column["label"],
                "starts": place > 0 and columns[place - 1]["label"] != column["label"],
            }
    return [people[key] for key in sorted(people)]


def _small(pixels: pictures.Pixels) -> str:
    """A picture for a page that holds hundreds of them: JPEG, a third of the size of PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
