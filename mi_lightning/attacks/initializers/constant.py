"""Zero everywhere: the black image [F15, Algorithm 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows


class Zeros(Initializer):
    """Zero everywhere: the black image [F15, Algorithm 1]."""

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return zeros, shape (R, *shape)."""
        return torch.zeros(len(rows), *shape)


class MidGrey(Initializer):
    """The middle of the value range everywhere: a grey image, the start that knows nothing and saturates nothing."""

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the middle of the range, shape (R, *shape)."""
        return torch.full((len(rows), *shape), sum(value_range) / 2)
