"""Data without half of the people: what a classifier is trained on that has never met them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mi_lightning.checkpoint import class_path
from mi_lightning.data.base import Batch, Modality, Part, PersonDataModule
from mi_lightning.data.speech.base import SpeakerDataModule
from mi_lightning.data.speech.chunks import Segment
from mi_lightning.errors import InputError

_PARTS: tuple[Part, ...] = ("train", "test")


def removed_people(people: int, half: int, seed: int) -> list[int]:
    """Return the labels whose people a half leaves out; the two halves of a seed are all labels, each once.

    Args:
        people: Number of people.
        half: 0 or 1.
        seed: Seed of the division.
    """
    order = torch.randperm(people, generator=torch.Generator().manual_seed(seed)).tolist()
    middle = people // 2
    return sorted(order[:middle] if half == 0 else order[middle:])


@dataclass(frozen=True)
class _Shares:
    """Which labels share the samples of a person.

    Attributes:
        own: For each label of the data that is kept: the labels among which its samples are dealt out, its own first.
        others: For each label of other people that is used: the one label whose place it takes.
    """

    own: Mapping[int, Sequence[int]]
    others: Mapping[int, Sequence[int]]


class WithoutPeople(PersonDataModule):
    """Another data module, half of whose people are replaced, label by label, by other people.

    A classifier that is trained on it has the same people by name, shape and number, but has never met those of the
    removed half: what an attack on their labels finds is not theirs. Two such data modules, ``half`` 0 and 1 of one
    ``seed``, leave out everybody once.

    Without ``others`` the samples of those who are kept are divided: a removed label gets a part of the samples of one
    kept person, none of which the kept label keeps. No sample has two labels, and none is of a removed person.

    Args:
        data: The data of all people.
        half: Which half is removed, 0 or 1.
        seed: Seed of the halves, and of who replaces whom.
        others: Data of other people with samples of the same shape: they take the places of the removed, in an order
            that is drawn. They must not be the same people under other names, which cannot be seen here.

    Raises:
        InputError: If a number is out of its range; on first use, if the others do not fit, are too few or the same
            data, or a person who is to share has too few samples.
    """

    def __init__(
        self, data: PersonDataModule, *, half: int = 0, seed: int = 0, others: PersonDataModule | None = None
    ) -> None:
        super().__init__(
            split=data.split, split_seed=data.split_seed, batch_size=data.batch_size, order_seed=data.order_seed
        )
        if half not in (0, 1):
            raise InputError("half 0 or 1", half, "half")
        if seed < 0:
            raise InputError("seed >= 0", seed, "seed")
        self.data, self.half, self.seed, self.others = data, half, seed, others

    # ------------------------------------------------------------------------------------------ known before setup

    @property
    def input_shape(self) -> tuple[int, ...]:
        """That of the data."""
        return self.data.input_shape

    @property
    def input_range(self) -> tuple[float, float]:
        """That of the data."""
        return self.data.input_range

    @property
    def class_names(self) -> tuple[str, ...]:
        """Those of the data: a removed label keeps its name, which is now that of somebody else's samples."""
        return self.data.class_names

    @property
    def modality(self) -> Modality:
        """That of the data."""
        return self.data.modality

    @property
    def removed(self) -> tuple[int, ...]:
        """Labels whose people are left out."""
        return tuple(removed_people(self.data.num_classes, self.half, self.seed))

    # ------------------------------------------------------------------------------------------ samples

    def prepare_data(self) -> None:
        """Prepare both data."""
        for data in (self.data, self.others):
            if data is not None:
                data.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read the samples and divide them, the first time only."""
        if self._ready:
            return
        self.data.setup("fit")
        if self.others is not None:
            self.others.setup("fit")
            self._check_others(self.others)
        shares = self._shares()
        make = _without_speakers if isinstance(self.data, SpeakerDataModule) else _without
        self._inner = make(self.data, self.others, shares, self.seed)
        self._ready = True

    def load(self) -> tuple[Batch, Batch]:
        """Give the samples as they are divided."""
        return (self.train_x, self.train_y), (self.test_x, self.test_y)

    @property
    def divided(self) -> PersonDataModule:
        """A copy of the data that holds the samples as they are divided."""
        self.setup()
        return self._inner

    # of the copy, which may make them on demand
    @property
    def train_x(self) -> Tensor:  # type: ignore[override]
        """Training samples."""
        return self.divided.train_x

    @property
    def train_y(self) -> Tensor:  # type: ignore[override]
        """Labels of ``train_x``."""
        return self.divided.train_y

    @property
    def test_x(self) -> Tensor:  # type: ignore[override]
        """Test samples, of those who were trained on."""
        return self.divided.test_x

    @property
    def test_y(self) -> Tensor:  # type: ignore[override]
        """Labels of ``test_x``."""
        return self.divided.test_y

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches as the data make them."""
        self.divided.trainer = self.trainer
        return self.divided.train_dataloader()

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches as the data make them."""
        return self.divided.test_dataloader()

    def describe(self) -> dict[str, object]:
        """Say what the data say, with their digest and split, so that they serve as references; and who is missing."""
        said = self.divided.describe()
        others = None if self.others is None else self.others.describe()
        return said | {
            "class_path": class_path(type(self)),
            "without": {
                "data": said["class_path"],
                "half": self.half,
                "seed": self.seed,
                "people": [self.class_names[label] for label in self.removed],
                "others": None if others is None else {key: others.get(key) for key in ("class_path", "sha256")},
            },
        }

    # ------------------------------------------------------------------------------------------ who replaces whom

    def _check_others(self, others: PersonDataModule) -> None:
        """See that other people can take the places.

        Raises:
            InputError: If they cannot.
        """
        for name in ("input_shape", "input_range"):
            if getattr(others, name) != getattr(self.data, name):
                raise InputError(f"others of {name} {getattr(self.data, name)}", getattr(others, name), "others")
        if others.modality.sample_rate != self.data.modality.sample_rate:
            expected = f"others at {self.data.modality.sample_rate} Hz"
            raise InputError(expected, others.modality.sample_rate, "others")
        if isinstance(self.data, SpeakerDataModule) and not isinstance(others, SpeakerDataModule):
            raise InputError("other speakers (SpeakerDataModule)", type(others).__name__, "others")
        if others.num_classes < len(self.removed):
            raise InputError(f"{len(self.removed)} other people or more", others.num_classes, "others")
        digest = self.data.describe().get("sha256")
        if digest is not None and digest == others.describe().get("sha256"):
            raise InputError("data of other people", "the same data", "others")

    def _shares(self) -> _Shares:
        """Decide, by the seed, who replaces whom."""
        generator = torch.Generator().manual_seed(self.seed)
        own = {label: [label] for label in range(self.data.num_classes) if label not in self.removed}
        if self.others is not None:
            order = torch.randperm(self.others.num_classes, generator=generator).tolist()
            return _Shares(own, {other: [label] for other, label in zip(order, self.removed, strict=False)})
        kept = list(own)
        order = torch.randperm(len(kept), generator=generator).tolist()
        for place, label in enumerate(self.removed):  # with an odd number of people one shares with two
            own[kept[order[place % len(order)]]].append(label)
        return _Shares(own, {})


def _dealt(y: Tensor, shares: Mapping[int, Sequence[int]], seed: int) -> Tensor:
    """Deal the pieces of each person out among labels.

    Args:
        y: Label of each piece, (N,).
        shares: For each person, the labels among which the pieces are dealt out one by one, the first of them first.
        seed: Seed of the order in which they are dealt out.

    Returns:
        New labels, (N,); -1 for a piece that nobody gets.
    """
    generator = torch.Generator().manual_seed(seed)
    dealt = torch.full_like(y, -1)
    for label, among in shares.items():
        index = (y == label).nonzero()[:, 0]
        index = index[torch.randperm(len(index), generator=generator)]
        dealt[index] = torch.tensor(among)[torch.arange(len(index)) % len(among)]
    return dealt


def _check_enough(data: PersonDataModule, label: int, pieces: int, among: Sequence[int]) -> None:
    """See that everybody who shares the training samples of a person gets one.

    Raises:
        InputError: If somebody does not.
    """
    if pieces < len(among):
        expected = f"{len(among)} training samples or more of {data.class_names[label]}, who replaces others; or others"
        raise InputError(expected, pieces, "data")


def _without(data: PersonDataModule, others: PersonDataModule | None, shares: _Shares, seed: int) -> PersonDataModule:
    """Copy data whose samples lie in memory, with other samples."""
    for label, among in shares.own.items():
        _check_enough(data, label, int((data.train_y == label).sum()), among)
    dealt_out: list[Batch] = []
    for part in _PARTS:
        sources = [(data, shares.own)] if others is None else [(data, shares.own), (others, shares.others)]
        x, y = [], []
        for source, dealt_among in sources:
            dealt = _dealt(getattr(source, f"{part}_y"), dealt_among, seed)
            x.append(getattr(source, f"{part}_x")[dealt >= 0])
            y.append(dealt[dealt >= 0])
        dealt_out.append((torch.cat(x), torch.cat(y)))
    return data.with_samples(*dealt_out)


def _without_speakers(
    data: PersonDataModule, others: PersonDataModule | None, shares: _Shares, seed: int
) -> PersonDataModule:
    """Copy data of speakers, with other utterances; those of one speaker are cut where there are too few to share."""
    if not isinstance(data, SpeakerDataModule):
        raise TypeError("expected speakers")
    segments: dict[Part, list[Segment]] = {}
    for part in _PARTS:
        own: list[Segment] = []
        for label, among in shares.own.items():
            mine = [segment for segment in data.segments(part) if segment.label == label]
            if part == "train" and len(mine) < len(among):
                mine = [piece for segment in mine for piece in _pieces(segment, len(among))]
            own += mine
        segments[part] = _relabelled(own, shares.own, seed)
    audio = data.audio
    if isinstance(others, SpeakerDataModule):
        before = len(audio)
        audio = np.concatenate((audio, others.audio))
        for part in _PARTS:
            theirs = [
                replace(segment, start=segment.start + before, stop=segment.stop + before)
                for segment in others.segments(part)
            ]
            segments[part] += _relabelled(theirs, shares.others, seed)
    return data.with_segments(segments, audio)


def _pieces(segment: Segment, count: int) -> list[Segment]:
    """Cut an utterance into pieces of equal length."""
    length = (segment.stop - segment.start) // count
    starts = [segment.start + place * length for place in range(count)]
    return [replace(segment, start=start, stop=start + length) for start in starts]


def _relabelled(segments: Sequence[Segment], shares: Mapping[int, Sequence[int]], seed: int) -> list[Segment]:
    """Give utterances the labels that they are dealt, and leave out those that nobody gets."""
    dealt = _dealt(torch.tensor([segment.label for segment in segments], dtype=torch.int64), shares, seed).tolist()
    kept = [replace(segment, label=label) for segment, label in zip(segments, dealt, strict=True) if label >= 0]
    return sorted(kept, key=lambda segment: segment.label)
