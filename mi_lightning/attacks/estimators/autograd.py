"""The exact gradient by backpropagation: white box."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.problem import Evaluation, Objective
from mi_lightning.attacks.rows import Rows


class Autograd(GradientEstimator):
    """The exact gradient by backpropagation: white box."""

    needs_gradients = True

    def evaluate(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Evaluation:
        """Return the cost and its gradient from one forward and one backward pass."""
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            cost, bare = objective(leaf, label)
            # rows are independent, so the gradient of the sum is the gradient of each
            (gradient,) = torch.autograd.grad(cost.sum(), leaf)
        return Evaluation(cost.detach(), bare.detach(), gradient)

    def gradient(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Tensor:
        """Return the gradient, shape (R, *candidate_shape)."""
        gradient = self.evaluate(objective, z, rows, label).gradient
        if gradient is None:  # pragma: no cover - evaluate always gives one
            raise RuntimeError("autograd gave no gradient")
        return gradient
