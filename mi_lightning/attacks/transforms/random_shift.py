"""Move a picture by some pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.transforms.base import Transform
from mi_lightning.errors import InputError


class RandomShift(Transform):
    """Move a picture by whole pixels, up or down and left or right; what comes in repeats the edge.

    Args:
        pixels: Greatest move in each direction, in pixels, at least 0.

    Raises:
        InputError: If it is negative.
    """

    def __init__(self, *, pixels: int = 2) -> None:
        """Check the size of a move."""
        super().__init__()
        if pixels < 0:
            raise InputError("pixels >= 0", pixels, field="pixels")
        self.pixels = pixels

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw how far down and how far right, shape (2,)."""
        return torch.randint(-self.pixels, self.pixels + 1, (2,), generator=generator)

    def change(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Move each picture."""
        for side in (-2, -1):
            size = x.shape[side]
            place = (torch.arange(size, device=x.device) - drawn[:, side, None].long()).clamp(0, size - 1)
            place = place[:, None, :, None] if side == -2 else place[:, None, None, :]
            x = x.gather(side, place.expand_as(x))
        return x
