"""Random values, independent for each element."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.errors import InputError


class Noise(Initializer):
    """Random values, independent for each element.

    Args:
        distribution: ``"normal"``, ``"laplace"`` or ``"uniform"``.
        mean: Mean of the distribution.
        std: Standard deviation of the distribution, at least 0.
    """

    def __init__(
        self,
        *,
        distribution: Literal["normal", "laplace", "uniform"] = "normal",
        mean: float = 0.5,
        std: float = 0.01,
    ) -> None:
        """Check the arguments."""
        if std < 0:
            raise InputError("std >= 0", std, field="std")
        self.distribution, self.mean, self.std = distribution, mean, std

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return mean + std times a unit-variance draw, shape (R, *shape)."""
        return self.mean + self.std * rows.draw(lambda generator: self._unit(shape, generator))

    def _unit(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """One draw of zero mean and unit variance."""
        if self.distribution == "normal":
            return torch.randn(shape, generator=generator)
        uniform = torch.rand(shape, generator=generator)
        if self.distribution == "uniform":
            return (uniform - 0.5) * math.sqrt(12.0)
        # Laplace by its inverse distribution function; its variance is twice the squared scale
        centred = uniform - 0.5
        return -centred.sign() * torch.log1p(-2 * centred.abs().clamp_max(0.5 - 2**-25)) / math.sqrt(2.0)
