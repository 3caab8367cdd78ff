"""Writes what an attack found into its run folder."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer

from mi_lightning.attacks.result import InversionResult
from mi_lightning.io import ensure_writable
from mi_lightning.judging.judge import Judge
from mi_lightning.lightning.callbacks.base import Attacking, InversionCallback
from mi_lightning.report import write_results


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
            ensure_writable(folder, "default_root_dir" if self.folder is None else "folder")

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
