"""1 - p_label, in [0, 1] [F15, Algorithm 1]."""

from __future__ import annotations

from torch import Tensor

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.targets.base import Target


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
