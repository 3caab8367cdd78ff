"""What human judges say, as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from mi_lightning.report.formats import show


def human_table(judgement: Mapping[str, Any]) -> Table:
    """Make the table of :func:`~mi_lightning.report.study.human_judgement` for the terminal, one line a run."""
    out = judgement["excluded"]
    excluded = f"; left out, since attention checks failed: {', '.join(out)}" if out else ""
    title = f"Human judges: {judgement['counted']} of {len(judgement['judges'])}{excluded}"
    table = Table(
        title=Text(title, style="table.title"),
        title_justify="left",
        caption="picked: the person was chosen in the line-up; none: right “none of these”, without the person\n"
        "same: “same person” to pairs that are, and (false) to pairs that are not; d': the distance of the two\n"
        "agree: kappa between judges on whom they pick; recogn.: kappa of most judges with the recogniser",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("run", overflow="fold")
    for heading in ("picked", "guessing", "none", "same", "false", "d'", "agree", "recogn."):
        table.add_column(heading, justify="right", no_wrap=True)
    for run in judgement["runs"]:
        table.add_row(
            Text(run["name"]),
            with_interval(run["identified"]),
            show(run["chance_identified"], "share"),
            *(show(run[name]["share"], "share") for name in ("none_right", "hits", "false_alarms")),
            _number(run["d_prime"]["value"]),
            *(_number(run["agreement"][name]["kappa"]) for name in ("line_up", "recogniser")),
        )
    return table


def with_interval(share: Mapping[str, Any]) -> str:
    """A share with its interval over people.

    Example:
        >>> with_interval({"share": 0.5, "low": 0.25, "high": 0.75})
        '50% (25–75)'
    """
    if share["share"] is None:
        return show(None)
    return f"{show(share['share'], 'share')} ({100 * share['low']:.0f}–{100 * share['high']:.0f})"


def _number(value: float | None) -> str:
    return show(None) if value is None else f"{value:.2f}"
