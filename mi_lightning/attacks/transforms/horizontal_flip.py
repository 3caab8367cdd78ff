"""Mirror a picture, left to right."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.transforms.base import Transform
from mi_lightning.errors import InputError


class HorizontalFlip(Transform):
    """Mirror a picture, left to right.

    Args:
        probability: How often, in [0, 1].

    Raises:
        InputError: If the probability is none.
    """

    def __init__(self, *, probability: float = 0.5) -> None:
        """Check the probability."""
        super().__init__()
        if not 0 <= probability <= 1:
            raise InputError("probability in [0, 1]", probability, field="probability")
        self.probability = probability

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw 1 to mirror, else 0, shape (1,)."""
        return torch.rand(1, generator=generator) < self.probability

    def change(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Mirror the pictures that are to be mirrored."""
        return torch.where(drawn[:, :, None, None] > 0, x.flip(-1), x)
