"""Lightning's ``Trainer`` with an entry point for attacks."""

from __future__ import annotations

import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Literal

from lightning.pytorch import Trainer

from mi_lightning.attacks.projections.vocoder import Vocoder
from mi_lightning.attacks.result import InversionResult
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import ensure_writable
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.make import Choice, make_judge
from mi_lightning.lightning import strategies
from mi_lightning.lightning.callbacks.base import callbacks_of
from mi_lightning.lightning.module import Inversion
from mi_lightning.recognisers import Recogniser
from mi_lightning.targets.white_box import WhiteBox

strategies.register()


class InversionTrainer(Trainer):
    """Lightning ``Trainer`` with an :meth:`invert` entry point.

    Everything that Lightning's trainer has (callbacks, loggers, precision, devices, ``torchrun``, SLURM) serves
    attacks as it serves training.

    Attributes:
        judge: Scores reconstructions after the attack (None without references and evaluator). The attack never
            sees it; callbacks do.
    """

    judge: Judge | None = None

    def invert(
        self,
        model: Inversion,
        datamodule: PersonDataModule | None = None,
        evaluator_ckpt: str | None = None,
        recogniser: Recogniser | Literal["auto"] | None = "auto",
    ) -> InversionResult:
        """Reconstruct what a trained classifier knows of each person, and judge how recognisable it is.

        Ctrl-C ends the attack after the running iteration and keeps what was found; a second one aborts.

        Args:
            model: Attack to run.
            datamodule: Source of the reference images, the ones that the classifier was trained on: scored, never
                shown to the attack.
            evaluator_ckpt: Checkpoint of an inside evaluator that names the reconstructions. Never the target.
            recogniser: Outside judge, trained on thousands of other people, by class path
                (mi_lightning.recognisers.Embedder for one of your own). "auto" takes the one that serves these inputs,
                if it is installed; null asks none.

        Returns:
            What was found, also as ``model.result``.

        Raises:
            InputError: If evaluator and target are the same, or do not fit each other or the references.
            MIError: If a checkpoint or the recogniser cannot be used or the output folder cannot be written.
            TargetError: If the target failed; ``model.result`` and the run folder hold what was found until then.
        """
        model.stop_requested = False
        if datamodule is not None and model.target.sample_rate is None:
            model.target.sample_rate = datamodule.modality.sample_rate  # where the target does not say it
        model.preflight(callbacks_of(self))  # before any file is written
        self._check_devices(model)  # before any process is started
        self.judge = self._make_judge(model, datamodule, evaluator_ckpt, recogniser)
        if self.log_dir is not None and self.is_global_zero:
            ensure_writable(Path(self.log_dir), "default_root_dir")
        self.fit_loop.max_epochs = 1  # the iterations of the attack are one pass over its blocks
        with stop_on_interrupt(model), warnings.catch_warnings():
            # the classifier is frozen and in evaluation mode on purpose
            warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode")
            self.fit(model)
        if model.failure is not None:
            raise model.failure
        if not model.has_result:
            raise MIError("the attack ended before its first iteration, by a limit of the trainer (--trainer.max_time)")
        return model.result

    def _make_judge(
        self, model: Inversion, datamodule: PersonDataModule | None, evaluator_ckpt: str | None, recogniser: Choice
    ) -> Judge | None:
        """Load the evaluator; the judge of a target that hides its classifier may look at it all the same."""
        parts: list[object] = [*callbacks_of(self), *model.attack.projections]
        vocoder = next((part.vocoder for part in parts if isinstance(part, Vocoder)), None)
        evaluator = None if evaluator_ckpt is None else load_classifier(evaluator_ckpt)
        hidden = model.classifier_ckpt is not None and not isinstance(model.target, WhiteBox)
        return make_judge(
            model.target,
            datamodule=datamodule,
            evaluator=evaluator,
            evaluator_name=evaluator_ckpt or "",
            recogniser=recogniser,
            vocoder=vocoder,
            open_classifier=load_classifier(str(model.classifier_ckpt)) if hidden else None,
        )

    def _check_devices(self, model: Inversion) -> None:
        """Refuse what would start processes that have nothing to do, or that would mix up their rows.

        Raises:
            InputError: If there are more devices than rows, or a strategy that averages over devices.
        """
        if self.world_size > 1 and not isinstance(self.strategy, strategies.RowShardStrategy):
            given = type(self.strategy).__name__
            raise InputError("row_shard for an attack on several devices", given, field="strategy")
        if self.world_size > model.total_rows:
            raise InputError(
                f"at most {model.total_rows} devices for {model.total_rows} rows", self.world_size, field="devices"
            )


@contextmanager
def stop_on_interrupt(model: Inversion) -> Iterator[None]:
    """Let the first Ctrl-C end the attack after the running iteration, so that what was found is kept."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def request(_number: int, _frame: FrameType | None) -> None:
        if model.stop_requested:
            raise KeyboardInterrupt
        model.stop_requested = True
        sys.stderr.write("\ninterrupted: what was found so far is judged and written (again: end at once)\n")

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
