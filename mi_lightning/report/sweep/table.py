"""The table of a sweep for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from mi_lightning.report.formats import show
from mi_lightning.report.sweep.narrative import reading
from mi_lightning.report.sweep.plan import SweepPlan, SweepRun
from mi_lightning.report.sweep.points import series_of


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
            estimates = [(point or {}).get(name) for name in ("evaluator_top1", "identification_top1")]
            row += [show(estimate and estimate["value"], "share") for estimate in estimates]
        table.add_row(*row)
    table.caption = "\n".join(reading(plan, series))
    table.caption_justify = "left"
    return table
