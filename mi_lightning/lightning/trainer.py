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
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from mi_lightning.attacks.projections.vocoder import Vocoder
from mi_lightning.attacks.result import InversionResult
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import ensure_writable
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.make import Choice, make_judge
from mi_lightning.judging.sanity import Sanity, check_evaluator, check_target
from mi_lightning.lightning import strategies
from mi_lightning.lightning.callbacks.base import callbacks_of
from mi_lightning.lightning.module import Inversion
from mi_lightning.loggers import logged
from mi_lightning.recognisers import Recogniser
from mi_lightning.targets.white_box import WhiteBox

strategies.register()

_PRECISIONS = ("32-true", "64-true")


class InversionTrainer(Trainer):
    """Lightning ``Trainer`` with an :meth:`invert` entry point.

    Everything that Lightning's trainer has (callbacks, loggers, precision, devices, ``torchrun``, SLURM) serves
    attacks as it serves training.

    Attributes:
        judge: Scores reconstructions after the attack (None without references and evaluator). The attack never
            sees it; callbacks do.
        verification: What came of asking the target about the references, before the attack.
    """

    judge: Judge | None = None
    verification: Sanity | None = None

    @property
    def run_folder(self) -> Path | None:
        """The folder that is this run's own, by the first logger; None if nothing tells runs apart.

        To be asked for on every process: the first one says it to the others.
        """
        own: Path | None = None
        if self.loggers and self.is_global_zero:
            own = logged(self.loggers[:1])[0].folder(Path(self.default_root_dir))
        return None if not self.loggers else self.strategy.broadcast(own)

    @property
    def log_dir(self) -> str | None:
        """:attr:`run_folder`, where Lightning knows that of TensorBoard and CSV alone; else what Lightning says."""
        own = self.run_folder
        return super().log_dir if own is None else str(own)

    def invert(
        self,
        model: Inversion,
        datamodule: PersonDataModule | None = None,
        evaluator_ckpt: str | None = None,
        recogniser: Recogniser | Literal["auto"] | None = "auto",
        unverified: bool = False,
        verification_samples: int | None = None,
    ) -> InversionResult:
        """Reconstruct what a trained classifier knows of each person, and judge how recognisable it is.

        Before the attack the target, without its output defenses, is asked about the references: one that does not
        know the people looks like one that gives nothing away.

        Ctrl-C ends the attack after the running iteration and keeps what was found; a second one aborts.

        Args:
            model: Attack to run.
            datamodule: Source of the reference images, the ones that the classifier was trained on: scored, never
                shown to the attack.
            evaluator_ckpt: Checkpoint of an inside evaluator that names the reconstructions. Never the target.
            recogniser: Outside judge, trained on thousands of other people, by class path
                (mi_lightning.recognisers.Embedder for one of your own). "auto" takes the one that serves these inputs,
                if it is installed; null asks none.
            unverified: Go on with a target (or an evaluator) that names no more of the references right than guessing
                explains. The report then says in red that no figure says that it is safe.
            verification_samples: Most test samples (and, where these do not suffice, training samples) that the target
                is asked about before the attack, dealt out evenly over the people: for one that takes a price for each
                query. All if not given.

        Returns:
            What was found, also as ``model.result``.

        Raises:
            InputError: If evaluator and target are the same, do not fit each other or the references, or do not know
                the people of these.
            MIError: If a checkpoint or the recogniser cannot be used or the output folder cannot be written.
            TargetError: If the target failed; ``model.result`` and the run folder hold what was found until then.
        """
        self.prepare(model, datamodule, evaluator_ckpt, recogniser, unverified, verification_samples)
        with self._loop_of_its_own(), stop_on_interrupt(model), warnings.catch_warnings():
            # the classifier is frozen and in evaluation mode on purpose
            warnings.filterwarnings("ignore", message=r".*module\(s\) in eval mode")
            self.fit(model)
        if model.failure is not None:
            raise model.failure
        if not model.has_result:
            raise MIError("the attack ended before its first iteration, by a limit of the trainer (--trainer.max_time)")
        return model.result

    def prepare(
        self,
        model: Inversion,
        datamodule: PersonDataModule | None = None,
        evaluator_ckpt: str | None = None,
        recogniser: Recogniser | Literal["auto"] | None = "auto",
        unverified: bool = False,
        verification_samples: int | None = None,
    ) -> None:
        """See that everything is there for :meth:`invert`, with the same arguments, and load what judges.

        Raises:
            InputError: As :meth:`invert`.
            MIError: As :meth:`invert`.
        """
        self.check_flags()
        model.stop_requested = False
        if datamodule is not None:
            model.adopt_names(datamodule.class_names)
        if datamodule is not None and model.target.sample_rate is None:
            model.target.sample_rate = datamodule.modality.sample_rate  # where the target does not say it
        model.preflight(callbacks_of(self))  # before any file is written
        self._check_devices(model)  # before any process is started
        self.judge = self._make_judge(model, datamodule, evaluator_ckpt, recogniser)
        self.verification = check_target(model.target, datamodule, unverified=unverified, samples=verification_samples)
        if datamodule is not None and self.judge is not None and self.judge.evaluator is not None and not unverified:
            check_evaluator(self.judge.evaluator, datamodule, name=evaluator_ckpt or "")
        if self.log_dir is not None and self.is_global_zero:
            ensure_writable(Path(self.log_dir), "default_root_dir")

    def check_flags(self) -> None:
        """Refuse flags of the trainer that mean nothing to an attack, or would spoil it.

        Raises:
            InputError: If numbers are to be short (candidates move by less than 16 bits can tell apart), gradients are
                to be clipped or gathered over batches (an attack has a filter for the one, and no batches), or a
                strategy cuts the model into pieces.
        """
        if self.precision not in _PRECISIONS:
            expected = "precision 32-true or 64-true for an attack, whose steps 16 bits cannot tell apart"
            raise InputError(expected, self.precision, field="precision")
        if self.gradient_clip_val:
            expected = "no gradient_clip_val for an attack, whose gradient_filter acts on gradients"
            raise InputError(expected, self.gradient_clip_val, field="gradient_clip_val")
        if self.accumulate_grad_batches != 1:
            got = self.accumulate_grad_batches
            raise InputError("accumulate_grad_batches 1 for an attack", got, field="accumulate_grad_batches")
        if isinstance(self.strategy, DeepSpeedStrategy | FSDPStrategy | ModelParallelStrategy):
            expected = "strategy auto or row_shard for an attack, which needs the whole model on each device"
            raise InputError(expected, type(self.strategy).__name__, field="strategy")

    @contextmanager
    def _loop_of_its_own(self) -> Iterator[None]:
        """Let an attack count its epochs and steps for itself: a fit before it has counted, and one after it will."""
        fits = self.fit_loop
        # the iterations of the attack are one pass over its reports
        self.fit_loop = type(fits)(self, min_epochs=None, max_epochs=1)
        self.fit_loop.epoch_loop = type(fits.epoch_loop)(self, max_steps=fits.max_steps, min_steps=fits.min_steps)
        self.should_stop = False
        try:
            yield
        finally:
            self.fit_loop = fits
            self.should_stop = False

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
