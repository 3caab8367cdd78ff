"""Minus the logit of the label: the identity loss that leaves the other labels alone."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


class NegativeLogit(Cost):
    """-(logit of the label): raise what the target says of this person, whatever it says of the others.

    -log p_label falls, too, when the logits of the others fall, and its gradient is spent on pushing these down once
    the label leads. Source: Nguyen et al., *Re-thinking Model Inversion Attacks Against Deep Neural Networks*, CVPR
    2023, equation 3, without its term on the features.

    A logit alone does not tell how sure the target is: that is asked at last. It has no lower bound, so a target cost
    (gamma) means nothing.
    """

    tells_confidence = False

    def bind(self, target: Target) -> None:
        """See that the target has logits.

        Raises:
            InputError: If it releases confidences only.
        """
        if not target.has_logits:
            raise InputError("a target that gives logits, for NegativeLogit", type(target).__name__)

    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Return minus the logit of the label, shape (N,)."""
        return -target.logits(x).gather(1, label[:, None])[:, 0]

    def confidence(self, cost: Tensor) -> Tensor:
        """Return NaN: a logit alone does not say how sure the target is."""
        return torch.full_like(cost, torch.nan)
