"""The table of a sweep for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from mi_lightning.report.formats import show
from mi_lightning.report.sweep.figure import FIGURES, INSIDE, RECOGNISED, missing_headline
from mi_lightning.report.sweep.narrative import reading
from mi_lightning.report.sweep.plan import SweepPlan, SweepRun
from mi_lightning.report.sweep.points import series_of

_HEADS = {RECOGNISED.key: "recognised", INSIDE.key: "inside ident."}


def sweep_table(plan: SweepPlan, runs: Sequence[SweepRun]) -> Table:
    """Make the table for the terminal: one line for each strength, and for each attack what decides and what is second.

    Who is recognised by the outside judge comes first, for how many the attack failed and the top-1 of the inside
    evaluator come after it.
    """
    series = series_of(plan, runs)
    figure = FIGURES[series[0]["breakdown"]["figure"]]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(Text(plan.strength.title))
    for name in ("accuracy", "calib. error"):
        table.add_column(name, justify="right")
    for line in series:
        table.add_column(Text(f"{line['name']}\n{_HEADS[figure.key]}"), justify="right")
        table.add_column("\nfailed", justify="right")
        table.add_column("\ninside top-1", justify="right")
    for label in plan.strength.rising:
        here = [next((p for p in line["points"] if p["label"] == label), None) for line in series]
        some = next((point for point in here if point is not None), None)
        if some is None:
            continue
        row: list[str | Text] = [
            Text(label),
            show(some["accuracy"]["value"], "share"),
            show(some["calibration_error"]["value"], "share"),
        ]
        for point in here:
            decides, failed, inside = ((point or {}).get(n) for n in (figure.key, "attack_failed", "evaluator_top1"))
            row += [
                show(decides and decides["value"], "share"),
                show(failed and failed["count"], "count"),
                show(inside and inside["value"], "share"),
            ]
        table.add_row(*row)
    missing = missing_headline(series, runs)
    table.caption = Text(
        "\n".join([*([] if missing is None else [missing]), *reading(plan, series)]), style="table.caption"
    )
    table.caption_justify = "left"
    return table
