"""Acts on the candidates between update and evaluation: PROCESS of Algorithm 1 [F15]."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import RowState


class Projection(ABC):
    """Acts on the candidates of the active rows after the update, before they are evaluated."""

    def bind(self, problem: Problem) -> None:
        """See that the projection can work on the problem's candidates, before anything is asked.

        Raises:
            InputError: If it cannot.
            MIError: If a package is missing.
        """

    @abstractmethod
    def __call__(self, z: Tensor, state: RowState) -> Tensor:
        """Return the projected candidates, same shape; ``z`` may be changed in place.

        Args:
            z: Candidates, shape (R, *candidate_shape).
            state: The rows; ``state.iteration`` is the number of the iteration that runs, from 1, and
                ``state.active`` says which rows have not stopped.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what the projection remembers; nothing, unless overridden."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was remembered."""
