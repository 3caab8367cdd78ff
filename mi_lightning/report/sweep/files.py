"""Files of a sweep: ``sweep.csv``, ``sweep.json`` (schema version 2), ``sweep.html`` and ``curves.svg``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mi_lightning.io import write_atomically
from mi_lightning.report.curves import Curve, Estimate, draw_curves
from mi_lightning.report.formats import csv_table, plain
from mi_lightning.report.origin import package_versions
from mi_lightning.report.sweep.figure import FIGURES, missing_headline, yardsticks
from mi_lightning.report.sweep.narrative import reading
from mi_lightning.report.sweep.page import sweep_page
from mi_lightning.report.sweep.plan import SweepPlan, SweepRun
from mi_lightning.report.sweep.points import series_of

SCHEMA_VERSION = 2  # 1 was decided by the inside evaluator


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
    figure = FIGURES[series[0]["breakdown"]["figure"]]
    marks = yardsticks(runs, figure)
    curves = draw_curves(
        [
            Curve(
                name=line["name"],
                labels=[point["label"] for point in line["points"]],
                accuracy=[_triple(point["accuracy"]) for point in line["points"]],
                calibration_error=[_triple(point["calibration_error"]) for point in line["points"]],
                decides=[_triple(point[figure.key]) for point in line["points"]],
                inside=[_triple(point["evaluator_top1"]) for point in line["points"]],
                failed=[_failed(point["attack_failed"]) for point in line["points"]],
                queries=[point["queries"] for point in line["points"]],
            )
            for line in series
        ],
        axis_title=plan.strength.title,
        decides=figure.title,
        marks=marks,
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
        "figure": figure.key,
        "headline_missing": missing_headline(series, runs),
        "ceiling": marks.get("ceiling"),
        "chance": marks.get("chance"),
        "series": series,
        "reading": reading(plan, series),
        "runs": [_run_row(plan, run) | {"folder": str(run.folder.relative_to(folder))} for run in runs],
        "failed": dict(failed),
        "missing": missing,
    }
    files: dict[str, bytes | str] = {
        "sweep.csv": csv_table([_run_row(plan, run) for run in runs]),
        "curves.svg": curves,
        "sweep.html": sweep_page(plan, runs, series, curves, failed=failed, missing=missing),
        "sweep.json": json.dumps(plain(data), indent=2, allow_nan=False) + "\n",
    }
    for name, content in files.items():
        write_atomically(folder / name, content)


def _triple(estimate: Mapping[str, float] | None) -> Estimate:
    """An estimate for a curve, which has a gap where there is none."""
    if estimate is None:
        return math.nan, math.nan, math.nan
    return estimate["value"], estimate["low"], estimate["high"]


def _failed(failed: Mapping[str, int] | None) -> float:
    """Share of the people for whom an attack failed, for a curve."""
    return math.nan if failed is None else failed["count"] / failed["of"]


def _run_row(plan: SweepPlan, run: SweepRun) -> dict[str, Any]:
    """One run as a row of a table."""
    summary, utility = run.finished.results.summary, run.finished.utility
    outside = ("recognised", "recognised_top5", "accepted_at_1_percent", "detected", "fools_model_only")
    inside = ("evaluator_top1", "evaluator_top5", "identification_top1")
    names = (*outside, *inside, "confidence_mean", "cost_mean", "ssim_mean")
    return {
        "attack": run.attack,
        **{axis.name: run.labels[axis.name] for axis in plan.axes},
        "seed": run.seed,
        "attack_failed": (summary.get("verdicts") or {}).get("attack_failed"),
        **{
            name: summary.get(name)
            for name in (*names, "nrmse_mean", "queries_per_label", "iterations_mean", "seconds")
        },
        "test_accuracy": utility.accuracy,
        "calibration_error": utility.calibration_error,
    }
