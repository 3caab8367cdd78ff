"""Gives the gradient of a problem's cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Evaluation, RowState


class GradientEstimator(nn.Module, ABC):
    """Gives the gradient of a problem's cost with respect to the candidates.

    Attributes:
        needs_gradients: Whether the target has to be differentiable.
        queries_per_evaluation: Queries per row that an evaluation costs.
    """

    needs_gradients: bool
    queries_per_evaluation: int = 1

    def queries_per_gradient(self, size: int) -> int:
        """Return the queries per row that a gradient of ``size`` coordinates costs beyond those of the evaluation."""
        return 0

    def reset(self) -> None:
        """Begin with a new batch of rows: forget whatever is kept of earlier ones. Nothing, unless overridden."""

    @abstractmethod
    def evaluate(self, problem: Problem, z: Tensor, state: RowState) -> Evaluation:
        """Evaluate the candidates, ``queries_per_evaluation`` queries per row.

        Args:
            problem: What is minimised.
            z: Candidates, shape (R, *candidate_shape).
            state: The rows that they belong to: their labels, and their random numbers.

        Returns:
            Cost and, where it is free, the gradient; all detached.
        """

    @abstractmethod
    def gradient(self, problem: Problem, z: Tensor, state: RowState) -> Tensor:
        """Return the gradient at the candidates, shape (R, *candidate_shape), when :meth:`evaluate` gave none."""

    def run_state(self) -> dict[str, Any]:
        """Return what is kept from one iteration to the next: plain values and tensors. Nothing, unless overridden."""
        return {}

    def load_run_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what was kept."""
