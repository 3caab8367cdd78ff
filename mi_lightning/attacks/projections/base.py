"""Acts on candidates between update and evaluation: PROCESS of Algorithm 1 [F15]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import RowState
from mi_lightning.errors import InputError


class Projection(ABC):
    """Acts on the candidates of the active rows every few iterations: PROCESS of Algorithm 1 [F15].

    The optimizer's momentum stays as it is. Costs usually rise at a projection, so the best iterate of a row may be one
    that the descent has moved away from what was projected; with ``every=1`` there are no such iterates.

    Args:
        every: Iterations between two projections, at least 1; it takes no part in the attack if None.

    Raises:
        InputError: If ``every`` is below 1.
    """

    def __init__(self, every: int | None = 1) -> None:
        """Check the argument."""
        if every is not None and every < 1:
            raise InputError("every >= 1", every, field="every")
        self.every = every

    def bind(self, problem: Problem) -> None:  # any problem will do, unless overridden
        """Fit the projection to a problem, before anything else is called.

        Raises:
            InputError: If it does not fit.
        """

    @abstractmethod
    def apply(self, z: Tensor) -> Tensor:
        """Project candidates, shape (R, *candidate_shape); same shape, ``z`` is left as it is."""

    @torch.no_grad()
    def __call__(self, z: Tensor, state: RowState) -> Tensor:
        """Project the active rows when it is time.

        Args:
            z: Candidates of all rows in the batch, shape (R, *candidate_shape).
            state: Says which iteration is running, from 1, and which rows are active.

        Returns:
            The candidates; ``z`` itself where nothing was done.
        """
        if self.every is None or state.iteration % self.every:
            return z
        active = state.active.nonzero()[:, 0]
        return z.index_copy(0, active, self.apply(z[active]).to(z)) if len(active) else z

    def state_dict(self) -> dict[str, Any]:
        """Return what the projection remembers: plain values and tensors. Nothing, unless overridden."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # nothing to do is a good answer
        """Go on from what was remembered."""
