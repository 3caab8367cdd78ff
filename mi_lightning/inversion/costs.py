"""Costs: one number per row, to be minimised; and priors that are added to it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


class Cost(nn.Module, ABC):
    """How far a target is from being sure of the label."""

    @abstractmethod
    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Query ``x`` once.

        Args:
            target: Target to ask.
            x: Inputs, shape (N, *input_shape).
            label: Class of each input, shape (N,), int64.

        Returns:
            Cost of each input, shape (N,).
        """

    @abstractmethod
    def confidence(self, cost: Tensor) -> Tensor:
        """Return the confidence in the label that a value of the cost means, shape (N,), so that it costs no query."""


class OneMinusConfidence(Cost):
    """1 - p_label, in [0, 1] [F15, Algorithm 1].

    Its gradient vanishes where p_label is close to 0, so a row that starts far away never moves.
    """

    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Return 1 - p_label, shape (N,)."""
        return 1 - target.confidences(x).gather(1, label[:, None])[:, 0]

    def confidence(self, cost: Tensor) -> Tensor:
        """Return 1 - cost."""
        return 1 - cost


class NegativeLogConfidence(Cost):
    """-log p_label, in nats, at least 0. Its gradient does not vanish where p_label is close to 0.

    Args:
        floor: Least confidence that counts, in [0, 1): the cost is -log max(p_label, floor). For targets that round
            or add noise: without a floor one released 0 outweighs all other answers. No floor if 0.
    """

    def __init__(self, *, floor: float = 0.0) -> None:
        """Check the floor."""
        super().__init__()
        if not 0 <= floor < 1:
            raise InputError("floor in [0, 1)", floor, "--model.cost.init_args.floor")
        self.floor = floor

    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Return -log p_label, shape (N,), in nats."""
        cost = -target.log_confidences(x).gather(1, label[:, None])[:, 0]
        return cost.clamp_max(-math.log(self.floor)) if self.floor > 0 else cost

    def confidence(self, cost: Tensor) -> Tensor:
        """Return exp(-cost)."""
        return torch.exp(-cost)


class Prior(nn.Module, ABC):
    """What is likely before any query: AUXTERM of Algorithm 1 [F15]. Sees the input, never the target.

    Args:
        weight: Factor of the prior in the cost, at least 0.
    """

    def __init__(self, *, weight: float) -> None:
        """Check the weight."""
        super().__init__()
        if weight < 0:
            raise InputError("weight >= 0", weight, "--model.priors")
        self.weight = weight

    @abstractmethod
    def penalty(self, x: Tensor) -> Tensor:
        """Return the penalty of each input, shape (N,), without the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted penalty of each input, shape (N,)."""
        return self.weight * self.penalty(x)


class TotalVariation(Prior):
    """Sum of the absolute differences of neighbouring pixels: smooth patches with sharp edges are likely.

    Anisotropic form of Rudin, Osher, Fatemi, *Nonlinear total variation based noise removal algorithms* (1992).

    Args:
        weight: Factor of the prior in the cost, at least 0.
    """

    def __init__(self, *, weight: float = 1e-3) -> None:
        """Set the weight."""
        super().__init__(weight=weight)

    def penalty(self, x: Tensor) -> Tensor:
        """Return the total variation of images of shape (N, channels, height, width), shape (N,)."""
        vertical = (x[..., 1:, :] - x[..., :-1, :]).abs().flatten(1).sum(1)
        horizontal = (x[..., 1:] - x[..., :-1]).abs().flatten(1).sum(1)
        return vertical + horizontal


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
