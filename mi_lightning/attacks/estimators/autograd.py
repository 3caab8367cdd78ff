"""The exact gradient by backpropagation: white box."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Evaluation, RowState


class Autograd(GradientEstimator):
    """The exact gradient by backpropagation: white box."""

    needs_gradients = True

    def evaluate(self, problem: Problem, z: Tensor, state: RowState) -> Evaluation:
        """Return the cost and its gradient from one forward and one backward pass."""
        return differentiate(problem, z.detach().requires_grad_(), state)

    def gradient(self, problem: Problem, z: Tensor, state: RowState) -> Tensor:
        """Return the gradient, shape (R, *candidate_shape)."""
        return gradient_at(problem, z.detach().requires_grad_(), state)


class ChangedAutograd(GradientEstimator):
    """Base of the estimators that differentiate at changed candidates, and evaluate the candidates as they are.

    The cost that is reported, and by which the best iterate is chosen, is that of the candidate itself.

    Args:
        samples: Gradients in the mean, each one forward and one backward pass, at least 1.
    """

    needs_gradients = True
    samples: int

    def queries_per_gradient(self, size: int) -> int:
        """Return one query for each sample."""
        return self.samples

    @torch.no_grad()
    def evaluate(self, problem: Problem, z: Tensor, state: RowState) -> Evaluation:
        """Evaluate the candidates as they are; the gradient is asked for elsewhere."""
        return Evaluation(*problem(z.detach(), state.label, state.rows), None)


def differentiate(problem: Problem, leaf: Tensor, state: RowState, at: Tensor | None = None) -> Evaluation:
    """Return cost and gradient with respect to a leaf, all detached.

    Args:
        problem: What is minimised.
        leaf: What to differentiate by, shape (R, *candidate_shape), requires a gradient.
        state: The rows.
        at: Candidates that were made of the leaf, differentiably; the leaf itself if None.
    """
    with torch.enable_grad():
        total, identity_loss = problem(leaf if at is None else at, state.label, state.rows)
        # rows are independent, so the gradient of the sum is the gradient of each
        (gradient,) = torch.autograd.grad(total.sum(), leaf)
    return Evaluation(total.detach(), identity_loss.detach(), gradient)


def gradient_at(problem: Problem, leaf: Tensor, state: RowState, at: Tensor | None = None) -> Tensor:
    """Return the gradient alone; arguments as :func:`differentiate`."""
    gradient = differentiate(problem, leaf, state, at).gradient
    if gradient is None:  # pragma: no cover - it always gives one
        raise RuntimeError("autograd gave no gradient")
    return gradient
