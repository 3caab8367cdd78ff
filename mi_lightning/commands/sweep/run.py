"""Sweeps: the same attacks over a grid of settings, such as the strength of a defense, and what breaks where."""

from __future__ import annotations

import json
import random
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse.typing import register_type
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.commands.audit import checkpoint_of, fit_missing, read_yaml
from mi_lightning.commands.sweep.grid import change, combinations, deciding, fill_in, identity, read_axes
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import write_atomically
from mi_lightning.judging.calibration import measure_utility
from mi_lightning.lightning.trainer import ensure_writable
from mi_lightning.report.axes import Axis
from mi_lightning.report.origin import package_versions
from mi_lightning.report.sweep import SweepPlan, SweepRun, read_run, sweep_table, write_sweep, write_utility
from mi_lightning.workers import Job, Outcome, Workers, cores, threads_each

_MEMORY = 2 * 2**30  # bytes that an attack may take, to choose how many run at once


_FINISHED = "run.json"  # written last into the folder of a run


_SEEDS = ("model.seed", "seed_everything")  # keys that `seeds` sets


class _Readable(type):
    """A type that the help names in words."""

    def __repr__(cls) -> str:
        return "keys and values"


class Settings(metaclass=_Readable):
    """Keys and values as they stand in a YAML file, which the command line leaves alone.

    Args:
        content: The keys and values.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        """Keep them."""
        self.content = dict(content)

    @classmethod
    def read(cls, value: Any) -> Settings:
        """Make them of what a YAML file or a flag holds.

        Raises:
            ValueError: If these are no keys and values; the command line says where.
        """
        try:
            content = yaml.safe_load(value) if isinstance(value, str) else value
        except yaml.YAMLError as error:
            raise ValueError("expected YAML, got " + " ".join(str(error).split())) from error
        if not isinstance(content, dict):
            raise ValueError(f"expected keys and values, got {content}")
        return cls(content)


register_type(Settings, serializer=lambda settings: settings.content, deserializer=Settings.read)


@dataclass(frozen=True)
class _Attack:
    """A base configuration, and what this attacker changes in it."""

    name: str
    config: dict[str, Any]
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class _Cell:
    """One attack at one point of the grid with one seed."""

    attack: str
    labels: dict[str, str]
    seed: int
    config: dict[str, Any]
    identity: str = ""

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        return " ".join([self.attack, *(f"{name}={label}" for name, label in self.labels.items()), f"seed={self.seed}"])

    @property
    def folder(self) -> str:
        """Name of the folder of its run."""
        words = [self.attack, *(f"{name}={label}" for name, label in self.labels.items()), f"seed={self.seed}"]
        return re.sub(r"[^\w.=+-]+", "-", "_".join([*words, self.identity[:10]]))


def sweep(
    attacks: Settings,
    grid: Settings,
    fit: list[str] | None = None,
    output: str = "lightning_logs/sweep",
    title: str = "Sweep",
    seeds: list[int] | None = None,
    jobs: int | None = None,
    broken_below: float = 0.1,
    refit: bool = False,
) -> None:
    """Run attacks over a grid of settings and report what each value costs and what it protects.

    Runs that are finished are not repeated, so a sweep that was stopped goes on where it was. A run is known by a
    digest of its complete configuration and of the files that it names.

    Args:
        attacks: Attacks to put side by side: a name, and a configuration of ``mi-lightning invert``, or ``config`` and,
            under ``set``, the dotted keys that this attacker changes in it.
        grid: What varies: dotted keys and the list of their values, or a name with a ``title``, ``values``, and what is
            ``set`` by dotted keys, in which ``$name`` (``$name * 0.5``) stands for the value. The first entry is the
            columns of the figure; ``none`` is the number 0 there.
        fit: Configurations of the classifiers (``mi-lightning fit``); trained where there is no checkpoint yet.
        output: Folder of the runs and of ``sweep.csv``, ``sweep.json``, ``sweep.html`` and ``curves.svg``.
        title: Title of the report.
        seeds: Seeds of the attacks: each point of the grid is run with each; 0 if none are given.
        jobs: Runs at once; chosen from cores and memory if not given.
        broken_below: An attack counts as broken where it identifies a smaller share of the people.
        refit: Train the classifiers again even where a checkpoint exists.
    """
    start = time.perf_counter()
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(output)
    seeds = _checked_seeds(seeds)
    if not 0 < broken_below < 1:
        raise InputError("broken_below in (0, 1)", broken_below, "--broken_below")
    if jobs is not None and jobs < 1:
        raise InputError("jobs >= 1", jobs, "--jobs")
    checkpoints = {config: checkpoint_of(config) for config in fit or []}
    axes = read_axes(grid.content)
    cells = _plan(attacks.content, axes, seeds)
    ensure_writable(folder, "--output")
    with _alone(folder):
        fit_missing(checkpoints, console, refit=refit)
        _check_checkpoints(cells)
        version = str(package_versions()["mi-lightning"])
        cells = [_Cell(c.attack, c.labels, c.seed, c.config, identity(c.config, version)) for c in cells]
        plan = SweepPlan(
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
            failures = _run(cells, folder, jobs, console)
        except KeyboardInterrupt:
            stopped = True
        found = _found(folder)
        runs = [
            SweepRun(cell.attack, cell.labels, cell.seed, found[cell.identity])
            for cell in cells
            if cell.identity in found
        ]
        failed = {cell.name: failures[cell.identity] for cell in cells if cell.identity in failures}
        if runs:
            write_sweep(folder, plan, runs, failed=failed, missing=len(cells) - len(runs) - len(failed))
            console.print(sweep_table(plan, runs))
            console.print(f"report: {folder / 'sweep.html'}   ({time.perf_counter() - start:.0f} s)")
    if stopped:
        console.print(f"stopped after {len(runs)} of {len(cells)} runs; the same command goes on from there")
        raise KeyboardInterrupt
    if failed:
        name, reason = next(iter(failed.items()))
        raise MIError(f"{len(failed)} of {len(cells)} runs failed; {name}: {reason}")


# ------------------------------------------------------------------------------------------------ what is to be run


def _checked_seeds(seeds: Sequence[int] | None) -> list[int]:
    """The seeds; 0 if none are given."""
    if seeds is None:
        return [0]
    if not seeds:
        raise InputError("one seed or more", "none", "--seeds")
    for seed in seeds:
        if seed < 0:
            raise InputError("seeds >= 0", seed, "--seeds")
    if len(set(seeds)) < len(seeds):
        raise InputError("different seeds", list(seeds), "--seeds")
    return list(seeds)


def _plan(attacks: Mapping[str, Any], axes: Sequence[Axis], seeds: Sequence[int]) -> list[_Cell]:
    """Every run in its order, with its complete configuration, checked as far as can be before anything is trained.

    All points of the first seed come first, so that a sweep that is stopped has a whole figure. The points of a seed
    are shuffled by it, with the attacks of a point one after the other: what is there at any moment has seen weak and
    strong values, and whatever drifts with time does not pass for an effect of strength.
    """
    from mi_lightning.cli.main import ConfigReader

    if not attacks:
        raise InputError("one attack or more", "none", "--attacks")
    read = {name: _read_attack(str(name), content) for name, content in attacks.items()}
    stages = [(f"--grid.{axis.name}", axis.changes) for axis in axes]
    for flag, changes in stages + [(f"--attacks.{attack.name}", attack.changes) for attack in read.values()]:
        if taken := [key for key in changes if key in _SEEDS]:
            raise InputError("the seeds of the attacks under --seeds, which sets this key", taken[0], flag)
    reader = ConfigReader()
    base = {name: _complete(reader, attack.config, f"--attacks.{name}") for name, attack in read.items()}
    points = [(labels, _values(axes, labels)) for labels in combinations(axes)]
    configs = {
        (name, place): _configure(reader, base[name], attack, axes, labels, values)
        for place, (labels, values) in enumerate(points)
        for name, attack in read.items()
    }
    for name, attack in read.items():
        _check_effect(attack, axes, [(labels, configs[name, place]) for place, (labels, _) in enumerate(points)])
    cells: list[_Cell] = []
    for seed in seeds:
        order = list(range(len(points)))
        random.Random(seed).shuffle(order)
        cells += [
            _Cell(str(name), points[place][0], seed, _seeded(configs[name, place], seed))
            for place in order
            for name in read
        ]
    return cells


def _check_effect(attack: _Attack, axes: Sequence[Axis], points: Sequence[tuple[dict[str, str], Any]]) -> None:
    """Refuse a grid that changes nothing: equal runs at different points would pass for a finding.

    Raises:
        InputError: If an attack has the same configuration at two points.
    """
    seen: dict[str, dict[str, str]] = {}
    for labels, config in points:
        other = seen.setdefault(json.dumps(deciding(_seeded(config, 0)), sort_keys=True, default=str), labels)
        if other is labels:
            continue
        idle = [axis for axis in axes if labels[axis.name] != other[axis.name]]
        both = [", ".join(f"{axis.name} {at[axis.name]}" for axis in idle) for at in (other, labels)]
        own = [key for key in attack.changes if any(key in axis.changes for axis in idle)]
        why = f"; its own `set` of {', '.join(own)} wins over the grid" if own else ""
        raise InputError(
            "a grid that changes every attack at every value",
            f"{attack.name} with the same configuration at {both[0]} and {both[1]}{why}",
            f"--grid.{idle[0].name}",
        )


def _values(axes: Sequence[Axis], labels: Mapping[str, str]) -> dict[str, Any]:
    """The values at a point of the grid."""
    return {axis.name: axis.values[axis.labels.index(labels[axis.name])] for axis in axes}


def _seeded(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A configuration with the seed of an attack."""
    return {**config, "seed_everything": seed, "model": {**config["model"], "seed": seed}}


def _read_attack(name: str, content: Any) -> _Attack:
    """An attack as it stands in a sweep: a configuration, or one with changes."""
    flag = f"--attacks.{name}"
    if isinstance(content, str):
        content = {"config": content}
    if not isinstance(content, Mapping) or not isinstance(content.get("config"), str):
        raise InputError("a configuration, or `config` and what is `set` in it", content, flag)
    if unknown := [str(key) for key in content if key not in ("config", "set")]:
        raise InputError("config and set", ", ".join(unknown), flag)
    changes = content.get("set") or {}
    if not isinstance(changes, Mapping):
        raise InputError("dotted keys and what they are set to", changes, f"{flag}.set")
    config = read_yaml(content["config"], flag)
    return _Attack(name, dict(config), {str(key): value for key, value in changes.items()})


def _complete(reader: Any, config: Mapping[str, Any], where: str, *, check: bool = False) -> dict[str, Any]:
    """A configuration with all its defaults."""
    try:
        complete: dict[str, Any] = reader.complete(config, check=check)
    except MIError as error:
        raise MIError(f"{error} ({where})") from None
    if not complete.get("evaluator_ckpt") or not complete.get("data"):
        raise InputError("an evaluator_ckpt and data, without which nobody counts who is identified", "none", where)
    return complete


def _configure(
    reader: Any,
    base: Mapping[str, Any],
    attack: _Attack,
    axes: Sequence[Axis],
    labels: Mapping[str, str],
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """The complete configuration of an attack at a point of the grid."""
    where = ", ".join([f"--attacks.{attack.name}", *(f"{name} {label}" for name, label in labels.items())])
    config = dict(base)
    stages = [(f"--grid.{axis.name}", axis.changes) for axis in axes] + [(f"--attacks.{attack.name}", attack.changes)]
    for flag, template in stages:
        changes = fill_in(template, values, flag)
        try:
            config = change(config, changes, flag)
        except InputError:  # a part that was set has defaults of its own, which may be what is changed
            config = change(_complete(reader, config, where), changes, flag)
    config = _complete(reader, config, where, check=True)
    callbacks = config["trainer"].get("callbacks") or []
    if not any(str(callback.get("class_path")).endswith(".ResultsWriter") for callback in callbacks):
        raise InputError("the callback mi_lightning.lightning.callbacks.ResultsWriter", "none", where)
    return config


def _check_checkpoints(cells: Sequence[_Cell]) -> None:
    """See that every checkpoint can be read, before the first run."""
    wanted = {("classifier_ckpt", cell.config["model"]["classifier_ckpt"]) for cell in cells}
    wanted |= {("evaluator_ckpt", cell.config["evaluator_ckpt"]) for cell in cells}
    for key, path in sorted(pair for pair in wanted if pair[1] is not None):
        load_classifier(path, f"{key}; or name its configuration under --fit")


# ------------------------------------------------------------------------------------------------ running


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


def _run(cells: Sequence[_Cell], folder: Path, jobs: int | None, console: Console) -> dict[str, str]:
    """Run what is not finished; return the reasons of what failed, by identity."""
    done = _found(folder)
    waiting = list({cell.identity: cell for cell in cells if cell.identity not in done}.values())
    total = len({cell.identity for cell in cells})
    if reused := total - len(waiting):
        console.print(f"{reused} of {total} runs are finished already")
    if not waiting:
        return {}
    count = default_jobs(len(waiting)) if jobs is None else min(jobs, len(waiting))
    workers = Workers(count=count, threads=threads_each(count))
    console.print(f"[bold]sweep[/] {len(waiting)} runs, {count} at once, {workers.threads} threads each: {folder}")
    tasks = [_prepare(cell, folder) for cell in waiting]
    failures: dict[str, str] = {}
    columns = (
        TextColumn("sweep"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("sweep", total=total, completed=reused, left="")
        seconds: dict[str, list[float]] = {}
        open_cells = dict(enumerate(waiting))
        for outcome in workers.run(tasks):
            cell = open_cells.pop(outcome.place)
            if outcome.error:
                failures[cell.identity] = outcome.error
                console.print(f"{cell.name}: [red]failed[/] ({tasks[outcome.place].log})")
                console.print(f"  {outcome.error}", markup=False)
            else:
                seconds.setdefault(cell.attack, []).append(outcome.value["seconds"])
                console.print(_line(cell, outcome))
            left = _left(open_cells.values(), seconds, count)
            bar.update(task, advance=1, left=left)
    return failures


def _prepare(cell: _Cell, folder: Path) -> Job:
    """Make the folder of a run, empty but for its configuration."""
    runs = folder / "runs"
    run = runs / cell.folder
    if run.exists():
        shutil.rmtree(run)  # of a run that was stopped
    logger = {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": str(runs), "name": "", "version": cell.folder, "default_hp_metric": False},
    }
    callbacks = [
        {**callback, "init_args": {**(callback.get("init_args") or {}), "folder": None}}
        if str(callback["class_path"]).endswith(".ResultsWriter")
        else callback
        for callback in cell.config["trainer"]["callbacks"]
    ]
    config = {**cell.config, "trainer": {**cell.config["trainer"], "logger": logger, "callbacks": callbacks}}
    write_atomically(run / "config.yaml", yaml.safe_dump(config, sort_keys=False).encode())
    argument = {"folder": str(run), "identity": cell.identity}
    return Job("mi_lightning.commands.sweep.run:execute", argument, run / "log.txt")


def execute(argument: Mapping[str, Any]) -> dict[str, Any]:
    """Run one attack of a sweep, in a process of its own; its folder holds the configuration already.

    Args:
        argument: ``folder`` and ``identity`` of the run.

    Returns:
        Time that it took, and the numbers for the screen.
    """
    from mi_lightning.cli.main import MICLI, quieten

    quieten()
    start = time.perf_counter()
    folder = Path(argument["folder"])
    command = ["invert", "--config", str(folder / "config.yaml")]
    sys.argv = ["mi-lightning", *command]  # what the report shows, and what repeats the run
    run = MICLI(command, quiet=True)
    data = run.datamodule
    write_utility(folder, measure_utility(run.model.target.cpu(), data.test_x, data.test_y))
    content = {
        "schema_version": 1,
        "identity": argument["identity"],
        "version": package_versions()["mi-lightning"],
        "seconds": time.perf_counter() - start,
    }
    summary = read_run(folder).results.summary
    write_atomically(folder / _FINISHED, (json.dumps(content, indent=2) + "\n").encode())
    return {"seconds": content["seconds"], **{key: summary[key] for key in ("evaluator_top1", "identification_top1")}}


def _found(folder: Path) -> dict[str, Path]:
    """Folders of the runs that are finished, by identity."""
    found: dict[str, Path] = {}
    for path in sorted((folder / "runs").glob(f"*/{_FINISHED}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            read_run(path.parent)
        except (OSError, ValueError, MIError):  # damaged: it is run again
            continue
        if isinstance(content, dict) and content.get("schema_version") == 1:
            found[str(content.get("identity"))] = path.parent
    return found


def _line(cell: _Cell, outcome: Outcome) -> str:
    """What is said of a finished run."""
    numbers = outcome.value
    return (
        f"{cell.name}: top-1 {numbers['evaluator_top1']:.1%}, identification {numbers['identification_top1']:.1%} "
        f"({numbers['seconds']:.0f} s)"
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


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second sweep out of a folder: the two would take each other's runs for stopped ones.

    Raises:
        InputError: If another sweep is at work there.
    """
    try:
        import fcntl
    except ImportError:  # not on every system, which then has to trust its user
        yield
        return
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError("a folder where no other sweep is at work", folder, "--output") from None
        yield
