"""Divide each row's gradient by its own root mean square: steps of one size, whatever the cost."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.filters.base import GradientFilter


class UnitRMS(GradientFilter):
    """Divide each row's gradient by its own root mean square: steps of one size, whatever the cost.

    The gradient of -log p is as large as 1 - p. Rows that the classifier recognises early would stop as grey pictures,
    while others are still being drawn. After this filter a step of learning rate ``lr`` changes a picture by ``lr``
    (root mean square, in units of the candidate), so that all pictures come out with the same contrast. A gradient of
    zero stays zero.
    """

    def forward(self, gradient: Tensor) -> Tensor:
        """Scale gradients of shape (R, *candidate_shape), row by row."""
        rms = gradient.flatten(1).square().mean(1).sqrt()
        # in two steps, so that rows below the square root of the smallest float are left alone rather than blown up
        scale = torch.where(rms > 0, rms, 1).reciprocal()
        return gradient * scale.reshape(-1, *(1,) * (gradient.ndim - 1))
