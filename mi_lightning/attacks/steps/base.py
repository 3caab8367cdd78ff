"""Proposes the next candidates of all rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Evaluation, RowState


class Step(ABC):
    """Proposes the next candidates of all rows, and evaluates what became of the proposal.

    Between the two the engine puts the candidates back into the space and lets the projections act on them, so what
    is evaluated may differ from what was proposed.

    Attributes:
        needs_gradients: Whether the target has to be differentiable.
        queries_per_evaluation: Queries per row that an evaluation costs.
    """

    needs_gradients: bool
    queries_per_evaluation: int = 1

    @abstractmethod
    def bind(self, problem: Problem, state: RowState) -> None:
        """Begin with new rows, whose initial candidates are not evaluated yet.

        Raises:
            InputError: If the step cannot work on candidates of this kind.
        """

    @abstractmethod
    def propose(self, problem: Problem, state: RowState) -> Tensor:
        """Return the next candidates, shape (R, *candidate_shape). The memory of ``state.z`` may be used for them."""

    def evaluate(self, problem: Problem, z: Tensor, state: RowState) -> Evaluation:
        """Evaluate candidates, ``queries_per_evaluation`` queries per row."""
        return Evaluation(*problem(z, state.label, state.rows), None)

    @abstractmethod
    def queries_per_proposal(self, size: int) -> int:
        """Return the queries per row that a proposal for ``size`` coordinates costs beyond the evaluations."""

    def queries_per_iteration(self, size: int) -> int:
        """Return the queries per row of a proposal for ``size`` coordinates and its evaluation."""
        return self.queries_per_proposal(size) + self.queries_per_evaluation

    def keep(self, index: Tensor) -> None:
        """Go on with the chosen rows (int64); called before ``state.keep``. Nothing, unless overridden."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the step remembers: plain values and tensors. Nothing, unless overridden."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was remembered; :meth:`bind` has been called."""
