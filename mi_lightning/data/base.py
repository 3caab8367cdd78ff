"""What every data set of people offers to classifiers, attacks and judges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mi_lightning.checkpoint import class_path
from mi_lightning.errors import InputError

Split = Literal["random", "first"]
Batch = tuple[Tensor, Tensor]


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


def _as_it_is(batch: Any) -> Any:
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
        raise InputError("test_per_person >= 1", test_per_person, "--data.test_per_person")
    if split not in ("random", "first"):
        raise InputError("split random or first", split, "--data.split")
    generator = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in y.unique().tolist():
        index = (y == label).nonzero()[:, 0]
        if len(index) <= test_per_person:
            raise InputError(
                f"fewer test images a person than the {len(index)} of person {label}",
                test_per_person,
                "--data.test_per_person",
            )
        if split == "random":
            index = index[torch.randperm(len(index), generator=generator)]
        train.append(index[:-test_per_person].sort().values)
        test.append(index[-test_per_person:].sort().values)
    return torch.cat(train), torch.cat(test)


class PersonDataModule(LightningDataModule, ABC):
    """Samples of people held in memory: one class per person.

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
            raise InputError("batch_size >= 1", batch_size, "--data.batch_size")
        for name, seed in (("split_seed", split_seed), ("order_seed", order_seed)):
            if seed is not None and seed < 0:
                raise InputError(f"{name} >= 0", seed, f"--data.{name}")
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

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training batches in an order drawn anew each epoch, from a generator of their own."""
        # not the global random state: the order must not depend on what was drawn elsewhere before
        generator = torch.Generator().manual_seed(self.order_seed)
        return DataLoader(
            SampleSet(self.train_x, self.train_y),
            batch_size=self.batch_size,
            shuffle=True,
            generator=generator,
            collate_fn=_as_it_is,
        )

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches in the order of the files; big ones, since no gradient is kept."""
        return DataLoader(SampleSet(self.test_x, self.test_y), batch_size=256, collate_fn=_as_it_is)

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values: it goes into checkpoints and results."""
        self.setup()
        return {
            "class_path": class_path(type(self)),
            "split": self.split,
            "split_seed": self.split_seed,
            "order_seed": self.order_seed,
            "batch_size": self.batch_size,
            "people": self.num_classes,
            "train_samples": len(self.train_y),
            "test_samples": len(self.test_y),
        }
