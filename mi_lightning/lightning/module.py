"""Model inversion as a LightningModule: an engine, driven by Lightning's loop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn

from mi_lightning.attacks.attack import Attack, describe_part
from mi_lightning.attacks.findings import Report
from mi_lightning.attacks.in_parts import InParts
from mi_lightning.attacks.projections.base import Projection
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.stopping import StopRule
from mi_lightning.errors import InputError
from mi_lightning.lightning.callbacks.base import InversionCallback, callbacks_of
from mi_lightning.lightning.estimate import Estimate, estimate_of
from mi_lightning.lightning.strategies import gather_rows
from mi_lightning.lightning.target import Access, open_target
from mi_lightning.targets.base import Target, TargetError
from mi_lightning.targets.defenses.base import Defense, defend


class Inversion(LightningModule):
    """Model inversion of a target, with everything that Lightning has for a training: callbacks, loggers, devices.

    It drives an engine (:class:`~mi_lightning.attacks.engine.Engine`); one training step runs it to its next report.
    Stop rules and projections among the trainer's callbacks take part in the attack.

    Args:
        classifier_ckpt: Checkpoint of the classifier to attack. Give this or ``target``.
        target: Target to attack.
        access: What the attacker may touch of ``classifier_ckpt``, or of a white box as ``target``: the classifier
            itself, or its confidences.
        defenses: What stands in front of the target, the first one next to it.
        query_budget: Inputs that each row may ask for; an iteration that would take more is not begun, and the row
            stops with what it has. No limit if None.
        labels: People to reconstruct: "all", indices, names, ranges such as "0-9", with commas between them; or a list,
            where an integer is an index and a quoted text a name that is never split.
        **attack: Arguments of :class:`~mi_lightning.attacks.attack.Attack`.

    Attributes:
        attack: What is done to the target.
        engine: What does it, while the attack runs.
        result: What was found, after the attack.
        failure: What the target failed by; what was found until then is kept.
        estimate: What it will take, where a progress bar says so.
    """

    engine: InParts
    estimate: Estimate | None = None

    def __init__(
        self,
        classifier_ckpt: str | None = None,
        *,
        target: Target | None = None,
        access: Access = "white_box",
        defenses: list[Defense] | None = None,
        query_budget: int | None = None,
        labels: str | int | list[str | int] = "all",
        **attack: Any,
    ) -> None:
        """Check the numbers; files are opened when the attack starts."""
        super().__init__()
        self.attack = Attack(**attack)
        if query_budget is not None and query_budget < 1:
            raise InputError("query_budget >= 1", query_budget, field="query_budget")
        self.automatic_optimization = False
        self.classifier_ckpt, self._target, self._complete = classifier_ckpt, target, False
        self.access, self.defenses, self.query_budget, self.labels = access, list(defenses or []), query_budget, labels
        self._stop_requested = False
        self.failure: TargetError | None = None
        self._result: InversionResult | None = None
        # Lightning counts the steps of an optimizer; the engine has its own, and this one moves nothing
        self._clock = nn.Parameter(torch.zeros(()))

    @property
    def target(self) -> Target:
        """The target behind its defenses, loaded from ``classifier_ckpt`` at the first use.

        Raises:
            InputError: If neither or both of target and checkpoint were given, or a defense does not fit.
            MIError: If the checkpoint cannot be used.
        """
        if self._target is None or not self._complete:
            undefended = open_target(self.classifier_ckpt, self._target, self.access)
            self._target, self._complete = defend(undefended, self.defenses), True
        return self._target

    def adopt_names(self, names: Sequence[str]) -> None:
        """Let the target take over the names of the people in the data (:meth:`Target.adopt_names`)."""
        self.target.adopt_names(names)

    @property
    def result(self) -> InversionResult:
        """What was found, after the attack.

        Raises:
            RuntimeError: If the attack has not run.
        """
        if self._result is None:
            raise RuntimeError("no result yet: run InversionTrainer().invert(attack) first")
        return self._result

    @property
    def has_result(self) -> bool:
        """Whether the attack has run, and found something."""
        return self._result is not None

    @property
    def stop_requested(self) -> bool:
        """Set it to end the attack after the running iteration, with what was found."""
        return self._stop_requested

    @stop_requested.setter
    def stop_requested(self, value: bool) -> None:
        self._stop_requested = value
        if hasattr(self, "engine"):
            self.engine.stop_requested = value

    @property
    def total_rows(self) -> int:
        """Rows of the attack on all processes."""
        return len(self.attack.rows(self.labels, self.target.class_names))

    def describe(self, callbacks: Iterable[object] = ()) -> dict[str, Any]:
        """Return what a report says of the attack, and of those callbacks that take part in it: plain values only."""
        parts = [describe_part(each) for each in callbacks if isinstance(each, StopRule | Projection)]
        return {**self.attack.describe(), "callbacks": parts, "query_budget": self.query_budget}

    def build(self, callbacks: Iterable[object]) -> InParts:
        """Put the engine together, with the stop rules and projections among the trainer's callbacks."""
        parts = [each for each in callbacks if isinstance(each, StopRule | Projection)]
        return self.attack.engine(self.target, parts)

    def preflight(self, callbacks: Iterable[object] = ()) -> None:
        """Try everything that can be wrong with the attack, so that a mistake is told before a file is written.

        Raises:
            InputError: If a label is unknown, a part does not fit the target, a start cannot be read, or the optimizer
                cannot be used.
            MIError: If the checkpoint cannot be used, or a package is missing.
        """
        rows = self.attack.rows(self.labels, self.target.class_names)
        self.build(callbacks).start(rows.select(slice(0, 1)))

    def setup(self, stage: str) -> None:
        """Put the engine together and place the first candidates of this process."""
        rows = self.attack.rows(self.labels, self.target.class_names)
        own = rows.select(slice(self.trainer.global_rank, None, self.trainer.world_size))
        self._result, self.failure, self._over = None, None, False
        self.engine = self.build(callbacks_of(self.trainer))
        self.problem = self.engine.core.problem  # so that Lightning brings its parts to the device
        self.problem.device = self.trainer.strategy.root_device
        self.problem.to(self.problem.device)  # Lightning would bring it there too late to measure what a row takes
        # only for who looks at it: a short attack should not wait
        shown = self.trainer.progress_bar_callback is not None
        self.estimate = estimate_of(self, self.engine, own) if shown and len(own) else None
        self.target.restart(self.query_budget)
        self.engine.stop_requested = self._stop_requested
        self.engine.start(own)

    def train_dataloader(self) -> Iterable[int]:
        """One number per report: the iterations are the data."""
        reports = math.ceil(self.attack.max_iterations / self.attack.report_every)
        return range(reports * self.engine.most_parts)  # where memory runs short there are more parts

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimizer that counts for Lightning."""
        return torch.optim.SGD([self._clock], lr=0.0)

    def on_train_start(self) -> None:
        """Tell the callbacks, and begin."""
        self._callbacks = [c for c in callbacks_of(self.trainer) if isinstance(c, InversionCallback)]
        for callback in self._callbacks:
            callback.on_inversion_start(self.trainer, self)
        self.engine.on_finished = self._end_part
        self._reports: Iterator[Report] = self.engine.run(report_every=self.attack.report_every)

    def _end_part(self, number: int, found: InversionResult) -> None:
        for callback in self._callbacks:
            callback.on_part_end(self.trainer, self, number, found)

    def on_train_batch_start(self, batch: int, batch_idx: int) -> int | None:
        """End the epoch when no row is left."""
        return -1 if self._over else None

    def training_step(self, batch: int, batch_idx: int) -> None:
        """Run to the next report, and log it."""
        report = next(self._reports, None)
        if report is None:
            self._over = True
            return
        self.optimizers().step()  # type: ignore[union-attr]
        shown = {f"invert/{name}": float(getattr(report, name)) for name in ("cost", "confidence", "active_rows")}
        for logger in self.loggers:
            logger.log_metrics(shown, step=report.iteration)
        for callback in self._callbacks:
            callback.on_report(self.trainer, self, report)

    def on_train_end(self) -> None:
        """Gather the rows of all processes and hand them to the callbacks."""
        self.engine.interrupt()  # a limit of the trainer may have come before the rows' own
        found, self.failure = gather_rows(self.engine.result, self.engine.failure, self.trainer.world_size)
        if len(found):
            self._result = found = replace(found, target_sha256=self.target.fingerprint() or "")
            for callback in self._callbacks:
                callback.on_inversion_end(self.trainer, self, found)

    def progress(self) -> InversionResult:
        """Return the best iterates so far of the rows that have been started on this process, in row order."""
        return self.engine.progress()
