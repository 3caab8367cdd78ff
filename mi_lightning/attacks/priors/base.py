"""What is likely before any query: AUXTERM of Algorithm 1 [F15]."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor, nn

from mi_lightning.data.axes import check_axes
from mi_lightning.data.base import Kind
from mi_lightning.errors import InputError


class Prior(nn.Module, ABC):
    """What is likely before any query: AUXTERM of Algorithm 1 [F15]. Never sees the target.

    Args:
        weight: Factor of the prior in the cost, at least 0.

    Attributes:
        axes: Kind of inputs on whose axes it works, ``"picture"`` or ``"sound"``; any if None.
        sees: What it is shown: the ``"input"`` that a candidate decodes to, or the ``"candidate"`` itself.

    Raises:
        InputError: If the weight is negative or not finite.
    """

    sees: Literal["candidate", "input"] = "input"
    axes: Kind | None = None

    def __init__(self, *, weight: float) -> None:
        """Check the weight."""
        super().__init__()
        if not 0 <= weight < math.inf:
            raise InputError("a finite weight >= 0", weight, field="weight")
        self.weight = weight

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse what it sees, of a shape without the batch, where it makes no sense; before anything is asked.

        Raises:
            InputError: If it makes none.
        """
        check_axes(shape, self.axes, self, "priors")

    @abstractmethod
    def penalty(self, x: Tensor) -> Tensor:
        """Return the penalty of each of what the prior sees, shape (N,), without the weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the weighted penalty of each, shape (N,)."""
        return self.weight * self.penalty(x)
