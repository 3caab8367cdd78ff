"""What a command would do: everything that can be wrong is checked, and nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_lightning.attacks.labels import parse_labels
from mi_lightning.classifiers.base import Classifier
from mi_lightning.commands.base import Preview
from mi_lightning.data.base import PersonDataModule
from mi_lightning.judging.judge import Judge
from mi_lightning.lightning.estimate import estimate
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer


def preview_fit(
    trainer: InversionTrainer, classifier: Classifier, datamodule: PersonDataModule, checkpoint: Path | None
) -> Preview:
    """Say what a training would take; its data are read already."""
    batches = len(datamodule.train_dataloader())
    epochs = trainer.max_epochs
    parameters = sum(parameter.numel() for parameter in classifier.parameters())
    passes = f"{epochs} epochs at most" if epochs is not None and epochs > 0 else "epochs until its phases are over"
    where = "no checkpoint (--checkpoint)" if checkpoint is None else str(checkpoint)
    if checkpoint is not None and checkpoint.is_file():
        where += ", in the place of the one that is there"
    what = f"{type(classifier).__name__} on {len(datamodule.train_y):,} samples of {datamodule.num_classes} people"
    data = sum(x.element_size() * x.nelement() for x in (datamodule.train_x, datamodule.test_x))
    size = f"{parameters:,} parameters ({_megabytes(16 * parameters)} with their optimizer)"
    lines = [
        f"would train {what}, {passes} of {batches} batches, and test it on {len(datamodule.test_y):,}",
        f"memory: {size}, data {_megabytes(data)}",
        "minutes: not known before it runs; --trainer.max_epochs 1 shows what an epoch takes",
        f"would write: {where}{_logs(trainer)}",
    ]
    return Preview(lines, tuple(datamodule.class_names))


def preview_test(classifier: Classifier, datamodule: PersonDataModule, checkpoint: Path | None) -> Preview:
    """Say what a test would take; weights and data are read already."""
    samples = f"{len(datamodule.test_y):,} samples of {datamodule.num_classes} people"
    lines = [f"would test {type(classifier).__name__} of {checkpoint} on {samples}, one pass", "would write: nothing"]
    return Preview(lines, tuple(datamodule.class_names))


def preview_invert(trainer: InversionTrainer, inversion: Inversion) -> Preview:
    """Say what an attack would take; everything that it needs is loaded already."""
    lines = [
        *effort_of(inversion),
        f"judged by: {_judges(trainer.judge)}",
        f"would write: {trainer.log_dir or trainer.default_root_dir}",
    ]
    return Preview(lines, tuple(inversion.target.class_names))


def effort_of(inversion: Inversion) -> list[str]:
    """Say what an attack takes at most: rows, iterations, time, queries, memory, disk."""
    rows, restarts = inversion.rows(), inversion.attack.restarts
    people = len(set(rows.label.tolist()))
    return [
        f"would attack {type(inversion.target).__name__}: {people} people, {restarts} restarts each",
        str(estimate(inversion)),
    ]


def rows_to_come(config: Mapping[str, Any], class_names: Sequence[str]) -> str:
    """Say how many rows an attack has whose target is still to be trained.

    Args:
        config: Complete configuration of the attack.
        class_names: Name of each class that the target will have.

    Raises:
        InputError: If a label is unknown.
    """
    model = config["model"]
    people = len(parse_labels(model["labels"], class_names, "model.labels"))
    people = min(people, model.get("people") or people)
    return (
        f"would attack {people * model['restarts']} rows ({people} people x {model['restarts']} restarts), "
        f"{model['max_iterations']:,} iterations at most; what that takes is known when its classifiers are trained"
    )


def would_write(files: Mapping[Path, int]) -> list[str]:
    """Say which files would be written, and how large they are.

    Args:
        files: Size of each, as :func:`mi_lightning.io.writing_nothing` gives it.
    """
    lines = [f"would write: {path} ({_megabytes(size)}){_replaced(path)}" for path, size in files.items()]
    return lines or ["would write: nothing"]


def free_disk(folder: Path) -> str:
    """Say how much room there is where a folder is, or will be."""
    there = next((each for each in (folder, *folder.resolve().parents) if each.exists()), Path())
    return f"free on disk there: {_megabytes(shutil.disk_usage(there).free)}"


def _judges(judge: Judge | None) -> str:
    if judge is None:
        return "nobody (no data, no evaluator)"
    inside = (
        "no inside evaluator" if judge.evaluator is None else f"an inside evaluator ({type(judge.evaluator).__name__})"
    )
    return f"{inside} and {'a recogniser' if judge.missing is None else f'no recogniser ({judge.missing})'}"


def _logs(trainer: InversionTrainer) -> str:
    return f", and logs into {trainer.log_dir}" if trainer.loggers and trainer.log_dir else ""


def _replaced(path: Path) -> str:
    return ", in the place of the one that is there" if path.is_file() else ""


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
