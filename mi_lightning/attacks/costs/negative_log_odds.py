"""-log(p_label / (1 - p_label)), in nats: how much surer the target is of all the other labels than of this one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.targets.base import Target


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
