"""Writes what an attack found into its run folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from lightning.pytorch import Trainer

from mi_lightning.attacks.result import InversionResult
from mi_lightning.errors import InputError
from mi_lightning.judging.judge import Judge
from mi_lightning.lightning.callbacks.base import Attacking, InversionCallback
from mi_lightning.report.results import write_results

_FLAG = "--trainer.logger.init_args.save_dir or --trainer.default_root_dir"


class ResultsWriter(InversionCallback):
    """Write ``results.json``, ``per_label.csv``, ``reconstructions.npz`` and ``.png`` when an attack ends.

    Also when it was interrupted: what was found until then is written. If the trainer has a judge
    (``InversionTrainer.invert`` with references or an evaluator), the files hold its metrics and controls.

    Args:
        folder: Where to; the run folder of the trainer's logger if None.
    """

    def __init__(self, folder: str | None = None) -> None:
        """Keep the folder; nothing is touched yet."""
        self.folder = folder

    def setup(self, trainer: Trainer, pl_module: object, stage: str) -> None:
        """See that the folder can be written, before any work is done.

        Raises:
            InputError: If it cannot.
        """
        folder = self._folder(trainer)
        if trainer.is_global_zero:
            check_writable(folder, _FLAG if self.folder is None else "folder of ResultsWriter")

    def on_inversion_end(self, trainer: Trainer, inversion: Attacking, result: InversionResult) -> None:
        """Judge and write, on one process."""
        folder = self._folder(trainer)
        if not trainer.is_global_zero:
            return
        judge = getattr(trainer, "judge", None)
        target = inversion.target
        write_results(
            folder,
            result,
            judge.judge(result) if isinstance(judge, Judge) else None,
            target=target.describe(),
            attack=inversion.describe(trainer.callbacks),
            input_range=target.input_range,
        )

    def _folder(self, trainer: Trainer) -> Path:
        """The folder. To be asked for on every process: the trainer broadcasts its own."""
        folder = trainer.log_dir
        return Path(self.folder if self.folder is not None else folder or trainer.default_root_dir)


def check_writable(folder: Path, flag: str) -> None:
    """Make a folder and see that a file can be written there; nothing stays behind but the folder.

    Args:
        folder: The folder.
        flag: Flag to name in the error.

    Raises:
        InputError: If it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".writable.", dir=folder)
        os.close(descriptor)
        Path(name).unlink()
    except FileExistsError as error:  # only of mkdir
        raise InputError("a folder that can be written", f"{folder}, which is a file", flag) from error
    except OSError as error:
        raise InputError("a folder that can be written", f"{folder}: {error.strerror}", flag) from error
