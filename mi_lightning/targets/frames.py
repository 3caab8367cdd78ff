"""A target of chunks, asked about waveforms of any length: the answers to all frames are taken together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.utils.checkpoint import checkpoint

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.dvectors import frame_features
from mi_lightning.classifiers.speech import SpeechClassifier
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target
from mi_lightning.targets.white_box import WhiteBox


def frame_count(samples: int, chunk: int, shift: int) -> int:
    """Frames of a waveform: the first begins where it begins, the next ``shift`` samples later, and so on.

    Args:
        samples: Length of the waveform, at least ``chunk``.
        chunk: Length of a frame.
        shift: Samples between the starts of two frames, at least 1.

    Example:
        >>> frame_count(10, 4, 3), frame_count(12, 4, 3)
        (3, 3)
    """
    return (samples - chunk) // shift + 1


class FrameView(Target):
    """A target of chunks, asked about waveforms of any length: the answers to all frames are taken together.

    The confidences of a waveform are the softmax of the mean over its frames of the logarithms of theirs, as a speaker
    is recognised from an utterance [R18]. Each frame is one query of the target.

    Args:
        target: Answers about chunks, shape (N, 1, chunk).
        shift: Samples between the starts of two frames.
        max_frames: Frames whose activations are in memory at a time; those of others are computed again on the way
            back, which costs one more forward pass. All if None.
    """

    def __init__(self, target: Target, *, shift: int, max_frames: int | None = None) -> None:
        """Share the ledger."""
        super().__init__()
        self.target = target
        self.look_like(target)
        self.chunk, self.shift, self.max_frames = target.input_shape[-1], shift, max_frames

    @property
    def classifier(self) -> nn.Module | None:
        """The module behind, where the attacker sees it."""
        return self.target.classifier

    def frames(self, samples: int) -> int:
        """Frames in a waveform of so many samples: queries that it costs."""
        return frame_count(samples, self.chunk, self.shift)

    def confidences(self, x: Tensor) -> Tensor:
        """Query waveforms, shape (N, 1, samples): confidences, shape (N, C). Counts N * frames queries."""
        released: Tensor = self.log_confidences(x).exp()
        return released

    def log_confidences(self, x: Tensor) -> Tensor:
        """Query waveforms, shape (N, 1, samples): log-confidences, shape (N, C). Counts N * frames queries."""
        self.ledger.count(len(x) * self.frames(x.shape[-1]))
        return self.in_order(self.release_log(x))

    def release(self, x: Tensor) -> Tensor:
        """Return the confidences of waveforms, shape (N, C)."""
        released: Tensor = self.release_log(x).exp()
        return released

    def release_log(self, x: Tensor) -> Tensor:
        """Return the log-confidences of waveforms, shape (N, C), in nats."""
        mean = self.frame_log_confidences(x).mean(1)
        return mean.log_softmax(-1)

    def frame_log_confidences(self, x: Tensor) -> Tensor:
        """Return the log-confidences of each frame, shape (N, frames, C), in nats; counts nothing."""
        classifier = self.target.module if isinstance(self.target, WhiteBox) and self.target.untouched else None
        if isinstance(classifier, SpeechClassifier):
            return self._in_parts(lambda part: self._log_confidences_shared(classifier, part), x)
        return self._in_parts(self._log_confidences, x)

    def features(self, x: Tensor) -> Tensor:
        """Return the d-vectors of waveforms, shape (N, F): the mean of the features of all frames, of unit length.

        Counts nothing.

        Raises:
            InputError: If the target's features cannot be seen.
        """
        classifier = open_classifier(self.target)
        return normalize(self._in_parts(lambda part: frame_features(classifier, part, self.shift), x).mean(1), dim=-1)

    def _log_confidences(self, x: Tensor) -> Tensor:
        """Ask about each frame for itself."""
        frames = x.unfold(-1, self.chunk, self.shift).transpose(1, 2)
        return self.target.release_log(frames.flatten(0, 1)).view(len(x), -1, self.num_classes)

    def _log_confidences_shared(self, classifier: SpeechClassifier, x: Tensor) -> Tensor:
        """Ask about all frames together: those of one waveform share work."""
        features = classifier.part_features(x, self.shift)
        logits: Tensor = classifier.head(features.flatten(0, 1))
        return logits.log_softmax(-1).view(len(x), -1, self.num_classes)

    def _in_parts(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Apply a function (N, 1, samples) -> (N, frames, K), activations of at most ``max_frames`` in memory."""
        count = self.frames(x.shape[-1])
        step = count if self.max_frames is None else max(1, self.max_frames // len(x))
        if count <= step:
            return function(x)
        parts = []
        for first in range(0, count, step):
            last = min(first + step, count) - 1
            part = x[..., first * self.shift : last * self.shift + self.chunk]
            if torch.is_grad_enabled() and x.requires_grad:
                parts.append(checkpoint(function, part, use_reentrant=False, preserve_rng_state=False))
            else:
                parts.append(function(part))
        return torch.cat(parts, 1)

    def run_state(self) -> dict[str, Any]:
        """Return the run state of the target."""
        return self.target.run_state()

    def load_run_state(self, state: Mapping[str, Any]) -> None:
        """Let the target go on."""
        self.target.load_run_state(state)

    def check_answers(self) -> None:
        """Let the target look back."""
        self.target.check_answers()

    def describe(self) -> dict[str, Any]:
        """Return what a report says of the target."""
        return self.target.describe()


def open_classifier(target: Target) -> Classifier:
    """Return the classifier behind a target, and behind its defenses, whose features can be seen.

    Raises:
        InputError: If it is hidden, or no classifier of ours.
    """
    classifier = target.classifier
    if not isinstance(classifier, Classifier):
        asked = target.target if isinstance(target, FrameView) else target
        got = type(asked).__name__ + ("" if classifier is None else f" of a {type(classifier).__name__}")
        raise InputError("a target in the open, whose features can be seen", got, "target")
    return classifier
