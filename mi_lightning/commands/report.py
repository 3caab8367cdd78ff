"""One page about runs that are finished."""

from __future__ import annotations

from pathlib import Path

from mi_lightning.commands.base import console
from mi_lightning.errors import InputError
from mi_lightning.report import build_report, summary_table
from mi_lightning.report.audit import audit_document
from mi_lightning.report.results import read_runs
from mi_lightning.report.study import human_table, judge_by_people


def report(
    runs: list[str] | str,
    output: str = "report.html",
    title: str = "Model inversion report",
    answers: list[str] | str | None = None,
    key: str = "study_key.json",
) -> None:
    """Write one self-contained HTML page about runs that are finished.

    Args:
        runs: Folder of a run, with its ``results.json``, or a list of such folders: one column of the report each.
        output: File to write.
        title: Title of the page.
        answers: Files that the judges of a study of these runs saved, or folders of them: people become one more judge.
        key: The key that ``mi-lightning study`` wrote beside its page.
    """
    folders = [Path(run) for run in ([runs] if isinstance(runs, str) else runs)]
    if not folders:
        raise InputError("at least one run", "none", "runs")
    # before a page is written: what is wrong with the answers
    human = None if answers is None else judge_by_people(folders, answers, key)
    names, found = read_runs(folders)
    audit = audit_document(title, names, found, folder=Path(output).parent)
    build_report(folders, Path(output), title=title, names=names, audit=audit, human=human)
    screen = console()
    screen.print(summary_table(folders))
    if human is not None:
        screen.print(human_table(human))
    screen.print(f"report: {output}")
