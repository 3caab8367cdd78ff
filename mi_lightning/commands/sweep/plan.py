"""What a sweep runs: every attack at every point of the grid, with its complete configuration."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.commands.audit import configs_of
from mi_lightning.commands.base import Runner
from mi_lightning.commands.sweep.grid import change, combinations, deciding, fill_in
from mi_lightning.errors import InputError, MIError
from mi_lightning.report.axes import Axis

_SEEDS = ("model.seed", "seed_everything")  # keys that `seeds` sets


@dataclass(frozen=True)
class Attack:
    """Base configurations, and what this attacker changes in them."""

    name: str
    configs: tuple[str, ...]
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One attack at one point of the grid with one seed."""

    attack: str
    labels: dict[str, str]
    seed: int
    config: dict[str, Any]
    run_digest: str = ""

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        return " ".join([self.attack, *(f"{name}={label}" for name, label in self.labels.items()), f"seed={self.seed}"])

    @property
    def folder(self) -> str:
        """Name of the folder of its run."""
        words = [self.attack, *(f"{name}={label}" for name, label in self.labels.items()), f"seed={self.seed}"]
        return re.sub(r"[^\w.=+-]+", "-", "_".join([*words, self.run_digest[:10]]))


def checked_seeds(seeds: Sequence[int] | None) -> list[int]:
    """The seeds; 0 if none are given."""
    if seeds is None:
        return [0]
    if not seeds:
        raise InputError("one seed or more", "none", "seeds")
    for seed in seeds:
        if seed < 0:
            raise InputError("seeds >= 0", seed, "seeds")
    if len(set(seeds)) < len(seeds):
        raise InputError("different seeds", list(seeds), "seeds")
    return list(seeds)


def plan(attacks: Mapping[str, Any], axes: Sequence[Axis], seeds: Sequence[int], runner: Runner) -> list[Cell]:
    """Every run in its order, with its complete configuration, checked as far as can be before anything is trained.

    All points of the first seed come first, so that a sweep that is stopped has a whole figure. The points of a seed
    are shuffled by it, with the attacks of a point one after the other: what is there at any moment has seen weak and
    strong values, and whatever drifts with time does not pass for an effect of strength.
    """
    if not attacks:
        raise InputError("one attack or more", "none", "attacks")
    read = {name: _read_attack(str(name), content) for name, content in attacks.items()}
    stages = [(f"grid.{axis.name}", axis.changes) for axis in axes]
    for field, changes in stages + [(f"attacks.{attack.name}", attack.changes) for attack in read.values()]:
        if taken := [key for key in changes if key in _SEEDS]:
            raise InputError("the seeds of the attacks under `seeds`, which sets this key", taken[0], field)
    base = {name: _complete(runner, attack.configs, f"attacks.{name}") for name, attack in read.items()}
    points = [(labels, _values(axes, labels)) for labels in combinations(axes)]
    configs = {
        (name, place): _configure(runner, base[name], attack, axes, labels, values)
        for place, (labels, values) in enumerate(points)
        for name, attack in read.items()
    }
    for name, attack in read.items():
        _check_effect(attack, axes, [(labels, configs[name, place]) for place, (labels, _) in enumerate(points)])
    cells: list[Cell] = []
    for seed in seeds:
        order = list(range(len(points)))
        random.Random(seed).shuffle(order)
        cells += [
            Cell(str(name), points[place][0], seed, _seeded(configs[name, place], seed))
            for place in order
            for name in read
        ]
    return cells


def _check_effect(attack: Attack, axes: Sequence[Axis], points: Sequence[tuple[dict[str, str], Any]]) -> None:
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
            f"grid.{idle[0].name}",
        )


def _values(axes: Sequence[Axis], labels: Mapping[str, str]) -> dict[str, Any]:
    """The values at a point of the grid."""
    return {axis.name: axis.values[axis.labels.index(labels[axis.name])] for axis in axes}


def _seeded(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A configuration with the seed of an attack."""
    return {**config, "seed_everything": seed, "model": {**config["model"], "seed": seed}}


def _read_attack(name: str, content: Any) -> Attack:
    """An attack as it stands in a sweep: configurations, and what is changed in them."""
    field = f"attacks.{name}"
    configs = configs_of(content, field, more=("set",))
    changes = content.get("set") or {} if isinstance(content, Mapping) else {}
    if not isinstance(changes, Mapping):
        raise InputError("dotted keys and what they are set to", changes, f"{field}.set")
    return Attack(name, configs, {str(key): value for key, value in changes.items()})


def _complete(
    runner: Runner, config: Sequence[str] | Mapping[str, Any], where: str, *, check: bool = False
) -> dict[str, Any]:
    """A configuration with all its defaults."""
    try:
        complete = runner.complete("invert", config, check=check)
    except MIError as error:
        raise MIError(f"{error} (--{where})") from None
    if absent := [key for key in ("evaluator_ckpt", "data") if not complete.get(key)]:
        expected = "an evaluator_ckpt and data, without which nobody counts who is given away"
        raise InputError(expected, f"no {' and no '.join(absent)}", where)
    return complete


def _configure(
    runner: Runner,
    base: Mapping[str, Any],
    attack: Attack,
    axes: Sequence[Axis],
    labels: Mapping[str, str],
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """The complete configuration of an attack at a point of the grid."""
    where = ", ".join([f"attacks.{attack.name}", *(f"{name} {label}" for name, label in labels.items())])
    config = dict(base)
    stages = [(f"grid.{axis.name}", axis.changes) for axis in axes] + [(f"attacks.{attack.name}", attack.changes)]
    for field, template in stages:
        changes = fill_in(template, values, field)
        try:
            config = change(config, changes, field)
        except InputError:  # a part that was set has defaults of its own, which may be what is changed
            config = change(_complete(runner, config, where), changes, field)
    return _complete(runner, config, where, check=True)


def check_checkpoints(cells: Sequence[Cell]) -> None:
    """See that every checkpoint can be read, before the first run."""
    wanted = {("classifier_ckpt", cell.config["model"]["classifier_ckpt"]) for cell in cells}
    wanted |= {("evaluator_ckpt", cell.config["evaluator_ckpt"]) for cell in cells}
    for key, path in sorted(pair for pair in wanted if pair[1] is not None):
        load_classifier(path, f"{key}; or name its configuration under --classifiers")
