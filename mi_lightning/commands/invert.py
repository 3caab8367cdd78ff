"""An attack: what comes before and after."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from mi_lightning.commands.base import console
from mi_lightning.judging.verdicts import no_difference
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.report import summary_table
from mi_lightning.report.manifest import write_manifest
from mi_lightning.report.results import read_results
from mi_lightning.report.verification import verification_of
from mi_lightning.targets.base import Target


def before(trainer: InversionTrainer) -> None:
    """Refuse what no attack can do.

    Raises:
        InputError: If a flag of the trainer means nothing to an attack, or would spoil it.
    """
    trainer.check_flags()


def after(trainer: InversionTrainer, inversion: Inversion, *, quiet: bool = False) -> None:
    """Write the manifest of the run's folder, say what was found and where it lies.

    Lightning has closed the loggers by now: nothing is written into the folder after the manifest. There is none for a
    folder that is not the run's own, as without a logger.

    Args:
        trainer: What ran the attack.
        inversion: The attack.
        quiet: Whether the caller shows what was found.

    Raises:
        KeyboardInterrupt: If the attack was interrupted.
        MIError: If the manifest cannot be written.
    """
    folder = trainer.log_dir  # asked for on every process: they agree on it by talking
    if trainer.is_global_zero and folder is not None:
        if (Path(folder) / "results.json").is_file() and isinstance(trainer.logger, TensorBoardLogger | CSVLogger):
            write_manifest(folder)
        if not quiet:
            show_run(Path(folder))
            show_price(inversion.target)
    if inversion.stop_requested:
        raise KeyboardInterrupt


def unchanged(folder: Path) -> str | None:
    """Say for how many rows of a run all answers were the same; None if there are none.

    Args:
        folder: Folder of the run.
    """
    rows = read_results(folder).data["per_label"]
    deaf = [row for row in rows if row.get("same_answers")]
    if not deaf:
        return None
    said = no_difference(max(row["queries"] for row in deaf))
    return f"{len(deaf)} of {len(rows)} rows: {said}; it says nothing of what the model gives away"


def show_run(folder: Path) -> None:
    """Print the summary of one run as a table, and where its files are.

    Args:
        folder: Folder of the run; nothing is printed if it holds no results.
    """
    if (folder / "results.json").is_file():
        screen = console()
        screen.print(summary_table([folder]))
        tell_verification(folder)
        if said := unchanged(folder):
            screen.print(said, style="bold")
        screen.print(f"results: {folder}")


def show_price(target: Target) -> None:
    """Print what a target has cost; nothing of one that charges nothing."""
    each, price = target.price_per_query, target.price
    if each is not None and price is not None:
        console().print(f"price: {target.charged:,} queries x {each:g} = {price:,.6g}")


def tell_verification(folder: Path, name: str = "") -> None:
    """Print whether the target of a run was shown to know the people.

    Args:
        folder: Folder of the run.
        name: What to call it.
    """
    found = verification_of(read_results(folder).data.get("verification"))
    style = {"bad": "bold red", "note": "yellow", "grey": "dim"}.get(found.style, "")
    console().print(f"{name}{': ' if name else ''}{found.title} {found.text}", style=style, markup=False)
