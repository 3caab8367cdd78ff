"""Control runs of an audit: each attack again, on a target that was never trained, or that never met the person."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.classifiers.untrained import untrained_copy
from mi_lightning.commands.base import Runner, console, headed
from mi_lightning.commands.finished import invert_once
from mi_lightning.commands.fit import differing_keys, what_was_fitted
from mi_lightning.commands.sweep.grid import leaves
from mi_lightning.errors import InputError, MIError
from mi_lightning.report.control_runs import FOLDER, Control, ControlName, mark_control, uses_public_knowledge
from mi_lightning.report.results import read_results

#: What `controls` of an audit may name.
CONTROLS = ("untrained", "without_person")
#: What it is if it is not given: the one that needs no training.
DEFAULT_CONTROLS = ("untrained",)

#: Argument of a target made of a file that leaves the file's weights out.
_UNTRAINED = "untrained"
_HALVES = (0, 1)
_SEED = 0  # of fresh weights, and of who is left out


def checked_controls(controls: Sequence[str] | None) -> tuple[str, ...]:
    """Return the controls of an audit: those named, `DEFAULT_CONTROLS` if None.

    Raises:
        InputError: If one is unknown, or named twice.
    """
    if controls is None:
        return DEFAULT_CONTROLS
    for name in controls:
        if name not in CONTROLS:
            raise InputError(f"controls of {', '.join(CONTROLS)}", name, "controls")
    if len(set(controls)) < len(controls):
        raise InputError("different controls", ", ".join(controls), "controls")
    return tuple(controls)


@dataclass(frozen=True)
class _Attack:
    """An attack whose controls are run.

    Attributes:
        name: Name of its run.
        configs: Its configurations.
        checkpoint: Checkpoint of its target; None of a target that can leave its weights out itself.
        keys: Dotted keys that name the checkpoint, or say that the weights are left out.
        output: Folder of the control runs.
    """

    name: str
    configs: tuple[str, ...]
    checkpoint: str | None
    keys: tuple[str, ...]
    output: Path

    @property
    def stem(self) -> str:
        """What files made from the checkpoint are called; two checkpoints of one name in two folders differ."""
        checkpoint = str(self.checkpoint)
        return f"{Path(checkpoint).stem}-{hashlib.sha256(checkpoint.encode()).hexdigest()[:8]}"

    def run(
        self, runner: Runner, control: ControlName, suffix: str, target: str | bool, without: list[str] | None
    ) -> Path:
        """Run the attack with another value of its keys, or find that it has run; return the folder."""
        changes = dict.fromkeys(self.keys, target)
        name = f"{self.name}_{suffix}"
        folder, reused = invert_once(runner, self.configs, save_dir=self.output, name=name, changes=changes)
        if reused:
            console().print(f"  {folder} is finished already")
        mark_control(folder, control, self.name, without)
        return folder


def run_controls(
    runner: Runner,
    name: str,
    configs: Sequence[str],
    run: Path,
    controls: Sequence[str],
    *,
    output: Path,
    checkpoints: Mapping[str, Path],
) -> list[Control]:
    """Run the controls of one attack: the same attack, with the same settings and judges, on other targets.

    Args:
        runner: Trains and attacks.
        name: Name of the run whose controls they are.
        configs: Its configurations.
        run: Its folder: what its attack knows beforehand decides what its control is called.
        controls: Names out of `CONTROLS` (`checked_controls`).
        output: Folder of the audit; the control runs lie below it in ``controls``.
        checkpoints: Configurations of the classifiers, and the file that each writes.

    Returns:
        The controls, in their order. One that could not be run says why.
    """
    found = []
    for control in controls:
        told: ControlName = "without_person"
        if control == "untrained":
            public = uses_public_knowledge(read_results(run).data["attack"])
            told = "prior_alone" if public else "untrained"
        console().print(headed("control", f"{name}: {told.replace('_', ' ')}"))
        try:
            attack = _attack(runner, name, configs, output / FOLDER)
            if told == "without_person":
                folders = tuple(_without_person(runner, attack, checkpoints))
            else:
                folders = (_untrained(runner, attack, told),)
            found.append(Control(told, folders))
        except MIError as error:  # the attack itself has run: its report names what is missing
            console().print(headed("  could not be run:", str(error), "yellow"))
            found.append(Control(told, reason=str(error)))
    return found


def _attack(runner: Runner, name: str, configs: Sequence[str], output: Path) -> _Attack:
    """Find out what the target of an attack is made of.

    Raises:
        MIError: If it is no classifier of a checkpoint.
    """
    model = runner.complete("invert", configs)["model"]
    checkpoint = model.get("classifier_ckpt")
    if checkpoint is None:
        if _UNTRAINED in ((model.get("target") or {}).get("init_args") or {}):
            return _Attack(name, tuple(configs), None, (f"model.target.init_args.{_UNTRAINED}",), output)
        raise MIError("the target is not made from a checkpoint (classifier_ckpt), so that nothing can take its place")
    # an attack may take parts of the target, such as its decoders, from the same file
    keys = tuple(key for key, value in leaves(model, "model") if value == checkpoint)
    return _Attack(name, tuple(configs), str(checkpoint), keys, output)


def _untrained(runner: Runner, attack: _Attack, told: ControlName) -> Path:
    """Attack a classifier of the same kind that was never trained."""
    if attack.checkpoint is None:
        return attack.run(runner, told, told, True, None)
    target = attack.output / f"{attack.stem}_untrained.ckpt"
    untrained_copy(attack.checkpoint, target, _SEED)
    return attack.run(runner, told, told, str(target), None)


def _without_person(runner: Runner, attack: _Attack, checkpoints: Mapping[str, Path]) -> Iterator[Path]:
    """Train the target twice, each time without half of the people, and attack both.

    Raises:
        MIError: If nobody knows how the target was trained, or it cannot be trained without them.
    """
    if attack.checkpoint is None:
        raise MIError("no configuration under classifiers trains the target, whose weights are a file of their own")
    where = Path(attack.checkpoint).resolve()
    config = next((config for config, path in checkpoints.items() if path.resolve() == where), None)
    if config is None:
        raise MIError(f"no configuration under classifiers trains {attack.checkpoint}, so that it cannot be repeated")
    for half in _HALVES:
        target = attack.output / f"{attack.stem}_without_person_{half}.ckpt"
        _fit_without(runner, config, half, target)
        without = load_classifier(target).training_info["data"]["without"]["people"]
        yield attack.run(runner, "without_person", f"without_person_{half}", str(target), without)


def _fit_without(runner: Runner, config: str, half: int, target: Path) -> None:
    """Train a classifier without half of the people, unless that was done with the same settings."""
    changes: dict[str, Any] = {
        "data": {
            "class_path": "mi_lightning.data.WithoutPeople",
            "init_args": {"data": runner.complete("fit", [config])["data"], "half": half, "seed": _SEED},
        },
        "checkpoint": str(target),
        "trainer.logger": False,  # what it learned is of no interest
    }
    if target.is_file():
        known = load_classifier(target).training_info.get("fit")
        if not differing_keys(known, what_was_fitted(runner.complete("fit", [config], changes=changes))):
            return
    console().print(f"  fit {config} without half of the people ({half + 1} of {len(_HALVES)})")
    runner.fit(config, changes=changes)
