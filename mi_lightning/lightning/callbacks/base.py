"""The hooks that an attack adds to Lightning's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from lightning.pytorch import Callback, Trainer

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.findings import Report
from mi_lightning.attacks.in_parts import InParts
from mi_lightning.attacks.result import InversionResult
from mi_lightning.targets.base import Target


class Attacking(Protocol):
    """What callbacks see of an :class:`~mi_lightning.lightning.module.Inversion`."""

    attack: Attack
    engine: InParts

    @property
    def estimate(self) -> object | None:
        """What the attack will take, in one line as text."""

    @property
    def target(self) -> Target:
        """The target behind its defenses."""

    def progress(self) -> InversionResult:
        """Return the best iterates so far of the rows that have been started on this process."""

    def describe(self, callbacks: Iterable[object] = ()) -> dict[str, Any]:
        """Return what a report says of the attack."""


class InversionCallback(Callback):
    """A callback that also follows an attack (:class:`~mi_lightning.lightning.module.Inversion`).

    What acts within an iteration is a stop rule or a projection (:mod:`mi_lightning.attacks.stopping`,
    :mod:`mi_lightning.attacks.projections`): among the trainer's callbacks they take part in the attack.
    """

    def on_inversion_start(self, trainer: Trainer, inversion: Attacking) -> None:
        """Run once, when the initial candidates are placed and nothing has been asked."""

    def on_report(self, trainer: Trainer, inversion: Attacking, report: Report) -> None:
        """Run after each report, every few iterations: the host may look at the device here."""

    def on_part_end(self, trainer: Trainer, inversion: Attacking, number: int, result: InversionResult) -> None:
        """Run when a part of an attack in parts is over while others still run, with what it found on this process."""

    def on_inversion_end(self, trainer: Trainer, inversion: Attacking, result: InversionResult) -> None:
        """Run once when all rows have stopped, on every process, with the rows of all processes."""


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """Return the trainer's callbacks, whose attribute Lightning sets without declaring it."""
    found: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return found
