"""The candidate is the input itself, pixel by pixel [F15]."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.initializers.constant import MidGrey
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.base import Space


class PixelSpace(Space):
    """The candidate is the input itself, pixel by pixel [F15].

    Args:
        initializer: Where the candidates start; mid-grey if None.
        clamp: Whether every update is followed by clamping to the target's input range. [F15] does not say;
            without it values leave the range, and the picture has to be rescaled to be looked at.
    """

    def __init__(self, *, initializer: Initializer | None = None, clamp: bool = True) -> None:
        """Keep the arguments."""
        super().__init__()
        self.initializer, self.clamp = initializer or MidGrey(), clamp

    def initial(self, rows: Rows) -> Tensor:
        """Return the initial images, shape (R, *input_shape)."""
        return self.initializer(rows, self.input_shape, self.input_range)

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
