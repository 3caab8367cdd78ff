"""Spaces: where a candidate lives, how it becomes an input, and what keeps it inside."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from mi_lightning.inversion.initial import Initial, MidGrey
from mi_lightning.inversion.rows import Rows
from mi_lightning.targets.base import Target


class Space(nn.Module, ABC):
    """The set that an attack searches."""

    def bind(self, target: Target) -> None:
        """Fit the space to a target, before anything else is called.

        Args:
            target: Target whose inputs the space decodes to.

        Raises:
            InputError: If the space cannot produce inputs of the target's shape.
        """
        self.input_shape, self.input_range = target.input_shape, target.input_range

    @abstractmethod
    def initial(self, rows: Rows) -> Tensor:
        """Return the initial candidates on the CPU, shape (R, *candidate_shape), float32."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Turn candidates, shape (R, *candidate_shape), into inputs, shape (R, *input_shape); differentiable."""

    @abstractmethod
    def constrain_(self, z: Tensor) -> None:
        """Put candidates back into the space, in place, after an update."""

    def bounds(self) -> tuple[float, float] | None:
        """Return the lowest and highest value at which a candidate may be asked for, None if any value is good.

        Estimators that query around a candidate stay within.
        """
        return None


class PixelSpace(Space):
    """The candidate is the input itself, pixel by pixel [F15].

    Args:
        initial: Where the candidates start; mid-grey if None.
        clamp: Whether every update is followed by clamping to the target's input range. [F15] does not say;
            without it values leave the range, and the picture has to be rescaled to be looked at.
    """

    def __init__(self, *, initial: Initial | None = None, clamp: bool = True) -> None:
        """Keep the arguments."""
        super().__init__()
        self.start, self.clamp = initial or MidGrey(), clamp

    def initial(self, rows: Rows) -> Tensor:
        """Return the initial images, shape (R, *input_shape)."""
        return self.start(rows, self.input_shape, self.input_range)

    def decode(self, z: Tensor) -> Tensor:
        """Return the candidates as they are."""
        return z

    @torch.no_grad()
    def constrain_(self, z: Tensor) -> None:
        """Clamp to the input range, in place, if asked for."""
        if self.clamp:
            z.clamp_(*self.input_range)

    def bounds(self) -> tuple[float, float]:
        """Return the input range: also where the candidates may leave it, a target is not asked outside."""
        return self.input_range
