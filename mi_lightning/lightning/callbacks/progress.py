"""One progress bar for a whole training or a whole attack."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mi_lightning.attacks.findings import Report
from mi_lightning.classifiers.base import Classifier
from mi_lightning.lightning.callbacks.base import Attacking, InversionCallback


class WholeProgress(ProgressBar, InversionCallback):
    """Show one bar over all epochs of a training, or over all iterations of an attack.

    Lightning's own bars start anew each epoch, which for epochs of milliseconds is a flicker. Beside the bar stand
    loss and accuracy, or mean cost and the number of rows that still run. Above that of an attack stands what it will
    take. Where the output is no terminal, only that and the end of the bar are written.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        super().__init__()
        self._enabled = True
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def disable(self) -> None:
        """Show nothing; Lightning calls this on every process but the first."""
        self._enabled = False

    def enable(self) -> None:
        """Show the bar again."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar of a training; that of an attack opens with its first chunk."""
        if isinstance(pl_module, Classifier):
            epochs = trainer.max_epochs
            self._open("fit", epochs if epochs is not None and epochs > 0 else None)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Advance by an epoch."""
        if self._bar is not None and isinstance(pl_module, Classifier):
            self._update(1, self.get_metrics(trainer, pl_module))

    def on_inversion_start(self, trainer: Trainer, inversion: Attacking) -> None:
        """Open the bar of an attack."""
        self._done = 0
        self._open("invert", inversion.attack.max_iterations * inversion.engine.parts)
        if self._bar is not None and inversion.estimate is not None:
            self._bar.console.print(str(inversion.estimate), highlight=False, soft_wrap=True, markup=False)

    def on_report(self, trainer: Trainer, inversion: Attacking, report: Report) -> None:
        """Advance to the report."""
        if self._bar is not None:  # there are more parts once memory has run short
            self._bar.update(self._task, total=inversion.attack.max_iterations * inversion.engine.parts)
        done = report.part * inversion.attack.max_iterations + report.iteration
        advance, self._done = done - self._done, done
        self._update(advance, {"cost": report.cost, "active_rows": report.active_rows})

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._close()

    def _open(self, what: str, total: int | None) -> None:
        if not self._enabled:
            return
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}", markup=False),
        )
        self._task = self._bar.add_task(what, total=total, shown="")
        self._bar.start()

    def _update(self, advance: int, metrics: dict[str, Any]) -> None:
        if self._bar is None:
            return
        shown = "  ".join(
            f"{name.rpartition('/')[2].replace('_', ' ')} {float(value):.4g}"
            for name, value in metrics.items()
            if name != "v_num" and value is not None
        )
        self._bar.update(self._task, advance=advance, shown=shown)

    def _close(self) -> None:
        if self._bar is None:
            return
        self._bar.update(self._task, total=self._bar.tasks[0].completed)  # it may have ended before the limit
        self._bar.stop()
        self._bar = None
