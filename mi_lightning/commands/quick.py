"""Quick audits: does everything run, and what will the page look like? Soon told, and no evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.commands.base import Runner, console, headed
from mi_lightning.commands.fit import differing_keys, what_was_fitted
from mi_lightning.commands.sweep.grid import leaves
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import read_json

#: What is left of the people, of an attack, and of a training that has no checkpoint yet.
PEOPLE, ITERATIONS, CANDIDATES, EPOCHS, BATCHES = 2, 5, 2, 1, 10

WHAT_IS_CUT = (
    f"{PEOPLE} people, {ITERATIONS} iterations, no controls, no recogniser; what has no checkpoint is trained for "
    f"{EPOCHS} epoch of {BATCHES} batches"
)


def quick_folder(output: str) -> Path:
    """Folder of the quick audit beside that of the real one, which must hold no real one.

    Raises:
        InputError: If it does.
    """
    folder = Path(f"{output}_quick")
    document = folder / "audit.json"
    if document.is_file():
        try:
            known = read_json(document)
        except MIError:  # damaged: there is nothing to keep
            known = {"quick": True}
        if not (isinstance(known, dict) and known.get("quick")):
            raise InputError("an output beside which no audit lies", f"{folder}, an audit that is not quick", "output")
    return folder


def quick_checkpoints(checkpoints: Mapping[str, Path], runner: Runner, folder: Path) -> dict[Path, Path]:
    """Return the checkpoint that a quick audit takes in the place of each: itself where it is there, else a hasty one.

    Hasty ones lie in the folder of the quick audit, where no real audit looks for any.

    Args:
        checkpoints: Configurations of classifiers, and the file that each writes.
        runner: Trains them.
        folder: Folder of the quick audit.
    """
    taken = {}
    for config, checkpoint in checkpoints.items():
        taken[checkpoint] = checkpoint
        if checkpoint.is_file():
            console().print(headed("fit", f"{config}: reusing {checkpoint}"))
            continue
        taken[checkpoint] = hasty = hasty_place(checkpoint, folder)
        changes = hasty_fit(runner.complete("fit", [config]), hasty)
        if not _is_there(hasty, runner.complete("fit", [config], changes=changes)):
            console().print(headed("fit", f"{config}, hastily: {hasty}"))
            runner.fit(config, changes=changes)
    return taken


def hasty_place(checkpoint: Path, folder: Path) -> Path:
    """Where a checkpoint lies that a quick audit takes: where it is, or where a hasty one will be.

    Args:
        checkpoint: File of the real one.
        folder: Folder of the quick audit.
    """
    if checkpoint.is_file():
        return checkpoint
    # two checkpoints of one name in two folders differ
    digest = hashlib.sha256(checkpoint.as_posix().encode()).hexdigest()[:8]
    return folder / "checkpoints" / f"{checkpoint.stem}-{digest}.ckpt"


def hasty_fit(config: Mapping[str, Any], checkpoint: Path) -> dict[str, Any]:
    """What a training is changed to that is over in seconds.

    Args:
        config: Its complete configuration.
        checkpoint: File that it writes.
    """
    phases = {
        f"model.{key}": min(value, EPOCHS)
        for key, value in leaves(config["model"])
        if key.rpartition(".")[2] == "epochs" and isinstance(value, int)
    }
    epochs = (config.get("trainer") or {}).get("max_epochs")
    limit = {"trainer.max_epochs": EPOCHS} if not isinstance(epochs, int) or epochs > EPOCHS else {}
    return {
        **phases,
        **limit,
        "trainer.limit_train_batches": BATCHES,
        "trainer.logger": False,  # what it learned is of no interest
        "checkpoint": str(checkpoint),
    }


def quick_attack(config: Mapping[str, Any], taken: Mapping[Path, Path]) -> dict[str, Any]:
    """What an attack is changed to that is over in seconds.

    Args:
        config: Its complete configuration.
        taken: Checkpoint that is taken in the place of each.
    """
    model = config["model"]
    files = {
        key: str(taken[Path(value)]) for key, value in leaves(config) if isinstance(value, str) and Path(value) in taken
    }
    changes = {
        **files,
        "model.max_iterations": min(model["max_iterations"], ITERATIONS),
        "model.report_every": min(model["report_every"], ITERATIONS),
        "model.initial_candidates": min(model["initial_candidates"], CANDIDATES),
        "model.restarts": 1,
        "model.people": PEOPLE,
        "recogniser": None,
    }
    # a target that was hardly trained does not know its people, and nobody says that it does
    return changes | {"unverified": True}


def checked_quick(controls: Sequence[str] | None, *, refit: bool) -> None:
    """Say what a quick audit does not do, and refuse what it cannot.

    Raises:
        InputError: If it is to train again what a real audit has trained.
    """
    if refit:
        raise InputError("either --quick or --refit", "both", "quick")
    screen = console()
    screen.print(headed("quick:", "no evidence", style="bold red"))
    screen.print(f"  {WHAT_IS_CUT}")
    if controls:
        screen.print(f"  not run: the controls {', '.join(controls)}")


def _is_there(hasty: Path, config: Mapping[str, Any]) -> bool:
    """Whether a hasty checkpoint is there that was trained with these settings."""
    if not hasty.is_file():
        return False
    return not differing_keys(load_classifier(hasty).training_info.get("fit"), what_was_fitted(config))
