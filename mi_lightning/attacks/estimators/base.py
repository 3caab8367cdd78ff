"""Gives the gradient of an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mi_lightning.attacks.problem import Evaluation, Objective
from mi_lightning.attacks.rows import Rows


class GradientEstimator(nn.Module, ABC):
    """Gives the gradient of an objective.

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
    def evaluate(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Evaluation:
        """Evaluate the candidates, ``queries_per_evaluation`` queries per row.

        Args:
            objective: What is minimised.
            z: Candidates, shape (R, *candidate_shape).
            rows: The rows, for their random numbers.
            label: Class of each row, on the device of ``z``, shape (R,).

        Returns:
            Cost and, where it is free, the gradient; all detached.
        """

    @abstractmethod
    def gradient(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Tensor:
        """Return the gradient at the candidates, shape (R, *candidate_shape), when :meth:`evaluate` gave none."""
