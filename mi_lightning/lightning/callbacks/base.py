"""The hooks that an attack adds to Lightning's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightning.pytorch import Callback, Trainer
from torch import Tensor

if TYPE_CHECKING:
    from mi_lightning.attacks.result import InversionResult
    from mi_lightning.lightning.module import Inversion


class InversionCallback(Callback):
    """A callback that also follows the iterations of an :class:`~mi_lightning.lightning.Inversion`.

    An iteration is: update, constraint, :meth:`on_candidate_update`, evaluation, :meth:`on_iteration_end`. The two
    hooks of the inner loop run for every iteration and must not make the host wait for the device (no ``.item()``, no
    branch on a tensor); :meth:`on_block_end` is the place for that.
    """

    def on_inversion_start(self, trainer: Trainer, inversion: Inversion) -> None:
        """Run once, before the first chunk of rows."""

    def on_chunk_start(self, trainer: Trainer, inversion: Inversion) -> None:
        """Run when a chunk of rows has been placed and evaluated at its initial candidates (iteration 0)."""

    def on_candidate_update(self, trainer: Trainer, inversion: Inversion, iteration: int) -> None:
        """Run after update and constraint, before the evaluation: PROCESS of Algorithm 1 [F15].

        ``inversion.candidate`` may be changed in place.
        """

    def on_iteration_end(self, trainer: Trainer, inversion: Inversion, iteration: int, cost: Tensor) -> None:
        """Run after the evaluation.

        Args:
            trainer: The trainer.
            inversion: The attack; :meth:`~mi_lightning.lightning.Inversion.deactivate` stops rows.
            iteration: Number of the iteration, from 1.
            cost: Cost with priors of each row in the batch, shape (R,), stopped rows included.
        """

    def on_rows_kept(self, trainer: Trainer, inversion: Inversion, keep: Tensor) -> None:
        """Run when stopped rows have left the batch: per-row state has to be indexed by ``keep`` (int64)."""

    def on_block_end(self, trainer: Trainer, inversion: Inversion, iteration: int) -> None:
        """Run at the end of each block of iterations."""

    def on_inversion_end(self, trainer: Trainer, inversion: Inversion, result: InversionResult) -> None:
        """Run once when all rows have stopped, on every process, with the rows of all processes."""
