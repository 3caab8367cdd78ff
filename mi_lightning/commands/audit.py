"""Audits: fit what has no checkpoint yet, invert, judge, and report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import yaml
from rich.console import Console

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.errors import InputError, MIError
from mi_lightning.lightning.trainer import ensure_writable
from mi_lightning.report import build_report, summary_table


def audit(
    fit: list[str],
    invert: list[str],
    output: str = "lightning_logs/audit",
    title: str = "Model inversion audit",
    refit: bool = False,
) -> None:
    """Fit what has no checkpoint yet, invert, judge, and write one self-contained report.

    Args:
        fit: Configurations of the classifiers, target and evaluator alike (``mi-lightning fit``), each with a
            ``checkpoint``. Paths are relative to the working folder.
        invert: Configurations of the attacks (``mi-lightning invert``), one column of the report each.
        output: Folder of the runs and of ``report.html``.
        title: Title of the report.
        refit: Train again even where a checkpoint exists.
    """
    from mi_lightning.cli.main import MICLI, ConfigReader

    start = time.perf_counter()
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(output)
    if not invert:
        raise InputError("at least one attack", "none", "--invert")
    checkpoints = {config: checkpoint_of(config) for config in fit}
    reader = ConfigReader()
    for config in invert:  # what is wrong with an attack is told before anything is trained
        content = read_yaml(config, "--invert")
        try:
            reader.complete(content, check=True)
        except MIError as error:
            raise MIError(f"{error} in {config}") from None
    ensure_writable(folder, "--output")
    fit_missing(checkpoints, console, refit=refit)
    runs = []
    for config in invert:
        console.print(f"[bold]invert[/] {config}")
        name = Path(config).stem
        logger = {
            "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
            "init_args": {"save_dir": str(folder), "name": name, "default_hp_metric": False},
        }
        run = MICLI(["invert", "--config", config, f"--trainer.logger={yaml.safe_dump(logger)}"], quiet=True)
        runs.append(Path(str(run.trainer.log_dir)))
    build_report(runs, folder / "report.html", title=title)
    console.print(summary_table(runs))
    console.print(f"report: {folder / 'report.html'}   ({time.perf_counter() - start:.0f} s)")


def report(runs: list[str], output: str = "report.html", title: str = "Model inversion report") -> None:
    """Write one self-contained HTML page about runs that are finished.

    Args:
        runs: Folders of runs, each with a ``results.json``: one column of the report each.
        output: File to write.
        title: Title of the page.
    """
    folders = [Path(run) for run in runs]
    if not folders:
        raise InputError("at least one run", "none", "--runs")
    build_report(folders, Path(output), title=title)
    console = Console(highlight=False, soft_wrap=True)
    console.print(summary_table(folders))
    console.print(f"report: {output}")


def show_run(folder: Path) -> None:
    """Print the summary of one run as a table, and where its files are.

    Args:
        folder: Folder of the run; nothing is printed if it holds no results.
    """
    if (folder / "results.json").is_file():
        console = Console(highlight=False, soft_wrap=True)
        console.print(summary_table([folder]))
        console.print(f"results: {folder}")


def fit_missing(checkpoints: Mapping[str, Path], console: Console, *, refit: bool = False) -> None:
    """Train what has no checkpoint yet.

    Args:
        checkpoints: Configurations of classifiers (:func:`checkpoint_of`), and the file that each writes.
        console: Where it is told.
        refit: Train again even where a checkpoint exists.
    """
    from mi_lightning.cli.main import MICLI, ConfigReader, what_was_fitted

    reader: ConfigReader | None = None
    for config, checkpoint in checkpoints.items():
        if checkpoint.is_file() and not refit:
            info = load_classifier(checkpoint, "--fit").training_info
            accuracy = info.get("test_accuracy")
            known = "" if accuracy is None else f" (test error {1 - accuracy:.2%})"
            console.print(f"[bold]fit[/] {config}: reusing {checkpoint}{known}; --refit true trains it again")
            if "fit" in info:
                reader = reader or ConfigReader("fit")
                now = what_was_fitted(reader.complete(read_yaml(config, "--fit")))
                if changed := differing_keys(info["fit"], now):
                    keys = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
                    console.print(f"  [yellow]{checkpoint} was trained with other values of {keys}[/]")
        else:
            console.print(f"[bold]fit[/] {config}")
            MICLI(["fit", "--config", config])


def differing_keys(one: object, other: object, at: str = "") -> list[str]:
    """Return the dotted keys in which two trees of plain values differ, sorted."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [key for name in keys for key in differing_keys(one.get(name), other.get(name), f"{at}.{name}")]
    return [] if one == other else [at.removeprefix(".")]


def checkpoint_of(config: str) -> Path:
    """Return the checkpoint that a fit configuration writes."""
    checkpoint = read_yaml(config, "--fit").get("checkpoint")
    if not checkpoint:
        raise InputError("a key `checkpoint` in each fit configuration", f"none in {config}", "--fit")
    return Path(str(checkpoint))


def read_yaml(path: str, flag: str) -> dict[str, object]:
    """Read a configuration.

    Raises:
        MIError: If there is none, or it is not YAML.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("a configuration that can be read", f"{path}: {error.strerror}", flag) from error
    except yaml.YAMLError as error:
        raise MIError(f"{path} is not YAML: {' '.join(str(error).split())} ({flag})") from error
    if not isinstance(content, dict):
        raise InputError("a configuration of keys and values", path, flag)
    return content
