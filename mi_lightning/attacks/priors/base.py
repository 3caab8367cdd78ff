"""What is likely before any query: AUXTERM of Algorithm 1 [F15]. Sees the input, never the target."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from torch import Tensor, nn

from mi_lightning.errors import InputError


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
        if not 0 <= weight < math.inf:
            raise InputError("a finite weight >= 0", weight, field="weight")
        self.weight = weight

    @abstractmethod
    def penalty(self, x: Tensor) -> Tensor:
        """Return the penalty of each input, shape (N,), without the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted penalty of each input, shape (N,)."""
        return self.weight * self.penalty(x)
