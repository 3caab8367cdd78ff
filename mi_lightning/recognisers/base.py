"""What every recogniser promises: vectors that lie near each other for one person and far apart for two."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from mi_lightning.errors import InputError, MIError

Metric = Literal["euclidean", "cosine"]
Kind = Literal["picture", "sound", "other"]
METRICS: tuple[Metric, ...] = ("euclidean", "cosine")


class MissingRecogniserError(MIError):
    """A recogniser whose package or weights are not installed; the message says what to install."""


@dataclass(frozen=True)
class Embeddings:
    """What a recogniser made of samples.

    Attributes:
        vectors: Shape (N, E), float32, on the CPU; not finite where the recogniser gave no number, or the sample had
            none.
        detected: Shape (N,), whether what the recogniser looks for was found in the sample; all True for one that looks
            for nothing.
    """

    vectors: Tensor
    detected: Tensor


class Recogniser(ABC):
    """Turns pictures or sounds into vectors: near for one person, far for two.

    It was trained on other people than those who are judged, and no attack ever sees it. A subclass implements
    `embed_new`, `describe` and `check`.

    Attributes:
        kind: Kind of samples that it takes; any if None.
        metric: Distance between two vectors.
        looks_for: What it has to find in a sample first, such as ``"a face"``; None if it looks for nothing.
        advice: What to do where that is not found in most samples, after a colon.
        memory: What was embedded before, by content. Recognisers that are always the same may share one.
    """

    kind: Kind | None = None
    metric: Metric = "euclidean"
    looks_for: str | None = None
    advice: str | None = None

    def __init__(self) -> None:
        """Begin with an empty memory."""
        self.memory: dict[bytes, tuple[Tensor, bool]] = {}

    def embed(
        self,
        samples: Tensor | Sequence[Tensor],
        *,
        value_range: tuple[float, float],
        sample_rate: int | None = None,
    ) -> Embeddings:
        """Embed samples; what was embedded before in this process is not embedded again.

        Args:
            samples: Shape (N, *input_shape), or N samples of shapes of their own, such as sounds (1, samples). Values
                outside the range count as its ends; a sample with a value that is not finite is not looked at, and its
                vector is not finite either.
            value_range: Least and greatest value of a sample: black and white, or full scale on both sides of zero.
            sample_rate: Samples in a second (Hz) of sounds.

        Raises:
            InputError: If the samples are none that this recogniser takes.
            MIError: If its package or its weights are missing or not as expected.
        """
        given = [sample.detach().to("cpu", torch.float32).contiguous() for sample in samples]
        self._check_samples(given, value_range, sample_rate)
        low, high = map(float, value_range)
        facts = f"{low} {high} {sample_rate}"
        keys = [_content(sample, facts) for sample in given]
        new = {
            key: sample.clamp(low, high)
            for key, sample in zip(keys, given, strict=True)
            if key not in self.memory and bool(sample.isfinite().all())
        }
        if new:
            found = self.embed_new(list(new.values()), value_range=(low, high), sample_rate=sample_rate)
            for key, vector, detected in zip(new, found.vectors, found.detected.tolist(), strict=True):
                self.memory[key] = (vector.clone(), detected)
        nothing = (torch.full((self._size(keys),), torch.nan), False)
        rows = [self.memory.get(key, nothing) for key in keys]
        return Embeddings(torch.stack([vector for vector, _ in rows]), torch.tensor([seen for _, seen in rows]))

    @abstractmethod
    def embed_new(
        self, samples: list[Tensor], *, value_range: tuple[float, float], sample_rate: int | None
    ) -> Embeddings:
        """Embed samples that were not embedded before: finite, float32, within the range, on the CPU."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what it is, in plain values.

        ``class``, ``weights`` (SHA-256 of each file, by its name), ``trained_on`` (whose faces or voices), ``metric``,
        ``embedding_size``, and settings of its own.

        Raises:
            MIError: As `check`.
        """

    @abstractmethod
    def check(self) -> None:
        """See that everything is there before anything is run.

        Raises:
            MissingRecogniserError: If a package or its weights are not installed.
            MIError: If the weights are not those that are expected.
        """

    def _size(self, keys: Sequence[bytes]) -> int:
        """Numbers in a vector, of the first that is known."""
        known = next((self.memory[key][0] for key in keys if key in self.memory), None)
        return int(self.describe()["embedding_size"] or 1) if known is None else len(known)

    def _check_samples(
        self, samples: Sequence[Tensor], value_range: tuple[float, float], sample_rate: int | None
    ) -> None:
        """Refuse what this recogniser cannot take."""
        if not samples:
            raise InputError("one or more samples to recognise", "none", "samples")
        if not value_range[0] < value_range[1]:
            raise InputError("a least value below the greatest", value_range, "value_range")
        for shape in {tuple(sample.shape) for sample in samples}:
            picture = len(shape) == 3 and shape[0] in (1, 3) and min(shape) > 0
            sound = len(shape) == 2 and shape[0] == 1 and shape[1] > 0
            if self.kind == "picture" and not picture:
                raise InputError("pictures (1 or 3 channels, height, width) to recognise faces in", shape, "samples")
            if self.kind == "sound" and not sound:
                raise InputError("sounds (1, samples) to recognise voices in", shape, "samples")
        if self.kind == "sound" and (sample_rate is None or sample_rate < 1):
            raise InputError("sample_rate >= 1 (Hz) of sounds", sample_rate, "sample_rate")


def _content(sample: Tensor, facts: str) -> bytes:
    """Digest of a sample's values, shape and what they mean."""
    digest = hashlib.sha256(f"{tuple(sample.shape)} {facts}\n".encode())
    digest.update(sample.numpy().tobytes())
    return digest.digest()
