"""Minus the log of a standard normal density of the code, up to a constant: |z|^2 / 2, in nats."""

from __future__ import annotations

from torch import Tensor

from mi_lightning.attacks.priors.base import Prior


class CodeNorm(Prior):
    """Minus the log of a standard normal density of the code, up to a constant: |z|^2 / 2, in nats.

    For a latent space whose decoder was trained on normal codes, as generators are: far from them it draws no faces.
    Beside -log p with a weight of 1 the sum is minus the log of the posterior density of the code.

    Args:
        weight: Factor of the prior in the cost, at least 0.
    """

    sees = "candidate"

    def __init__(self, *, weight: float = 1.0) -> None:
        """Set the weight."""
        super().__init__(weight=weight)

    def penalty(self, x: Tensor) -> Tensor:
        """Return half the squared length of candidates of shape (N, *candidate_shape), shape (N,)."""
        return x.square().flatten(1).sum(1) / 2
