"""The runs of a sweep: in processes of their own, several at once, each finished one kept."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from mi_lightning.commands.base import Runner, headed
from mi_lightning.commands.finished import finished_runs, mark_finished
from mi_lightning.commands.sweep.plan import Cell
from mi_lightning.errors import InputError
from mi_lightning.io import write_atomically
from mi_lightning.judging.calibration import measure_utility
from mi_lightning.report.formats import show
from mi_lightning.report.sweep import read_run, write_utility
from mi_lightning.workers import Job, Outcome, Workers, cores, threads_each

_MEMORY = 2 * 2**30  # bytes that an attack may take, to choose how many run at once


def default_jobs(runs: int) -> int:
    """Runs at once: one for each core that memory allows; one where there is a GPU, which a run fills."""
    if torch.cuda.is_available():
        return 1
    return max(1, min(cores(), runs, _memory() // _MEMORY))


def _memory() -> int:
    """Bytes of memory that are free, or plenty where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return 64 * 2**30


def run(cells: Sequence[Cell], folder: Path, jobs: int | None, console: Console, worker: str) -> dict[str, str]:
    """Run what is not finished; return the reasons of what failed, by run digest."""
    done = finished_points(folder)
    waiting = list({cell.run_digest: cell for cell in cells if cell.run_digest not in done}.values())
    total = len({cell.run_digest for cell in cells})
    if reused := total - len(waiting):
        console.print(f"{reused} of {total} runs are finished already")
    if not waiting:
        return {}
    count = default_jobs(len(waiting)) if jobs is None else min(jobs, len(waiting))
    workers = Workers(count=count, threads=threads_each(count))
    told = f"{len(waiting)} runs, {count} at once, {workers.threads} threads each: {folder}"
    console.print(headed("sweep", told))
    tasks = [_prepare(cell, folder, worker) for cell in waiting]
    failures: dict[str, str] = {}
    columns = (
        TextColumn("sweep", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("sweep", total=total, completed=reused, left="")
        seconds: dict[str, list[float]] = {}
        open_cells = dict(enumerate(waiting))
        for outcome in workers.run(tasks):
            cell = open_cells.pop(outcome.place)
            if outcome.error:
                failures[cell.run_digest] = outcome.error
                console.print(Text.assemble(f"{cell.name}: ", ("failed", "red"), f" ({tasks[outcome.place].log})"))
                console.print(f"  {outcome.error}")
            else:
                seconds.setdefault(cell.attack, []).append(outcome.value["seconds"])
                console.print(_line(cell, outcome))
            left = _left(open_cells.values(), seconds, count)
            bar.update(task, advance=1, left=left)
    return failures


def _prepare(cell: Cell, folder: Path, worker: str) -> Job:
    """Make the folder of a run, empty but for its configuration."""
    runs = folder / "runs"
    run = runs / cell.folder
    if run.exists():
        shutil.rmtree(run)  # of a run that was stopped
    callbacks = [
        {**callback, "init_args": {**(callback.get("init_args") or {}), "folder": None}}
        if str(callback["class_path"]).endswith(".ResultsWriter")
        else callback
        for callback in cell.config["trainer"].get("callbacks") or []
    ]
    config = {**cell.config, "trainer": {**cell.config["trainer"], "callbacks": callbacks}}
    write_atomically(run / "config.yaml", yaml.safe_dump(config, sort_keys=False))
    argument = {"folder": str(run), "run_digest": cell.run_digest}
    return Job(worker, argument, run / "log.txt")


def execute(argument: Mapping[str, Any], runner: Runner) -> dict[str, Any]:
    """Run one attack of a sweep, in a process of its own; its folder holds the configuration already.

    Args:
        argument: ``folder`` and ``run_digest`` of the run.
        runner: Runs it.

    Returns:
        Time that it took, and the numbers for the screen.
    """
    start = time.perf_counter()
    folder = Path(argument["folder"])
    config = str(folder / "config.yaml")
    sys.argv = ["mi-lightning", "invert", "--config", config]  # what the report shows, and what repeats the run
    attacked = runner.invert([config], save_dir=folder.parent, name="", version=folder.name)
    data = attacked.datamodule
    if data is None:
        raise InputError("data", "none", "data")  # a plan has none without
    write_utility(folder, measure_utility(attacked.target.cpu(), data.test_x, data.test_y))
    summary = read_run(folder).results.summary
    seconds = time.perf_counter() - start
    mark_finished(folder, argument["run_digest"], seconds)
    return {"seconds": seconds, **{key: summary.get(key) for key in ("recognised", "evaluator_top1")}}


def finished_points(folder: Path) -> dict[str, Path]:
    """Folders of the runs of a sweep that are finished, by run digest."""
    return finished_runs(folder / "runs", read_run)


def _line(cell: Cell, outcome: Outcome) -> str:
    """What is said of a finished run."""
    numbers = outcome.value
    return (
        f"{cell.name}: {show(numbers['recognised'], 'share')} recognised, "
        f"inside evaluator top-1 {show(numbers['evaluator_top1'], 'share')} ({numbers['seconds']:.0f} s)"
    )


def _left(cells: Any, seconds: Mapping[str, list[float]], count: int) -> str:
    """Time that is left, from the mean time of the runs of each attack so far."""
    known = [value for values in seconds.values() for value in values]
    if not known or not cells:
        return ""
    mean = {attack: sum(values) / len(values) for attack, values in seconds.items()}
    overall = sum(known) / len(known)
    left = sum(mean.get(cell.attack, overall) for cell in cells) / count
    minutes = left / 60
    return f"about {minutes:.0f} min left" if minutes >= 1.5 else f"about {left:.0f} s left"
