"""A random change of an input that leaves the person who they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mi_lightning.data.axes import check_axes
from mi_lightning.data.base import Kind


class Transform(nn.Module, ABC):
    """A random change of pictures that leaves the person who they are; differentiable.

    A face stays a face when it moves a little; a pattern that only a network takes for one does not.

    All randomness is drawn row by row on the CPU from generators that are handed over, so that a row is changed alike
    whatever runs beside it and wherever it runs.

    Attributes:
        axes: Kind of inputs on whose axes it works.
    """

    axes: Kind = "picture"

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw how one row is changed, on the CPU, shape (numbers,)."""

    @abstractmethod
    def change(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Change pictures.

        Args:
            x: Shape (N, channels, height, width).
            drawn: How each one is changed, on the device of ``x``, float32, shape (N, numbers).

        Returns:
            Same shape.
        """

    def forward(self, x: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Change the pictures of all rows, those of one row alike.

        Args:
            x: Shape (R * n, channels, height, width): n consecutive ones for each row.
            generators: One for each of the R rows.

        Raises:
            InputError: If these are no pictures.
        """
        check_axes(x.shape[1:], self.axes, self, "transforms")
        drawn = torch.stack([self.draw(generator) for generator in generators]).float()
        return self.change(x, drawn.repeat_interleave(len(x) // len(generators), 0).to(x.device))
