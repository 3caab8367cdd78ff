"""Training a classifier: what comes before and after, and when a trained one is used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.commands.base import Runner, console, headed
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import ensure_writable
from mi_lightning.lightning.trainer import InversionTrainer


def before(datamodule: PersonDataModule, checkpoint: Path | None) -> None:
    """See that the data can be read and the checkpoint be written, before any time is spent.

    Raises:
        InputError: If one cannot.
    """
    datamodule.prepare_data()
    datamodule.setup("fit")  # what is wrong with the data is told before a run folder is made
    if checkpoint is not None:
        if checkpoint.is_dir():
            raise InputError("a file to write", f"{checkpoint}, a folder", "checkpoint")
        ensure_writable(checkpoint.parent, "checkpoint")


def after(
    trainer: InversionTrainer,
    classifier: Classifier,
    datamodule: PersonDataModule,
    checkpoint: Path | None,
    config: Mapping[str, Any],
) -> None:
    """Test what was trained, save it, and say how it did.

    Args:
        trainer: What trained it.
        classifier: What was trained.
        datamodule: The people.
        checkpoint: File to write, if any.
        config: Complete configuration, as parsed.

    Raises:
        KeyboardInterrupt: If the training was interrupted.
    """
    if trainer.interrupted:
        raise KeyboardInterrupt
    trainer.test(classifier, datamodule=datamodule, verbose=False)
    if checkpoint is not None and trainer.is_global_zero:
        classifier.training_info["fit"] = what_was_fitted(config)
        save_classifier(classifier, checkpoint)
    tell(classifier, checkpoint)


@rank_zero_only
def tell(classifier: Classifier, checkpoint: Path | None) -> None:
    """Print the test error of a classifier, and its file."""
    accuracy = classifier.training_info["test_accuracy"]
    where = "" if checkpoint is None else f"   {checkpoint}"
    console().print(f"{type(classifier).__name__}: test error {1 - accuracy:.2%}{where}")


def checkpoints_of(classifiers: Sequence[str], runner: Runner) -> dict[str, Path]:
    """Return the checkpoint that each configuration of a classifier writes.

    Args:
        classifiers: The configurations.
        runner: Completes them.

    Raises:
        MIError: If one cannot be read, or names no checkpoint.
    """
    found = {}
    for config in classifiers:
        checkpoint = completed(runner, "fit", [config], "classifiers").get("checkpoint")
        if not checkpoint:
            raise InputError("a key `checkpoint` in each configuration", f"none in {config}", "classifiers")
        found[config] = Path(str(checkpoint))
    return found


def completed(
    runner: Runner, command: str, configs: Sequence[str], field: str, *, check: bool = False
) -> dict[str, Any]:
    """Complete a configuration, and say which one it was if it is wrong.

    Raises:
        MIError: If it is.
    """
    try:
        return runner.complete(command, configs, check=check)
    except MIError as error:
        raise MIError(f"{error} in {' + '.join(configs)} (--{field})") from None


def fit_missing(checkpoints: Mapping[str, Path], runner: Runner, *, refit: bool = False) -> None:
    """Train what has no checkpoint yet.

    Args:
        checkpoints: Configurations of classifiers, and the file that each writes (:func:`checkpoints_of`).
        runner: Trains them.
        refit: Train again even where a checkpoint exists.
    """
    screen = console()
    for config, checkpoint in checkpoints.items():
        if not checkpoint.is_file() or refit:
            screen.print(headed("fit", config))
            runner.fit(config)
            continue
        info = load_classifier(checkpoint, "--classifiers").training_info
        accuracy = info.get("test_accuracy")
        known = "" if accuracy is None else f" (test error {1 - accuracy:.2%})"
        screen.print(headed("fit", f"{config}: reusing {checkpoint}{known}; --refit true trains it again"))
        if "fit" in info:
            now = what_was_fitted(runner.complete("fit", [config]))
            if changed := differing_keys(info["fit"], now):
                keys = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
                screen.print(f"  {checkpoint} was trained with other values of {keys}", style="yellow")


def what_was_fitted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the weights in a complete configuration of ``mi-lightning fit``: plain values only.

    Args:
        config: The configuration as parsed, before anything is made of it.
    """
    kept = {key: config.get(key) for key in ("seed_everything", "model", "data")}
    trainer = config.get("trainer") or {}
    kept["trainer"] = {key: trainer.get(key) for key in ("max_epochs", "max_steps", "precision", "gradient_clip_val")}
    found: dict[str, Any] = _plain(kept)
    return found


def _plain(value: Any) -> Any:
    """Return a tree of what a checkpoint may hold; what is neither a number nor text (a path, an enum) as text.

    Left out is where a parser read a part (``__path__``).
    """
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items() if key != "__path__"}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or type(value) in (bool, int, float, str) else str(value)


def differing_keys(one: object, other: object, at: str = "") -> list[str]:
    """Return the dotted keys in which two trees of plain values differ, sorted."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [key for name in keys for key in differing_keys(one.get(name), other.get(name), f"{at}.{name}")]
    return [] if one == other else [at.removeprefix(".")]
