"""A page that asks people whom they recognise."""

from __future__ import annotations

from pathlib import Path

from mi_lightning.commands.base import console, listed, tell_dry_run
from mi_lightning.commands.dry_run import would_write
from mi_lightning.io import ensure_writable, writing_nothing
from mi_lightning.report.study import Plan, build_study

_SECONDS = 6  # a question takes a judge about so long


def study(
    runs: list[str] | str,
    output: str = "study.html",
    title: str = "Who is this?",
    people: int = 40,
    line_up: int = 5,
    absent: float = 0.2,
    catch: int = 4,
    seed: int = 0,
    dry_run: bool = False,
) -> None:
    """Write one offline page that asks people whom they recognise in the reconstructions of runs.

    Args:
        runs: Folder of a run, with its ``results.json``, or of an audit, which stands for all its runs; or a list.
        output: Page to write; beside it comes ``<page>_key.json``, which says which answers are right: keep it from the
            judges.
        title: Title of the page.
        people: People of each run who are asked about, each once in a line-up and once in a pair.
        line_up: Photographs or recordings in a line-up.
        absent: Share of the line-ups without the person.
        catch: Attention checks: questions about a real photograph whose answer is plain to see.
        seed: Seed of the people, the line-ups and the pairs.
        dry_run: Make the page and write nothing; say which files would be written.
    """
    if dry_run:
        with writing_nothing() as files:
            ensure_writable(Path(output).parent, "output")
            study(runs, output, title, people, line_up, absent, catch, seed)
        tell_dry_run(would_write(files))
        return
    plan = Plan(people=people, line_up=line_up, absent=absent, catch=catch, seed=seed)
    made = build_study(listed(runs), output, plan=plan, title=title)
    screen = console()
    if made.left_out:
        screen.print(f"not asked about, since their reconstruction is not finite: {', '.join(made.left_out)}")
    minutes = max(1, round(made.questions * _SECONDS / 60))
    screen.print(f"study {made.study}: {made.questions} questions for each judge, about {minutes} min")
    screen.print(f"page for the judges: {made.page}")
    screen.print(f"key, not for the judges: {made.key}")
