"""Sum of the absolute differences of neighbouring pixels: smooth patches with sharp edges are likely."""

from __future__ import annotations

from torch import Tensor

from mi_lightning.attacks.priors.base import Prior


class TotalVariation(Prior):
    """Sum of the absolute differences of neighbouring pixels: smooth patches with sharp edges are likely.

    Anisotropic form of Rudin, Osher, Fatemi, *Nonlinear total variation based noise removal algorithms* (1992).

    Args:
        weight: Factor of the prior in the cost, at least 0.
    """

    axes = "picture"

    def __init__(self, *, weight: float = 1e-3) -> None:
        """Set the weight."""
        super().__init__(weight=weight)

    def penalty(self, x: Tensor) -> Tensor:
        """Return the total variation of images of shape (N, channels, height, width), shape (N,)."""
        self.check(x.shape[1:])
        vertical = (x[..., 1:, :] - x[..., :-1, :]).abs().flatten(1).sum(1)
        horizontal = (x[..., 1:] - x[..., :-1]).abs().flatten(1).sum(1)
        return vertical + horizontal
