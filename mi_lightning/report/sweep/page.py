"""The page of a sweep."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml
from PIL import Image

from mi_lightning.report import pictures
from mi_lightning.report.page import page_template
from mi_lightning.report.settings import circumstances, side_by_side
from mi_lightning.report.sweep.figure import FIGURES, RECOGNISED, missing_headline, yardsticks
from mi_lightning.report.sweep.narrative import contrasts, verdict
from mi_lightning.report.sweep.plan import SweepPlan, SweepRun


def sweep_page(
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
    found = [column["run"].finished.results for column in columns]
    figure = FIGURES[series[0]["breakdown"]["figure"]]
    examples = [run.finished.results for run in _one_each(series, plan, runs)]
    return page_template("sweep.html.j2").render(
        title=plan.title,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        plan=plan,
        series=series,
        count=len(runs),
        failed=failed,
        missing=missing,
        deciding=figure,
        headline_missing=missing_headline(series, runs),
        marks=yardsticks(runs, figure),
        contrasts=contrasts(plan, series),
        verdicts=[verdict(plan, line) for line in series],
        curves="data:image/svg+xml;base64," + base64.b64encode(curves).decode("ascii"),
        groups=_groups(plan, columns),
        columns=columns,
        people=_people(columns, outside=figure is RECOGNISED),
        seed=shown[0].seed,
        names=[f"{line['name']}" for line in series],
        parameters=side_by_side([{"target": run.data["target"], "attack": run.data["attack"]} for run in examples]),
        circumstances=side_by_side([circumstances(run) for run in examples]),
        config=yaml.safe_dump(plan.settings, sort_keys=False, allow_unicode=True),
        faint=any(run.media.faint(run.reconstructions, run.modality) for run in found),
    )


def _run_at(runs: Sequence[SweepRun], line: Mapping[str, Any], plan: SweepPlan, label: str) -> SweepRun | None:
    """The first run of an attack at a strength, None if there is none."""
    at = {**line["settings"], plan.strength.name: label}
    return next((run for run in runs if run.attack == line["attack"] and run.is_at(at)), None)


def _one_each(series: Sequence[Mapping[str, Any]], plan: SweepPlan, runs: Sequence[SweepRun]) -> list[SweepRun]:
    """One run for each attack, at the strength in the middle: for settings."""
    middle = [(line, line["points"][len(line["points"]) // 2]["label"]) for line in series]
    return [run for line, label in middle if (run := _run_at(runs, line, plan, label)) is not None]


def _columns(plan: SweepPlan, series: Sequence[Mapping[str, Any]], runs: Sequence[SweepRun]) -> list[dict[str, Any]]:
    """Columns of the figure: for each strength every attack, side by side."""
    return [
        {"label": label, "series": line["name"], "run": run}
        for label in plan.strength.rising
        for line in series
        if (run := _run_at(runs, line, plan, label)) is not None
    ]


def _groups(plan: SweepPlan, columns: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Headings over the columns: each strength, and how many columns it has."""
    counts = {label: sum(column["label"] == label for column in columns) for label in plan.strength.rising}
    return [(label, count) for label, count in counts.items() if count]


def _people(columns: Sequence[Mapping[str, Any]], *, outside: bool) -> list[dict[str, Any]]:
    """Rows of the figure: each person with a photograph and a cell for each column.

    Args:
        columns: Columns of the figure.
        outside: Whether the outside recogniser says whom it sees; otherwise the inside evaluator does.
    """
    hit, guess = ("recognised", "recogniser_guess") if outside else ("evaluator_top1", "evaluator_guess")
    people: dict[tuple[int, str], dict[str, Any]] = {}
    for place, column in enumerate(columns):
        run = column["run"].finished.results
        pixels = run.media.thumbnails(run.reconstructions, run.modality)
        for i, (index, row) in enumerate(zip(run.best_index, run.best, strict=True)):
            person = people.setdefault(
                (row["label"], row["name"]),
                {"name": row["name"], "mean": None, "cells": [None] * len(columns)},
            )
            if pixels is not None:
                run.media.introduce(person, run.arrays, index, run.modality)
            person["cells"][place] = {
                "cost": "–" if row["cost"] is None else f"{row['cost'] + 0.0:.3g}",  # 0, not -0
                "right": bool(row.get(hit)),
                "guess": row.get(guess) or "nobody",
                "failed": row.get("verdict") == "attack_failed",
                "why": row.get("verdict_reason") or "",
                "picture": None if pixels is None else _small(pixels[i]),
                "stretch": "" if pixels is None else pictures.stretch_style(pixels[i]),
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
