"""What classifiers of speech share: utterances longer than a chunk."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize
from torch.utils.checkpoint import checkpoint
from torchmetrics.classification import MulticlassAccuracy

from mi_lightning.audio.rate import SPEECH_RATE
from mi_lightning.classifiers.base import Classifier
from mi_lightning.data.base import Batch, PersonDataModule
from mi_lightning.errors import InputError


class SpeechClassifier(Classifier):
    """A classifier of waveforms (N, 1, samples) that are as long as a chunk, or longer.

    A chunk is classified as it is. A longer waveform is an utterance: it is cut into frames of a chunk's length,
    ``shift_seconds`` apart, and its logits are the mean over the frames of their log-probabilities, so that the
    label is the one of the largest sum of log-probabilities, as in the literature, and everything that works with
    chunks works with utterances. A subclass defines `chunk_features`.

    Args:
        input_range: Least and greatest value of a sample.
        sample_rate: Rate of the waveforms, Hz; 16000 if not given. On the command line the data say it.
        shift_seconds: Time between the frames of an utterance.
        **classifier: The arguments of `Classifier`, with ``input_shape`` (1, samples of a chunk).

    Attributes:
        sample_rate: Rate of the waveforms, Hz.
        shift_seconds: Time from the start of one frame to the next; may be changed at any time.
        frames_at_once: Frames whose activations are in memory at once; more are done one part after the other (and,
            where gradients are asked for, once more when these are computed).

    Raises:
        InputError: If the input is no chunk of a waveform, or a value cannot be used.
    """

    frames_at_once = 2048

    def __init__(
        self,
        *,
        input_range: Sequence[float] = (-1.0, 1.0),
        sample_rate: int | None = None,
        shift_seconds: float = 0.01,
        **classifier: Any,
    ) -> None:
        super().__init__(input_range=input_range, **classifier)
        if len(self.input_shape) != 2 or self.input_shape[0] != 1:
            raise InputError(
                "input_shape (1, samples): one channel of a waveform", self.input_shape, field="input_shape"
            )
        if sample_rate is not None and sample_rate < 1000:
            raise InputError("sample_rate >= 1000 (Hz)", sample_rate, field="sample_rate")
        self.sample_rate = SPEECH_RATE if sample_rate is None else sample_rate
        self.shift_seconds = shift_seconds
        self._shift_samples()
        self.test_frame_accuracy = MulticlassAccuracy(self.num_classes, average="micro", validate_args=False)

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk."""
        return self.input_shape[1]

    def _shift_samples(self) -> int:
        """Samples from one frame to the next."""
        shift = round(self.shift_seconds * self.sample_rate)
        if not 1 <= shift <= self.chunk_samples:
            raise InputError(
                f"shift_seconds between one sample and a chunk ({self.chunk_samples / self.sample_rate:g} s)",
                self.shift_seconds,
                field="shift_seconds",
            )
        return shift

    def check(self, x: Tensor) -> None:
        """See that ``x`` is (N, 1, samples) with at least a chunk of samples.

        Raises:
            InputError: If it is not.
        """
        if x.ndim != 3 or x.shape[1] != 1 or x.shape[2] < self.chunk_samples:
            expected = f"waveforms of shape (N, 1, samples) with {self.chunk_samples} samples (a chunk) or more"
            raise InputError(expected, f"({', '.join(map(str, x.shape))})")

    @abstractmethod
    def chunk_features(self, x: Tensor) -> Tensor:
        """Activations of the last hidden layer, (N, F), of chunks (N, 1, samples of a chunk)."""

    def part_features(self, x: Tensor, shift: int) -> Tensor:
        """Activations (N, frames, F) of all frames of waveforms (N, 1, samples), ``shift`` samples apart.

        A subclass overrides this where neighbouring frames can share work.
        """
        frames = x.unfold(2, self.chunk_samples, shift)[:, 0]
        return self.chunk_features(frames.flatten(0, 1)[:, None]).reshape(*frames.shape[:2], -1)

    def frame_features(self, x: Tensor) -> Tensor:
        """Activations of the last hidden layer of every frame, (N, frames, F), of waveforms (N, 1, samples)."""
        self.check(x)
        shift, length = self._shift_samples(), self.chunk_samples
        count = 1 + (x.shape[2] - length) // shift
        step = max(1, self.frames_at_once // max(1, len(x)))
        if count <= step:
            return self.part_features(x, shift)
        parts = []
        for first in range(0, count, step):
            last = min(first + step, count) - 1
            part = x[:, :, first * shift : last * shift + length]
            if torch.is_grad_enabled() and x.requires_grad and not self.training:
                parts.append(checkpoint(self.part_features, part, shift, use_reentrant=False))
            else:
                parts.append(self.part_features(part, shift))
        return torch.cat(parts, 1)

    def frame_logits(self, x: Tensor) -> Tensor:
        """Logits of every frame, (N, frames, C), of waveforms (N, 1, samples)."""
        features = self.frame_features(x)
        logits: Tensor = self.head(features.flatten(0, 1))
        return logits.reshape(*features.shape[:2], -1)

    def features(self, x: Tensor) -> Tensor:
        """The d-vector: activations of the last hidden layer, (N, F).

        Of a chunk as they are; of an utterance their mean over the frames, divided by its Euclidean length.
        """
        self.check(x)
        if x.shape[2] == self.chunk_samples:
            return self.chunk_features(x)
        return normalize(self.frame_features(x).mean(1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (N, num_classes), of waveforms (N, 1, samples); those of an utterance are log-probabilities.

        Raises:
            InputError: If the waveforms have another shape, or are shorter than a chunk.
        """
        self.check(x)
        if x.shape[2] == self.chunk_samples:
            logits: Tensor = self.head(self.chunk_features(x))
            return logits
        return _log_softmax(self.frame_logits(x)).mean(1)

    def on_fit_start(self) -> None:
        """See that the data are at the classifier's rate."""
        self._check_rate()
        super().on_fit_start()

    def on_test_start(self) -> None:
        """See that the data are at the classifier's rate."""
        self._check_rate()

    def _check_rate(self) -> None:
        """Refuse data of another rate.

        Raises:
            InputError: If they have one.
        """
        data = getattr(self.trainer, "datamodule", None)
        rate = data.modality.sample_rate if isinstance(data, PersonDataModule) else None
        if rate not in (None, self.sample_rate):
            expected = f"a classifier at the sample rate of the data, {rate} Hz"
            raise InputError(expected, f"one at {self.sample_rate} Hz", "sample_rate")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a batch of test utterances: as sentences, and frame by frame."""
        x, y = batch
        frames = self.frame_logits(x).float()
        logits = _log_softmax(frames).mean(1)
        self.test_loss.update(cross_entropy(logits, y), len(y))
        self.test_accuracy.update(logits, y)
        self.test_frame_accuracy.update(frames.flatten(0, 1), y.repeat_interleave(frames.shape[1]))

    def on_test_epoch_end(self) -> None:
        """Log the test and keep its result for the checkpoint: ``test_accuracy`` is that of whole utterances."""
        super().on_test_epoch_end()
        self.training_info["test_frame_accuracy"] = float(self.test_frame_accuracy.compute())
        self.log("test/frame_accuracy", self.test_frame_accuracy)

    def describe_frames(self) -> dict[str, Any]:
        """Say how utterances are cut, in plain values."""
        return {"chunk_seconds": self.chunk_samples / self.sample_rate, "shift_seconds": self.shift_seconds}


def _log_softmax(logits: Tensor) -> Tensor:
    """Log-probabilities, of logits of 16 bits in 32: sums over frames need them."""
    return logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
