"""Squared Euclidean distance to a constant: values near it are likely."""

from __future__ import annotations

from torch import Tensor

from mi_lightning.attacks.priors.base import Prior


class L2(Prior):
    """Squared Euclidean distance to a constant: values near it are likely.

    Args:
        weight: Factor of the prior in the cost, at least 0.
        center: The constant; 0.5 is mid-grey for images in [0, 1].
    """

    def __init__(self, *, weight: float = 1e-3, center: float = 0.5) -> None:
        """Set the weight and the centre."""
        super().__init__(weight=weight)
        self.center = center

    def penalty(self, x: Tensor) -> Tensor:
        """Return the squared distance of inputs of shape (N, *input_shape) to the centre, shape (N,)."""
        return (x - self.center).square().flatten(1).sum(1)
