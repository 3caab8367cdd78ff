"""What data sets of grey photographs share: pixels in memory, so many of each person for testing."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.data.base import Batch, PersonDataModule, split_per_person

Pixels = NDArray[np.uint8] | NDArray[np.float32]


class PhotographDataModule(PersonDataModule):
    """Grey photographs of one size: a sample is (1, height, width) float32 in [0, 1].

    Args:
        test_per_person: Test photographs of each person.
        **samples: The arguments of `PersonDataModule`.
    """

    def __init__(self, *, test_per_person: int = 3, **samples: Any) -> None:
        super().__init__(**samples)
        self.test_per_person = test_per_person

    @abstractmethod
    def photographs(self) -> tuple[Pixels, NDArray[np.int64]]:
        """All photographs (N, height, width), whole grey levels up to 255 or parts up to 1, and their labels (N,)."""

    @property
    def input_range(self) -> tuple[float, float]:
        """Black is 0, white is 1."""
        return (0.0, 1.0)

    def load(self) -> tuple[Batch, Batch]:
        """Scale the photographs to [0, 1] and split them per person."""
        pixels, labels = self.photographs()
        y = torch.from_numpy(labels)
        train, test = split_per_person(y, self.test_per_person, self.split, self.split_seed)

        def pair(index: Tensor) -> Batch:
            x = torch.from_numpy(np.ascontiguousarray(pixels))[index, None]
            return x.float() / 255 if x.dtype == torch.uint8 else x, y[index]

        return pair(train), pair(test)

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values; the digest is over all grey levels."""
        return super().describe() | {
            "test_per_person": self.test_per_person,
            "sha256": hashlib.sha256(np.ascontiguousarray(self.photographs()[0]).tobytes()).hexdigest(),
        }
