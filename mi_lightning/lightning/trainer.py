"""Lightning's ``Trainer`` with an entry point for attacks."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lightning.pytorch import Trainer

from mi_lightning.attacks.projections.vocoder import Vocoder
from mi_lightning.attacks.result import InversionResult
from mi_lightning.checkpoint import weights_digest
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError, MIError
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.speech_judge import SpeechJudge, is_speech
from mi_lightning.lightning import strategies
from mi_lightning.lightning.module import Inversion
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
    ) -> InversionResult:
        """Reconstruct what a trained classifier knows of each person, and judge how recognisable it is.

        Ctrl-C ends the attack after the running iteration and keeps what was found; a second one aborts.

        Args:
            model: Attack to run.
            datamodule: Source of the reference images, the ones that the classifier was trained on: scored, never
                shown to the attack.
            evaluator_ckpt: Checkpoint of an independent classifier that names the reconstructions. Never the target.

        Returns:
            What was found, also as ``model.result``.

        Raises:
            InputError: If evaluator and target are the same, or do not fit each other or the references.
            MIError: If a checkpoint cannot be used or the output folder cannot be written.
            TargetError: If the target failed; ``model.result`` and the run folder hold what was found until then.
        """
        model.stop_requested = False
        model.preflight(self.callbacks)  # type: ignore[attr-defined]  # before any file is written
        self._check_devices(model)  # before any process is started
        vocoder = next((part for part in [*self.callbacks, *model.attack.projections] if isinstance(part, Vocoder)), None)  # type: ignore[attr-defined]
        self.judge = make_judge(model, datamodule, evaluator_ckpt, vocoder)
        if self.log_dir is not None and self.is_global_zero:
            ensure_writable(Path(self.log_dir), "--trainer.logger or --trainer.default_root_dir")
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


def make_judge(
    model: Inversion,
    datamodule: PersonDataModule | None,
    evaluator_ckpt: str | None,
    vocoder: Vocoder | None = None,
) -> Judge | None:
    """Load the evaluator and the references, and refuse what would make the judgement worthless.

    Args:
        model: The attack.
        datamodule: The references.
        evaluator_ckpt: Checkpoint of the evaluator.
        vocoder: What voices pass through before they are judged once more; Griffin-Lim if None.

    Raises:
        InputError: If the evaluator has the target's weights or another number of classes, or the references have
            another shape, other people or another split than the target was trained with.
    """
    if datamodule is None and evaluator_ckpt is None:
        return None
    target = model.target
    evaluator = None if evaluator_ckpt is None else load_classifier(evaluator_ckpt, "--evaluator_ckpt")
    if evaluator is not None:
        if weights_digest(evaluator) == target.fingerprint():
            raise InputError(
                "an evaluator that is independent of the target",
                f"{evaluator_ckpt}, which has the target's weights",
                "--evaluator_ckpt",
            )
        _same("input shape", target.input_shape, tuple(evaluator.input_shape), "--evaluator_ckpt")
        _same("number of classes", target.num_classes, evaluator.num_classes, "--evaluator_ckpt")
        _same("people", target.class_names, tuple(evaluator.class_names), "--evaluator_ckpt")
        trained = target.describe().get("training", {}).get("data")
        same_split(trained, evaluator.training_info.get("data"), "--evaluator_ckpt")
    if datamodule is not None:
        datamodule.prepare_data()
        datamodule.setup("fit")
        _same("input shape", target.input_shape, tuple(datamodule.input_shape), "--data")
        _same("people", target.class_names, tuple(datamodule.class_names), "--data")
        same_split(target.describe().get("training", {}).get("data"), datamodule.describe(), "--data")
    if is_speech(evaluator, datamodule):
        # the attacker may be kept from the classifier, its judge need not be
        hidden = model.classifier_ckpt is not None and not isinstance(target, WhiteBox)
        attacked = load_classifier(str(model.classifier_ckpt)) if hidden else target
        return SpeechJudge(evaluator, datamodule, target=attacked, vocoder=vocoder)
    return Judge(evaluator, datamodule)


def _same(what: str, expected: object, got: object, flag: str) -> None:
    """Refuse what differs from the target."""
    if expected != got:
        raise InputError(f"the target's {what}, {_short(expected)}", _short(got), flag)


def same_split(trained: object, given: object, flag: str) -> None:
    """Refuse photographs that were divided in another way: test images would be taken for training images.

    Args:
        trained: What the target was trained on, as its checkpoint describes it; anything else is not looked at.
        given: What is to be compared, described likewise.
        flag: Flag to change.

    Raises:
        InputError: If the photographs or their split differ.
    """
    if not isinstance(trained, dict) or not isinstance(given, dict):
        return
    keys = ["sha256", "split", "test_per_person", "test_fraction"]
    if trained.get("split") == "random":
        keys.append("split_seed")
    for key in keys:
        if key in trained and key in given:
            name = "samples (sha256)" if key == "sha256" else f"training {key}"
            _same(name, trained[key], given[key], f"{flag}.{key}" if flag == "--data" and key != "sha256" else flag)


def _short(value: object) -> str:
    """Render a value, long tuples by their ends."""
    if isinstance(value, tuple) and len(value) > 6:
        return f"{value[0]}..{value[-1]} ({len(value)})"
    return str(value)


def ensure_writable(folder: Path, flag: str) -> None:
    """Make a folder and see that a file can be written there.

    Raises:
        InputError: If it cannot.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError("an output folder that can be written", f"{folder}: {error.strerror}", flag) from error


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

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


__all__ = ["InversionTrainer", "MIError", "ensure_writable", "make_judge"]
