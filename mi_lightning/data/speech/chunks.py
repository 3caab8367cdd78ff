"""Chunks and whole utterances of decoded audio: what training draws, and what tests are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from mi_lightning.audio.files import FULL_SCALE
from mi_lightning.data.base import Batch


@dataclass(frozen=True)
class Segment:
    """Part of the decoded audio that belongs to one utterance of one speaker: samples ``start`` to ``stop``."""

    label: int
    name: str
    start: int
    stop: int


class ChunkSet(Dataset[Batch]):
    """Chunks at random places of the utterances, each with a random gain; a whole batch is cut by one index.

    Every speaker is drawn equally often, and every place of a speaker's utterances is as likely as any other.

    Args:
        audio: Decoded audio, (samples,) int16.
        segments: Utterances to cut from, each at least ``length`` long.
        length: Samples in a chunk.
        count: Chunks in an epoch.
        gain: Greatest change of the gain: 0.2 draws it between 0.8 and 1.2.
        seed: Seed of the draws.
    """

    def __init__(
        self, audio: NDArray[np.int16], segments: Sequence[Segment], *, length: int, count: int, gain: float, seed: int
    ) -> None:
        self.audio, self.length, self.count, self.gain = audio, length, count, gain
        ordered = sorted(segments, key=lambda segment: segment.label)
        self.start = torch.tensor([segment.start for segment in ordered])
        places = torch.tensor([segment.stop - segment.start - length + 1 for segment in ordered])
        self.before = places.cumsum(0) - places  # places in the segments before each
        labels = torch.tensor([segment.label for segment in ordered])
        self.labels, of_speaker = labels.unique_consecutive(return_counts=True)
        last = of_speaker.cumsum(0) - 1
        self.low = self.before[last - of_speaker + 1]
        self.high = self.before[last] + places[last]
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        x, y = self.__getitems__([index])
        return x[0], y[0]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Draw as many chunks as there are indices: (N, 1, length) and their labels (N,)."""
        count = len(indices)
        speaker = torch.randint(len(self.labels), (count,), generator=self.generator)
        low, high = self.low[speaker], self.high[speaker]
        share = torch.rand(count, dtype=torch.float64, generator=self.generator)
        place = torch.minimum(low + (share * (high - low)).long(), high - 1)
        segment = torch.searchsorted(self.before, place, right=True) - 1
        start = self.start[segment] + place - self.before[segment]
        gain = 1 + self.gain * (2 * torch.rand(count, 1, 1, generator=self.generator) - 1)
        return cut(self.audio, start, self.length).mul_(gain), self.labels[speaker]


class UtteranceSet(Dataset[Batch]):
    """Whole utterances, one a batch: (1, 1, samples) and the label (1,).

    Args:
        audio: Decoded audio, (samples,) int16.
        segments: The utterances.
    """

    def __init__(self, audio: NDArray[np.int16], segments: Sequence[Segment]) -> None:
        self.audio, self.segments = audio, segments

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, index: int) -> Batch:
        segment = self.segments[index]
        return whole(self.audio, segment)[None], torch.tensor([segment.label])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Give the one utterance that is asked for."""
        (index,) = indices
        return self[index]


def cut(audio: NDArray[np.int16], start: Tensor, length: int) -> Tensor:
    """Cut chunks (N, 1, length) float32 that begin at the samples ``start`` (N,)."""
    index = start.numpy()[:, None, None] + np.arange(length)
    return torch.from_numpy(audio[index]).float().div_(FULL_SCALE)


def whole(audio: NDArray[np.int16], segment: Segment) -> Tensor:
    """Give the whole utterance, (1, samples) float32."""
    return torch.from_numpy(np.array(audio[None, segment.start : segment.stop])).float().div_(FULL_SCALE)
