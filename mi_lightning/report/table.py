"""The table for the terminal, and the rows that the page has in common with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from mi_lightning.report.columns import COLUMNS
from mi_lightning.report.formats import show
from mi_lightning.report.media import MEDIA
from mi_lightning.report.results import RunResults, read_runs
from mi_lightning.stats import exact_interval, headline_refusal


def summary_table(runs: Sequence[str | Path], *, names: Sequence[str] | None = None) -> Table:
    """Make the table for the terminal: each run, its controls below it, and what guessing gives.

    Args:
        runs: Folders that :func:`~mi_lightning.report.results.write_results` wrote.
        names: Name of each run; taken from the folders if None.

    Raises:
        InputError: If there is no run, or not one name for each.
        MIError: If a run cannot be read.
    """
    names, found = read_runs(runs, names)
    # of runs on several kinds of samples the first kind of the list of all decides
    media = next(media for media in MEDIA.values() if any(run.media is media for run in found))
    columns = [column for column in COLUMNS if column.key in media.terminal]
    table = Table(
        caption=Text("\n".join([*_missing(found), media.caption]), style="table.caption"),  # "[judges]" is no style
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),  # so that a long name and all columns fit into 80
    )
    table.add_column("run", overflow="fold")
    for column in columns:
        table.add_column(column.short, justify="right", no_wrap=True)
    for row in table_rows(names, found):
        label = row["name"]
        if row["kind"] == "control":
            label = f"  {row['short']}"
        values = [show(row["values"].get(column.key), column.kind) for column in columns]
        if row["kind"] != "control" and table.row_count:
            table.add_section()
        table.add_row(Text(label), *values, style="bold" if row["kind"] == "run" else "dim")
    return table


def table_rows(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Rows of the summary table: each run, its controls, then chance (once, if it is the same for all)."""
    rows: list[dict[str, Any]] = []
    chances: list[Mapping[str, float]] = []
    for name, run in zip(names, runs, strict=True):
        rows.append({"name": name, "kind": "run", "values": {**run.summary, **outside_figures(run)}})
        rows += [
            {
                "name": run.media.control(control),
                "short": run.media.control(control, short=True),
                "kind": "control",
                "values": {**numbers, "recognised_interval": show(numbers.get("recognised"), "share")},
            }
            for control, numbers in run.data.get("controls", {}).items()
        ]
        if (chance := run.data.get("chance")) and chance not in chances:
            chances.append(chance)
    guessing = [
        {**chance, "recognised_interval": show(chance.get("recognised"), "share"), "accepted_at_1_percent": None}
        for chance in chances
    ]
    return rows + [{"name": "guessing", "kind": "chance", "values": chance} for chance in guessing]


def outside_figures(run: RunResults) -> dict[str, Any]:
    """What stands beside the summary: the share that the recogniser names with its interval, its ceiling, chance."""
    share, people = run.summary.get("recognised"), int(run.summary["labels"])
    shown = show(share, "share")
    if share is not None:
        low, high = exact_interval(round(share * people), people)
        shown += f" ({100 * low:.0f}-{100 * high:.0f})"
        if headline_refusal(people) is not None:  # too few for a share
            shown = f"{round(share * people)} of {people}"
    chance = (run.data.get("chance") or {}).get("recognised")
    return {"recognised_interval": shown, "ceiling": run.ceiling and run.ceiling[1], "chance": chance}


def _missing(runs: Sequence[RunResults]) -> list[str]:
    """Why the headline is missing."""
    reasons = {run.data.get("recogniser_missing"): None for run in runs if run.summary.get("recognised") is None}
    return [f"Nobody who never met these people has judged: {reason}" for reason in reasons if reason]
