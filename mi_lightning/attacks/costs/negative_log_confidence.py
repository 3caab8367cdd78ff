"""-log p_label, in nats, at least 0. Its gradient does not vanish where p_label is close to 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


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
            raise InputError("floor in [0, 1)", floor, field="floor")
        self.floor = floor

    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Return -log p_label, shape (N,), in nats."""
        cost = -target.log_confidences(x).gather(1, label[:, None])[:, 0]
        return cost.clamp_max(-math.log(self.floor)) if self.floor > 0 else cost

    def confidence(self, cost: Tensor) -> Tensor:
        """Return exp(-cost)."""
        return torch.exp(-cost)
