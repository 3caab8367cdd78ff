"""What every classifier offers to attacks and judges."""

from __future__ import annotations

import inspect
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from mi_lightning.checkpoint import class_path
from mi_lightning.data.axes import channels_last
from mi_lightning.data.base import Batch, PersonDataModule
from mi_lightning.errors import InputError

FORMAT_VERSION = 1


class Facts(NamedTuple):
    """What is known of a classifier without asking it.

    Attributes:
        input_shape: Shape of one input, without the batch.
        num_classes: Number of classes, C.
        class_names: Name of each class.
        input_range: Lowest and highest value of an input.
    """

    input_shape: tuple[int, ...]
    num_classes: int
    class_names: tuple[str, ...]
    input_range: tuple[float, float]

    @classmethod
    def checked(
        cls,
        *,
        input_shape: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        input_range: Sequence[float] = (0.0, 1.0),
    ) -> Facts:
        """Check what was given; classes without names are called ``"0"``, ``"1"``, ...

        Raises:
            InputError: If the arguments do not fit each other.
        """
        if num_classes < 2:
            raise InputError("num_classes >= 2", num_classes, "num_classes")
        if not input_shape or min(input_shape) < 1:
            raise InputError("input_shape of positive sizes", tuple(input_shape), "input_shape")
        if channels_last(input_shape):
            expected = "input_shape (channels, height, width); other models by Preprocessing(channels_last=True)"
            raise InputError(expected, tuple(input_shape), "input_shape")
        if len(input_range) != 2 or not input_range[0] < input_range[1]:
            raise InputError("input_range (low, high) with low < high", tuple(input_range), "input_range")
        if class_names is not None and len(class_names) != num_classes:
            raise InputError(f"{num_classes} class_names", len(class_names), "class_names")
        return cls(
            tuple(int(size) for size in input_shape),
            num_classes,
            tuple(map(str, range(num_classes) if class_names is None else class_names)),
            (float(input_range[0]), float(input_range[1])),
        )


def check_inputs(x: Tensor, input_shape: tuple[int, ...]) -> None:
    """Refuse a batch whose inputs have another shape.

    Raises:
        InputError: If ``x`` is not of shape (N, *input_shape).
    """
    if x.shape[1:] != input_shape:
        shape = ", ".join(map(str, input_shape))
        raise InputError(f"input of shape (N, {shape})", f"({', '.join(map(str, x.shape))})")


class Classifier(LightningModule, ABC):
    """A classifier of people: ``(N, *input_shape) -> (N, num_classes)`` logits.

    A subclass defines `features` and the attribute ``head``, passes what it does not need on (``**classifier``), keeps
    every other keyword of its ``__init__`` as an attribute of the same name (all are written to the checkpoint, and
    make the classifier anew), and ends its ``__init__`` with ``self.remember()``.

    Args:
        input_shape: Shape of one sample, without the batch.
        num_classes: Number of people.
        class_names: Name of each person; ``"0"``, ``"1"``, ... if not given.
        input_range: Least and greatest value of a sample.
        optimizer: Optimizer over the weights.
        lr_scheduler: Schedule of the learning rate, advanced once an epoch; none if not given.

    Attributes:
        head: Last layer, ``features -> logits``.
        training_info: Plain values that say how the classifier was trained; part of its checkpoint.

    Raises:
        InputError: If the arguments do not fit each other.
    """

    head: nn.Module
    training_info: dict[str, Any]

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        input_range: Sequence[float] = (0.0, 1.0),
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__()
        self.input_shape, self.num_classes, self.class_names, self.input_range = Facts.checked(
            input_shape=input_shape, num_classes=num_classes, class_names=class_names, input_range=input_range
        )
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.training_info = {}
        # nan_strategy and validate_args: the checks would look at values on the device at every step
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.test_loss = MeanMetric(nan_strategy="disable")
        self.train_accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.test_accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self._started = 0.0

    @property
    def init_args(self) -> dict[str, Any]:
        """Keywords of ``__init__`` in plain values, without optimizer and schedule: they make the classifier anew."""
        names = _keywords(type(self)) - {"optimizer", "lr_scheduler"}
        values = {name: getattr(self, name) for name in sorted(names)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def remember(self) -> None:
        """Keep `init_args` as Lightning's hyperparameters; the last line of each ``__init__``."""
        # by value: by frame inspection Lightning would add what the command line knows, optimizers and all
        self.save_hyperparameters(self.init_args)

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Activations of the penultimate layer, (N, F)."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (N, num_classes), of samples (N, *input_shape).

        Raises:
            InputError: If the samples have another shape.
        """
        check_inputs(x, self.input_shape)
        logits: Tensor = self.head(self.features(x))
        return logits

    def augment(self, x: Tensor) -> Tensor:
        """Change training samples at random, shape kept; as they are unless a subclass says otherwise."""
        return x

    def loss(self, logits: Tensor, y: Tensor) -> Tensor:
        """Training loss of each sample, (N,): cross-entropy in nats."""
        return cross_entropy(logits, y, reduction="none")

    def configure_optimizers(self) -> Any:
        """Make optimizer and schedule from the callables given."""
        optimizer = self.optimizer(self.parameters())
        return optimizer if self.lr_scheduler is None else ([optimizer], [self.lr_scheduler(optimizer)])

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of a batch."""
        x, y = batch
        logits = self(self.augment(x))
        loss = self.loss(logits, y).mean()
        self.train_loss.update(loss.detach(), len(y))
        self.train_accuracy.update(logits.detach(), y)
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch: once, since logging each of its few steps would cost more than the steps."""
        self.log("train/loss", self.train_loss, prog_bar=True)
        self.log("train/accuracy", self.train_accuracy, prog_bar=True)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a batch of test samples."""
        x, y = batch
        logits = self(x)
        self.test_loss.update(cross_entropy(logits, y), len(y))
        self.test_accuracy.update(logits, y)

    def on_test_epoch_end(self) -> None:
        """Log the test and keep its result for the checkpoint."""
        self.training_info["test_loss"] = float(self.test_loss.compute())
        self.training_info["test_accuracy"] = float(self.test_accuracy.compute())
        self.log("test/loss", self.test_loss)
        self.log("test/accuracy", self.test_accuracy)

    def on_fit_start(self) -> None:
        """Forget earlier training; say what this one learns from."""
        self._started = time.perf_counter()
        self.training_info = {}
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, PersonDataModule):
            self.training_info["data"] = data.describe()

    def on_fit_end(self) -> None:
        """Say how long it took."""
        self.training_info["epochs"] = self.trainer.current_epoch
        self.training_info["seconds"] = time.perf_counter() - self._started
        for name in ("loss", "accuracy"):
            if (value := self.trainer.callback_metrics.get(f"train/{name}")) is not None:
                self.training_info[f"train_{name}"] = float(value)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the class and how it was trained: `load_classifier` needs only the file."""
        checkpoint["mi_lightning"] = {
            "format_version": FORMAT_VERSION,
            "class_path": class_path(type(self)),
            "training": dict(self.training_info),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up how the classifier was trained."""
        self.training_info = dict(checkpoint.get("mi_lightning", {}).get("training", {}))


def _keywords(cls: type) -> set[str]:
    """Names of the arguments of a class, those included that it passes on to its base by ``**``."""
    names: set[str] = set()
    for owner in cls.__mro__:
        if "__init__" not in vars(owner):
            continue
        parameters = inspect.signature(vars(owner)["__init__"]).parameters.values()
        passed_on = [parameter for parameter in parameters if parameter.kind is inspect.Parameter.VAR_KEYWORD]
        names |= {parameter.name for parameter in parameters} - {parameter.name for parameter in passed_on}
        if not passed_on:
            break
    return names - {"self"}
