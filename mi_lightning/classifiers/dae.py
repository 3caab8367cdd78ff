"""Softmax over the code of a stacked denoising autoencoder, trained layer by layer."""

from __future__ import annotations

import bisect
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanMetric

from mi_lightning.classifiers.base import Classifier
from mi_lightning.data.base import Batch
from mi_lightning.errors import InputError
from mi_lightning.loggers import logged
from mi_lightning.nn.autoencoder import StackedDenoisingAutoencoder

_PICTURES = 8  # columns of the picture that shows what the layers keep


@dataclass
class Phase:
    """One part of a training.

    Args:
        epochs: Number of epochs; none leaves the phase out.
        optimizer: Optimizer over the weights that the phase trains; Adam with a rate of 0.001 if None.
        lr_scheduler: Schedule of the learning rate, advanced once an epoch of the phase; none if not given.
    """

    epochs: int = 50
    optimizer: OptimizerCallable | None = None
    lr_scheduler: LRSchedulerCallable | None = None


@dataclass(frozen=True)
class _Stage:
    """A phase and what it trains."""

    name: str
    phase: Phase
    modules: tuple[nn.Module, ...]
    layer: int | None  # the layer that is pretrained; None where labels are learnt

    def parameters(self) -> list[nn.Parameter]:
        return [parameter for module in self.modules for parameter in module.parameters()]


class StackedDAE(Classifier):
    """Softmax on the code of stacked denoising autoencoders: 10304 -> 1000 -> 300 -> 40 for the AT&T faces.

    Source: the stacked denoising autoencoder of Fredrikson, Jha, Ristenpart, CCS 2015, section 5. Encoders, decoders
    and softmax layer are one classifier and one checkpoint.

    One fit runs the phases one after the other: ``layer1`` restores corrupted samples, ``layer2`` the corrupted codes
    of layer 1, and so on; ``softmax`` learns the labels from the deepest codes; ``finetune`` goes on with all encoders
    and the softmax layer together. Each phase but the last trains its own layer alone and leaves the others as they
    are, bit for bit. Fine-tuning moves the encoders away from their decoders; so it trains these as well, by adding
    ``reconstruction_weight`` times the mean squared error of decode(encode(x)) to its loss. Without that, pictures
    that an attack decodes show what the code meant *before*.

    The phases count the epochs: the fit ends when they are done, and ``trainer.max_epochs`` must not be smaller than
    their sum (-1 is no limit). A fit that is resumed goes on in the phase where it stopped. ``train/loss`` and
    ``train/accuracy`` exist in the last two phases only, so that an ``EarlyStopping`` on them cannot be used.

    Args:
        hidden: Sizes of the codes, the lowest layer's first.
        corruption: Part of each layer's input that is erased in training (binomial corruption), in [0, 1): one number
            for all layers or one for each. Fine-tuning corrupts the samples as the lowest layer does.
        offset: What is taken from the sample before the lowest encoder (see
            :class:`~mi_lightning.nn.autoencoder.DenoisingAutoencoder`); the middle of the input range if None.
        rescale: Whether what is not erased makes up for what is.
        pretraining: The phase of each layer, the lowest layer's first; 50 epochs each if None.
        softmax: The phase of the softmax layer; 50 epochs if None.
        finetune: The phase of fine-tuning; left out if None, and the encoders stay as pretrained ("frozen").
        reconstruction_weight: Weight of the reconstruction in the loss of fine-tuning, at least 0. If 0, the decoders
            are not trained then.
        **classifier: The arguments of `Classifier`, but optimizer and schedule.

    Raises:
        InputError: If an argument is outside its range, or the phases are not those of the layers.

    Example:
        >>> classifier = StackedDAE(input_shape=(1, 4, 4), num_classes=3, hidden=(8, 5))
        >>> x = torch.rand(2, 1, 4, 4)
        >>> classifier(x).shape, classifier.encode(x).shape, classifier.decode(classifier.encode(x)).shape
        (torch.Size([2, 3]), torch.Size([2, 5]), torch.Size([2, 1, 4, 4]))
    """

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (1000, 300),
        corruption: float | Sequence[float] = 0.3,
        offset: float | None = None,
        rescale: bool = True,
        pretraining: Sequence[Phase] | None = None,
        softmax: Phase | None = None,
        finetune: Phase | None = None,
        reconstruction_weight: float = 10.0,
        **classifier: Any,
    ) -> None:
        # given here, they are no arguments of this class: each phase has its own
        super().__init__(optimizer=torch.optim.SGD, lr_scheduler=None, **classifier)
        if reconstruction_weight < 0:
            raise InputError("reconstruction_weight >= 0", reconstruction_weight, field="reconstruction_weight")
        self.hidden = tuple(hidden)
        self.corruption = corruption if isinstance(corruption, int | float) else tuple(corruption)
        self.offset = sum(self.input_range) / 2 if offset is None else offset
        self.rescale = rescale
        self.reconstruction_weight = reconstruction_weight
        sizes = (torch.Size(self.input_shape).numel(), *self.hidden)
        self.autoencoder = StackedDenoisingAutoencoder(
            sizes, corruption=corruption, offset=self.offset, rescale=rescale
        )
        self.head = nn.Linear(self.code_size, self.num_classes)
        self.stages = self._make_stages(pretraining, softmax or Phase(), finetune)
        # several optimizers take turns, each in the epochs of its phase
        self.automatic_optimization = False
        self.train_mse = nn.ModuleList(MeanMetric(nan_strategy="disable") for _ in self.hidden)
        self.test_mse = nn.ModuleList(MeanMetric(nan_strategy="disable") for _ in self.hidden)
        self.remember()

    def _make_stages(self, pretraining: Sequence[Phase] | None, softmax: Phase, finetune: Phase | None) -> list[_Stage]:
        """Say what each phase trains."""
        layers = [self.autoencoder.layer(index) for index in range(self.autoencoder.depth)]
        if pretraining is None:
            pretraining = [Phase() for _ in layers]
        if len(pretraining) != len(layers):
            raise InputError(
                f"one phase of pretraining for each of {len(layers)} layers", len(pretraining), field="pretraining"
            )
        stages = [
            _Stage(f"layer{index + 1}", phase, (layer,), index)
            for index, (layer, phase) in enumerate(zip(layers, pretraining, strict=True))
        ]
        stages.append(_Stage("softmax", softmax, (self.head,), None))
        if finetune is not None:
            # without a reconstruction in the loss the decoders get no gradient, and stay
            stages.append(_Stage("finetune", finetune, (self.autoencoder, self.head), None))
        for stage in stages:
            if stage.phase.epochs < 0:
                raise InputError(
                    "epochs >= 0",
                    stage.phase.epochs,
                    field="pretraining" if stage.name.startswith("layer") else stage.name,
                )
        stages = [stage for stage in stages if stage.phase.epochs]
        if not stages:
            raise InputError("at least one epoch in one phase", 0, field="softmax")
        return stages

    @property
    def init_args(self) -> dict[str, Any]:
        """Keywords of ``__init__`` in plain values, without the phases: they make the classifier anew."""
        names = ("class_names", "corruption", "hidden", "input_range", "input_shape", "num_classes", "offset")
        values = {name: getattr(self, name) for name in (*names, "reconstruction_weight", "rescale")}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    # ------------------------------------------------------------------------------------------------ the model

    @property
    def code_size(self) -> int:
        """Size of a code."""
        return self.autoencoder.code_size

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes, in (-1, 1), shape (N, code_size), of samples (N, *input_shape)."""
        return self.autoencoder.encode(x.flatten(1))

    def decode(self, code: Tensor) -> Tensor:
        """Return the samples, shape (N, *input_shape), that codes of shape (N, code_size) stand for.

        The decoders are linear: values may leave the input range.
        """
        x: Tensor = self.autoencoder.decode(code).unflatten(1, self.input_shape)
        return x

    def features(self, x: Tensor) -> Tensor:
        """The code, (N, code_size)."""
        return self.encode(x)

    # ------------------------------------------------------------------------------------------------ training

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases."""
        return sum(stage.phase.epochs for stage in self.stages)

    def setup(self, stage: str) -> None:
        """Let the fit last as long as its phases.

        Raises:
            InputError: If ``trainer.max_epochs`` is smaller than their sum.
        """
        trainer = self.trainer
        if stage != "fit" or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        limit = trainer.max_epochs
        if limit is not None and 0 <= limit < self.total_epochs:
            parts = " + ".join(f"{each.phase.epochs} {each.name}" for each in self.stages)
            raise InputError(f"max_epochs >= {self.total_epochs} ({parts})", limit, field="max_epochs")
        trainer.fit_loop.max_epochs = self.total_epochs

    def configure_optimizers(self) -> Any:
        """Make optimizer and schedule of each phase."""
        optimizers: list[torch.optim.Optimizer] = []
        self._schedules: list[LRScheduler | None] = []
        for stage in self.stages:
            make, schedule = stage.phase.optimizer, stage.phase.lr_scheduler
            optimizers.append(torch.optim.Adam(stage.parameters()) if make is None else make(stage.parameters()))
            self._schedules.append(None if schedule is None else schedule(optimizers[-1]))
        return optimizers, [schedule for schedule in self._schedules if schedule is not None]

    def on_fit_start(self) -> None:
        """Forget earlier training."""
        super().on_fit_start()
        self.training_info["phases"] = {}
        self._sample: Tensor | None = None
        self._phase_started = time.perf_counter()

    def on_train_epoch_start(self) -> None:
        """Find the phase of the epoch."""
        ends = list(itertools.accumulate(stage.phase.epochs for stage in self.stages))
        self._position = bisect.bisect_right(ends, self.current_epoch)
        self._last_of_phase = self.current_epoch + 1 == ends[self._position]
        if self.current_epoch + self.stages[self._position].phase.epochs == ends[self._position]:
            self._phase_started = time.perf_counter()

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Take a step of the phase's own optimizer: manual optimization returns no loss."""
        x, y = batch
        if self._sample is None:
            self._sample = x[:_PICTURES].detach().clone()
        stage = self.stages[self._position]
        optimizers = self.optimizers()
        optimizer = optimizers[self._position] if isinstance(optimizers, list) else optimizers
        optimizer.zero_grad()
        self.manual_backward(self._stage_loss(stage, self.augment(x), y))
        optimizer.step()

    def _stage_loss(self, stage: _Stage, x: Tensor, y: Tensor) -> Tensor:
        """Mean loss of a batch in a phase, counted for the log."""
        flat, layer = x.flatten(1), stage.layer
        if layer is not None:
            with torch.no_grad():
                below = self.autoencoder.encode(flat, depth=layer)
            error = self.autoencoder.layer(layer).loss(below)
            self._metric(self.train_mse, layer).update(error.detach(), len(y))
            return error
        if stage.name == "softmax":
            with torch.no_grad():
                code = self.autoencoder.encode(flat)
        else:
            code = self.autoencoder.encode(self.autoencoder.layer(0).corrupt(flat))
        logits = self.head(code)
        loss = self.loss(logits, y).mean()
        self.train_loss.update(loss.detach(), len(y))
        self.train_accuracy.update(logits.detach(), y)
        if stage.name == "finetune" and self.reconstruction_weight:
            error = mse_loss(self.autoencoder.decode(code), flat)
            self._metric(self.train_mse, -1).update(error.detach(), len(y))
            loss = loss + self.reconstruction_weight * error
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch, go on to the next phase, and end the fit after the last."""
        stage = self.stages[self._position]
        if stage.layer is None:
            super().on_train_epoch_end()
        if stage.layer is not None:
            self.log(f"train/mse_{stage.name}", self._metric(self.train_mse, stage.layer), prog_bar=True)
        elif stage.name == "finetune" and self.reconstruction_weight:
            self.log("train/mse_finetune", self._metric(self.train_mse, -1), prog_bar=True)
        self.log("train/phase", float(self._position + 1))
        schedule = self._schedules[self._position]
        if schedule is not None:
            schedule.step()
        if self._last_of_phase:
            self._end_phase(stage)

    def _end_phase(self, stage: _Stage) -> None:
        """Keep what the phase came to, show what the layers keep of a face, and give its memory back."""
        seconds = time.perf_counter() - self._phase_started
        self.training_info["phases"][stage.name] = {"epochs": stage.phase.epochs, "seconds": seconds}
        if self._sample is not None:
            self._show("train/reconstructions", self._sample)
        optimizers = self.optimizers(use_pl_optimizer=False)
        optimizer = optimizers[self._position] if isinstance(optimizers, list) else optimizers
        optimizer.zero_grad()
        optimizer.state.clear()

    # ------------------------------------------------------------------------------------------------ test

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a batch of test samples, in the precision of the weights: that is what an attack will face."""
        x, _ = batch
        with torch.autocast(x.device.type, enabled=False):
            super().test_step(batch, batch_idx)
            for depth, picture in enumerate(self._reconstructions(x), start=1):
                self._metric(self.test_mse, depth - 1).update(mse_loss(picture, x), len(x))
        if batch_idx == 0:
            self._show("test/reconstructions", x[:: max(1, len(x) // _PICTURES)][:_PICTURES])

    def on_test_epoch_end(self) -> None:
        """Log the test and keep its result for the checkpoint."""
        super().on_test_epoch_end()
        for index in range(self.autoencoder.depth):
            metric = self._metric(self.test_mse, index)
            self.training_info[f"test_mse_layer{index + 1}"] = float(metric.compute())
            self.log(f"test/mse_layer{index + 1}", metric)

    def _reconstructions(self, x: Tensor) -> list[Tensor]:
        """Samples encoded and decoded by the lowest layer, by the lowest two, and so on; each (N, *input_shape)."""
        flat, depths = x.flatten(1), range(1, self.autoencoder.depth + 1)
        return [
            self.autoencoder.decode(self.autoencoder.encode(flat, depth), depth).unflatten(1, self.input_shape)
            for depth in depths
        ]

    @torch.no_grad()
    def _show(self, tag: str, x: Tensor) -> None:
        """Show samples in the loggers, one a column: as they are, once encoded and decoded, twice, and so on."""
        loggers = [logger for logger in logged(self.loggers) if logger.pictures]
        if len(self.input_shape) != 3 or self.input_shape[0] not in (1, 3) or not loggers:
            return
        low, high = self.input_range
        rows = [torch.cat([*picture], 2) for picture in (x, *self._reconstructions(x))]
        sheet = ((torch.cat(rows, 1).float() - low) / (high - low)).clamp(0, 1).cpu()
        pixels = (sheet.permute(1, 2, 0) * 255).round().byte().squeeze(2).numpy()
        for logger in loggers:
            logger.picture(tag, pixels, self.global_step)

    @staticmethod
    def _metric(metrics: nn.ModuleList, index: int) -> MeanMetric:
        metric = metrics[index]
        if not isinstance(metric, MeanMetric):
            raise TypeError(f"expected a MeanMetric, got {type(metric).__name__}")
        return metric
