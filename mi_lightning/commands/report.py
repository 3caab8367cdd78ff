"""One page about runs that are finished."""

from __future__ import annotations

from pathlib import Path

from mi_lightning.commands.base import console
from mi_lightning.errors import InputError
from mi_lightning.report import build_report, summary_table


def report(runs: list[str] | str, output: str = "report.html", title: str = "Model inversion report") -> None:
    """Write one self-contained HTML page about runs that are finished.

    Args:
        runs: Folder of a run, with its ``results.json``, or a list of such folders: one column of the report each.
        output: File to write.
        title: Title of the page.
    """
    folders = [Path(run) for run in ([runs] if isinstance(runs, str) else runs)]
    if not folders:
        raise InputError("at least one run", "none", "runs")
    build_report(folders, Path(output), title=title)
    screen = console()
    screen.print(summary_table(folders))
    screen.print(f"report: {output}")
