"""Costs: one number per row, to be minimised; and priors that are added to it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


class Cost(nn.Module, ABC):
    """How far a target is from being sure of the label.

    Attributes:
        tells_confidence: Whether a value of the cost says how sure the target is. If not, it is asked at last.
    """

    tells_confidence: bool = True

    def bind(self, target: Target) -> None:
        """Fit the cost to a target, before anything else is called; nothing, unless overridden.

        Raises:
            InputError: If it does not fit.
        """

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


class NegativeLogOdds(Cost):
    """-log(p_label / (1 - p_label)), in nats: how much surer the target is of all the other labels than of this one.

    -log p_label is rounded to 0 once the target is sure, and the best iterate is then the first that came so far: a
    person whom a network knows at once stays a faint picture, however long the descent goes on. The odds go on
    telling iterates apart. Where p_label is small the two are the same; the gradient is that of -log p_label divided by
    1 - p_label.
    """

    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Return -log(p_label / (1 - p_label)), shape (N,), in nats."""
        log_confidences = target.log_confidences(x)
        own = label[:, None]
        # the others' logarithms, summed: 1 - p_label itself has no digits left where p_label is close to 1
        others = log_confidences.scatter(1, own, -math.inf).logsumexp(1)
        return others - log_confidences.gather(1, own)[:, 0]

    def confidence(self, cost: Tensor) -> Tensor:
        """Return 1 / (1 + exp(cost))."""
        return torch.sigmoid(-cost)


class Prior(nn.Module, ABC):
    """What is likely before any query: AUXTERM of Algorithm 1 [F15]. Sees the input, never the target.

    Args:
        weight: Factor of the prior in the cost, at least 0.

    Attributes:
        of_candidate: Whether it is shown the candidate rather than the input that the candidate decodes to.
    """

    of_candidate = False

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


class CodeNorm(Prior):
    """Minus the log of a standard normal density of the code, up to a constant: |z|^2 / 2, in nats.

    For a latent space whose decoder was trained on normal codes, as generators are: far from them it draws no faces.
    Beside -log p with a weight of 1 the sum is minus the log of the posterior density of the code.

    Args:
        weight: Factor of the prior in the cost, at least 0.
    """

    of_candidate = True

    def __init__(self, *, weight: float = 1.0) -> None:
        """Set the weight."""
        super().__init__(weight=weight)

    def penalty(self, x: Tensor) -> Tensor:
        """Return half the squared length of candidates of shape (N, *candidate_shape), shape (N,)."""
        return x.square().flatten(1).sum(1) / 2
