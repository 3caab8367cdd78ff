"""What every data set of people offers to classifiers, attacks and judges."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mi_lightning.audio.rate import SPEECH_RATE
from mi_lightning.checkpoint import class_path
from mi_lightning.errors import InputError

Split = Literal["random", "first"]
Part = Literal["train", "test"]
Batch = tuple[Tensor, Tensor]
Kind = Literal["picture", "sound", "other"]
#: Names of the dimensions of a sample of each kind, without the batch; of other kinds nothing is known.
AXES: dict[Kind, tuple[str, ...]] = {
    "picture": ("channel", "height", "width"),
    "sound": ("channel", "time"),
    "other": (),
}


@dataclass(frozen=True)
class Modality:
    """What the samples of a data set (or the inputs of a target) are: plain facts, asked by judges and reports.

    Attributes:
        kind: ``"picture"`` (1 or 3 channels, height, width), ``"sound"`` (1, samples) or ``"other"``.
        shape: Shape of one sample, without the batch.
        value_range: Least and greatest value of a sample: black and white, or full scale on both sides of zero.
        sample_rate: Samples in a second (Hz) of a sound; None for anything else.

    Raises:
        InputError: If these facts contradict each other.

    Example:
        >>> Modality("sound", (1, 3200), (-1.0, 1.0), 16000).axes
        ('channel', 'time')
    """

    kind: Kind
    shape: tuple[int, ...]
    value_range: tuple[float, float]
    sample_rate: int | None = None

    def __post_init__(self) -> None:
        """See that the facts fit each other."""
        if self.kind not in AXES:
            raise InputError(f"a kind of {', '.join(AXES)}", self.kind, "kind")
        if self.kind != "other" and _kind_of(self.shape) != self.kind:
            raise InputError(f"the shape of a {self.kind}: {', '.join(self.axes)}", self.shape, "shape")
        low, high = self.value_range
        if not low < high:
            raise InputError("a least value below the greatest", self.value_range, "value_range")
        if self.kind == "sound" and (self.sample_rate is None or self.sample_rate < 1):
            raise InputError("sample_rate >= 1 (Hz) of a sound", self.sample_rate, "sample_rate")
        if self.kind != "sound" and self.sample_rate is not None:
            raise InputError(f"no sample_rate of what is no sound ({self.kind})", self.sample_rate, "sample_rate")

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the dimensions of `shape`; empty where nothing is known of them."""
        return AXES[self.kind]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for results and checkpoints; `from_dict` reads them."""
        return {
            "kind": self.kind,
            "axes": list(self.axes),
            "shape": list(self.shape),
            "value_range": list(self.value_range),
            "sample_rate": self.sample_rate,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Modality:
        """Read what `as_dict` gave.

        Raises:
            InputError: If it is not that.
        """
        try:
            shape = tuple(int(side) for side in plain["shape"])
            low, high = (float(value) for value in plain["value_range"])
            return cls(plain["kind"], shape, (low, high), plain["sample_rate"])
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError("a modality: kind, shape, value_range, sample_rate", dict(plain)) from error


def _kind_of(shape: Sequence[int]) -> Kind:
    """Kind of samples of a shape."""
    if len(shape) == 3 and shape[0] in (1, 3) and min(shape) > 0:
        return "picture"
    return "sound" if len(shape) == 2 and shape[0] == 1 and shape[1] > 0 else "other"


def modality_of(input_shape: Sequence[int], input_range: Sequence[float], sample_rate: int | None = None) -> Modality:
    """Tell the modality by the shape, where no data say it: a target, a run of an earlier version.

    Args:
        input_shape: Shape of one sample, without the batch: (1 or 3, height, width) is a picture, (1, samples) a sound.
        input_range: Least and greatest value of a sample.
        sample_rate: Hz, of a sound; 16000 if nothing says it. Of anything else it is not looked at.

    Example:
        >>> [modality_of(shape, (0.0, 1.0)).kind for shape in ((3, 64, 64), (1, 3200), (300,))]
        ['picture', 'sound', 'other']
    """
    shape = tuple(int(side) for side in input_shape)
    kind = _kind_of(shape)
    low, high = input_range
    rate = (SPEECH_RATE if sample_rate is None else int(sample_rate)) if kind == "sound" else None
    return Modality(kind, shape, (float(low), float(high)), rate)


class SampleSet(Dataset[Batch]):
    """Samples and their labels in memory, handed out a whole batch at a time.

    Args:
        x: Samples, (N, *input_shape).
        y: Labels, (N,) int64.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        """Keep the two tensors, uncopied."""
        self.x, self.y = x, y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> Batch:
        return self.x[index], self.y[index]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Give the batch of ``indices`` by one tensor index: no stacking of single samples."""
        index = torch.as_tensor(indices)
        return self.x[index], self.y[index]


def as_it_is(batch: Any) -> Any:
    """Collate nothing: `SampleSet` hands out whole batches (a function of the module, so that it can be pickled)."""
    return batch


def split_per_person(y: Tensor, test_per_person: int, split: Split, seed: int) -> tuple[Tensor, Tensor]:
    """Split the samples of each person into training and test samples.

    Args:
        y: Labels, (N,) int64, in the order of the files.
        test_per_person: Test samples of each person; every person must have more samples than that.
        split: ``"first"``: the last ``test_per_person`` samples of a person are the test samples;
            ``"random"``: which ones is drawn, person by person, from a generator of its own.
        seed: Seed of that generator; the global random state is neither read nor changed.

    Returns:
        Indices of the training and of the test samples, each in the order of the files.

    Raises:
        InputError: If a person has too few samples, or the numbers make no split.
    """
    if test_per_person < 1:
        raise InputError("test_per_person >= 1", test_per_person, "test_per_person")
    if split not in ("random", "first"):
        raise InputError("split random or first", split, "split")
    generator = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in y.unique().tolist():
        index = (y == label).nonzero()[:, 0]
        if len(index) <= test_per_person:
            raise InputError(
                f"fewer test images a person than the {len(index)} of person {label}",
                test_per_person,
                "test_per_person",
            )
        if split == "random":
            index = index[torch.randperm(len(index), generator=generator)]
        train.append(index[:-test_per_person].sort().values)
        test.append(index[-test_per_person:].sort().values)
    return torch.cat(train), torch.cat(test)


class PersonDataModule(LightningDataModule, ABC):
    """Samples of people: one class per person.

    The shape, the range and the names are known before `setup`, so that a classifier can be built from them.

    Args:
        split: How the samples of a person are divided (see `split_per_person`).
        split_seed: Seed of the random split.
        batch_size: Samples in a training batch.
        order_seed: Seed of the order of the training batches; ``split_seed`` if not given.

    Attributes:
        train_x: Training samples, (N, *input_shape) float32 in `input_range`; after `setup`.
        train_y: Their labels, (N,) int64.
        test_x: Test samples, as ``train_x``.
        test_y: Their labels.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor

    def __init__(
        self, *, split: Split = "random", split_seed: int = 0, batch_size: int = 10, order_seed: int | None = None
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError("batch_size >= 1", batch_size, "batch_size")
        for name, seed in (("split_seed", split_seed), ("order_seed", order_seed)):
            if seed is not None and seed < 0:
                raise InputError(f"{name} >= 0", seed, f"{name}")
        self.split: Split = split
        self.split_seed = split_seed
        self.batch_size = batch_size
        self.order_seed = split_seed if order_seed is None else order_seed
        self._ready = False

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch."""

    @property
    @abstractmethod
    def input_range(self) -> tuple[float, float]:
        """Least and greatest value that a sample may hold."""

    @property
    @abstractmethod
    def class_names(self) -> tuple[str, ...]:
        """Name of each person, in the order of the labels."""

    @property
    def modality(self) -> Modality:
        """What the samples are: by their shape and range, unless a data module says more."""
        return modality_of(self.input_shape, self.input_range)

    @property
    def num_classes(self) -> int:
        """Number of people."""
        return len(self.class_names)

    @abstractmethod
    def load(self) -> tuple[Batch, Batch]:
        """Read the samples: the training pair (x, y) and the test pair (x, y)."""

    def setup(self, stage: str | None = None) -> None:
        """Read the samples, the first time only."""
        if not self._ready:
            (self.train_x, self.train_y), (self.test_x, self.test_y) = self.load()
            self._ready = True

    def samples(self, part: Part) -> Dataset[Batch]:
        """Give the training or the test samples as a data set that batches are taken from."""
        return SampleSet(getattr(self, f"{part}_x"), getattr(self, f"{part}_y"))

    def with_samples(self, train: Batch, test: Batch) -> Self:
        """Copy the data with other samples: those to train and those to test, each with their labels."""
        other = copy.copy(self)
        (other.train_x, other.train_y), (other.test_x, other.test_y) = train, test
        return other

    @property
    def is_ready(self) -> bool:
        """Whether the samples are read."""
        return self._ready

    def plain_arguments(self) -> dict[str, Any]:
        """Say which data these are without reading them: class path and plain settings."""
        lightnings = vars(LightningDataModule())
        settings = {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in lightnings and isinstance(value, int | float | str | None)
        }
        return {"class_path": class_path(type(self)), **settings}

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training batches in an order drawn anew each epoch, from a generator of their own."""
        # not the global random state: the order must not depend on what was drawn elsewhere before
        generator = torch.Generator().manual_seed(self.order_seed)
        return DataLoader(
            self.samples("train"),
            batch_size=self.batch_size,
            shuffle=True,
            generator=generator,
            collate_fn=as_it_is,
        )

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches in the order of the files; big ones, since no gradient is kept."""
        return DataLoader(self.samples("test"), batch_size=256, collate_fn=as_it_is)

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values: it goes into checkpoints and results."""
        self.setup()
        return {
            "class_path": class_path(type(self)),
            "modality": self.modality.as_dict(),
            "split": self.split,
            "split_seed": self.split_seed,
            "order_seed": self.order_seed,
            "batch_size": self.batch_size,
            "people": self.num_classes,
            "train_samples": len(self.train_y),
            "test_samples": len(self.test_y),
        }
