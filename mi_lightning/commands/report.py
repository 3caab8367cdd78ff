"""One page about runs that are finished."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mi_lightning.commands.base import console, listed, tell_dry_run
from mi_lightning.commands.dry_run import would_write
from mi_lightning.errors import InputError
from mi_lightning.io import ensure_writable, write_private, writing_nothing
from mi_lightning.report import build_report, summary_table
from mi_lightning.report.audit import audit_document
from mi_lightning.report.results import read_runs
from mi_lightning.report.study import human_table, judge_by_people, runs_below
from mi_lightning.report.withholding import checked_withheld, people_behind, refuse_names

_WORDS = {"pictures": ("faces", "voices"), "names": ("names",)}  # what a page is without


def report(
    runs: list[str] | str,
    output: str = "report.html",
    title: str = "Model inversion report",
    answers: list[str] | str | None = None,
    key: str = "study_key.json",
    no_pictures: bool = False,
    pseudonyms: bool = False,
    mapping: str | None = None,
    dry_run: bool = False,
) -> None:
    """Write one self-contained HTML page about runs that are finished.

    Args:
        runs: Folder of a run, with its ``results.json``, or of an audit, or a list of such folders: one column of the
            report for each run.
        output: File to write.
        title: Title of the page.
        answers: Files that the judges of a study of these runs saved, or folders of them: people become one more judge.
        key: The key that ``mi-lightning study`` wrote beside its page.
        no_pictures: Leave pictures and sounds out of the page.
        pseudonyms: Call the people ``person 01``, ... wherever the page names them, in an order that says nothing about
            their names. The same runs give the same pseudonyms.
        mapping: File that says who is behind each pseudonym; none is written unless it is asked for.
        dry_run: Make the page and write nothing; say which files would be written.
    """
    if dry_run:
        with writing_nothing() as files:
            ensure_writable(Path(output).parent, "output")
            report(runs, output, title, answers, key, no_pictures, pseudonyms, mapping)
        tell_dry_run(would_write(files))
        return
    if mapping is not None and not pseudonyms:
        raise InputError("--pseudonyms, whose names it holds", "none", "mapping")
    withheld = checked_withheld(no_pictures=no_pictures, pseudonyms=pseudonyms)
    folders = [run for given in listed(runs) for run in runs_below(given)]
    if not folders:
        raise InputError("at least one run", "none", "runs")
    # before a page is written: what is wrong with the answers
    human = None if answers is None else judge_by_people(folders, answers, key)
    names, found = read_runs(folders)
    audit = audit_document(title, names, found, folder=Path(output).parent)
    if pseudonyms:
        refuse_names([Path(output).name], found, "output")
    build_report(folders, Path(output), title=title, names=names, audit=audit, human=human, withheld=withheld)
    screen = console()
    screen.print(summary_table(folders))
    if human is not None:
        screen.print(human_table(human))
    if withheld:
        screen.print(tell_withheld(withheld, Path(output)))
    if mapping is not None:
        write_private(mapping, json.dumps(people_behind(found), indent=2, ensure_ascii=False) + "\n")
        screen.print(f"who is behind each pseudonym: {mapping}   (keep it apart from the page: it undoes it)")
    screen.print(f"report: {output}")


def tell_withheld(withheld: Sequence[str], where: Path) -> str:
    """Say what can be handed on, and what cannot.

    Args:
        withheld: What is withheld.
        where: The page, or the folder of an audit.
    """
    files = f"{where}" if where.suffix else "report.html, audit.json, junit.xml, audit.sarif and model_card.md"
    left_out = [word for what in withheld for word in _WORDS[what]]
    said = f"Without {', '.join(left_out[:-1])}{' and ' if left_out[:-1] else ''}{left_out[-1]}: {files}."
    if "pictures" not in withheld:
        said += " Who sees the pictures may know the people all the same: --no-pictures leaves them out."
    if "names" not in withheld:
        said += " The people are named: --pseudonyms does without."
    return f"{said} The folders of the runs hold everything: do not hand them on."
