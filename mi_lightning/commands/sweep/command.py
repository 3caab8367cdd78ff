"""Sweeps: the same attacks over a grid of settings, such as the strength of a defense, and what breaks where."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mi_lightning.commands.audit_preview import ToCome
from mi_lightning.commands.base import Runner, console, listed, tell_dry_run
from mi_lightning.commands.dry_run import free_disk
from mi_lightning.commands.fit import checkpoints_of, fit_missing
from mi_lightning.commands.sweep.grid import read_axes, run_digest
from mi_lightning.commands.sweep.plan import Cell, check_checkpoints, checked_seeds, plan
from mi_lightning.commands.sweep.run import default_jobs, finished_points, run
from mi_lightning.commands.sweep.settings import Settings
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import alone, ensure_writable, writing_nothing
from mi_lightning.report.origin import package_versions
from mi_lightning.report.sweep import SweepPlan, SweepRun, sweep_table, write_sweep


def sweep(
    runner: Runner,
    attacks: Settings,
    grid: Settings,
    classifiers: list[str] | str | None = None,
    output: str = "lightning_logs/sweep",
    title: str = "Sweep",
    seeds: list[int] | None = None,
    jobs: int | None = None,
    broken_below: float = 0.1,
    refit: bool = False,
    unverified: bool = False,
    dry_run: bool = False,
) -> None:
    """Run attacks over a grid of settings and report what each value costs and what it protects.

    Runs that are finished are not repeated, so a sweep that was stopped goes on where it was. A run is known by a
    digest of its complete configuration and of the files that it names.

    Args:
        runner: Runs the commands that this one consists of.
        attacks: Attacks to put side by side: a name, and the configurations of ``target`` and ``attack`` and, under
            ``set``, the dotted keys that this attacker changes in them; or the list of configurations alone.
        grid: What varies: dotted keys and the list of their values, or a name with a ``title``, ``values``, and what is
            ``set`` by dotted keys, in which ``$name`` (``$name * 0.5``) stands for the value. The first entry is the
            columns of the figure; ``none`` is the number 0 there.
        classifiers: Configurations of the classifiers (``mi-lightning fit``), one name or a list; trained where there
            is no checkpoint yet.
        output: Folder of the runs and of ``sweep.csv``, ``sweep.json``, ``sweep.html`` and ``curves.svg``.
        title: Title of the report.
        seeds: Seeds of the attacks: each point of the grid is run with each; 0 if none are given.
        jobs: Runs at once; chosen from cores and memory if not given.
        broken_below: An attack counts as broken where a smaller share of the people is recognised by the outside
            judge (where there is none: is identified by the inside evaluator), attacks that failed left aside.
        refit: Train the classifiers again even where a checkpoint exists.
        unverified: Go on where a target names no more of the references right than guessing explains; the report then
            says that no figure says that it is safe.
        dry_run: Check everything that can be wrong, say what would be done and what it takes, and write nothing.
    """
    start = time.perf_counter()
    screen = console()
    folder = Path(output)
    seeds = checked_seeds(seeds)
    if not 0 < broken_below < 1:
        raise InputError("broken_below in (0, 1)", broken_below, "broken_below")
    if jobs is not None and jobs < 1:
        raise InputError("jobs >= 1", jobs, "jobs")
    checkpoints = checkpoints_of(listed(classifiers), runner)
    axes = read_axes(grid.content)
    cells = plan(attacks.content, axes, seeds, runner)
    if unverified:
        cells = [replace(cell, config={**cell.config, "unverified": True}) for cell in cells]
    if dry_run:
        with writing_nothing():
            ensure_writable(folder, "output")
            tell_dry_run(_preview(cells, checkpoints, folder, runner, jobs=jobs, refit=refit))
        return
    ensure_writable(folder, "output")
    with alone(folder, "output", what="sweep"):
        fit_missing(checkpoints, runner, refit=refit)
        check_checkpoints(cells)
        version = str(package_versions()["mi-lightning"])
        cells = [replace(cell, run_digest=run_digest(cell.config, version)) for cell in cells]
        design = SweepPlan(
            title=title,
            axes=axes,
            attacks=list(dict.fromkeys(cell.attack for cell in cells)),
            seeds=seeds,
            broken_below=broken_below,
            settings={"attacks": attacks.content, "grid": grid.content},
        )
        failures: dict[str, str] = {}
        stopped = False
        try:
            failures = run(cells, folder, jobs, screen, runner.worker)
        except KeyboardInterrupt:
            stopped = True
        found = finished_points(folder)
        runs = [
            SweepRun(cell.attack, cell.labels, cell.seed, found[cell.run_digest])
            for cell in cells
            if cell.run_digest in found
        ]
        failed = {cell.name: failures[cell.run_digest] for cell in cells if cell.run_digest in failures}
        if runs:
            write_sweep(folder, design, runs, failed=failed, missing=len(cells) - len(runs) - len(failed))
            screen.print(sweep_table(design, runs))
            screen.print(f"report: {folder / 'sweep.html'}   ({time.perf_counter() - start:.0f} s)")
    if stopped:
        screen.print(f"stopped after {len(runs)} of {len(cells)} runs; the same command goes on from there")
        raise KeyboardInterrupt
    if failed:
        name, reason = next(iter(failed.items()))
        raise MIError(f"{len(failed)} of {len(cells)} runs failed; {name}: {reason}")


def _preview(
    cells: Sequence[Cell],
    checkpoints: Mapping[str, Path],
    folder: Path,
    runner: Runner,
    *,
    jobs: int | None,
    refit: bool,
) -> list[str]:
    """What a sweep would do, in words: one run of each attack stands for all of it."""
    classifiers = ToCome(checkpoints, runner, refit=refit)
    lines = list(classifiers.lines)
    done = 0
    if not classifiers.trained:
        check_checkpoints(cells)
        version = str(package_versions()["mi-lightning"])
        known = finished_points(folder)
        done = sum(run_digest(cell.config, version) in known for cell in cells)
    for name in dict.fromkeys(cell.attack for cell in cells):
        own = [cell for cell in cells if cell.attack == name]
        lines.append(f"attack {name}: {len(own)} runs, of which each, such as {own[0].name},")
        lines += [f"  {line}" for line in classifiers.attack(own[0].config) if not line.startswith("would write")]
    at_once = default_jobs(len(cells)) if jobs is None else jobs
    lines.append(f"{len(cells)} runs, {done} of them finished already, {at_once} at once")
    lines.append(f"would write: {folder}/ with sweep.html, sweep.json, sweep.csv, curves.svg and runs/")
    return [*lines, free_disk(folder)]
