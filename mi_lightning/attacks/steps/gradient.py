"""The step of a descent: Algorithm 1 [F15], by whatever gives the gradient and whatever makes a step of it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mi_lightning.attacks.estimators.autograd import Autograd
from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Evaluation, RowState
from mi_lightning.attacks.steps.base import Step
from mi_lightning.errors import InputError

#: Makes an optimizer over the candidates.
OptimizerFactory = Callable[[Iterable[Any]], torch.optim.Optimizer]


class GradientStep(Step):
    """x_i = x_{i-1} - UPDATE(FILTER(gradient of the cost at x_{i-1})).

    Args:
        estimator: Gives the gradient; backpropagation if None.
        gradient_filter: Acts on the gradient before the update.
        optimizer: Update rule, any torch optimizer that acts on each element alone and needs no closure; plain steps
            of length 0.1 if None. Its ``lr`` is lambda and its ``momentum`` is mu of [F15].
    """

    def __init__(
        self,
        estimator: GradientEstimator | None = None,
        gradient_filter: GradientFilter | None = None,
        optimizer: OptimizerFactory | None = None,
    ) -> None:
        """Keep the parts."""
        self.estimator, self.gradient_filter = estimator or Autograd(), gradient_filter
        self.make_optimizer: OptimizerFactory = optimizer or plain_descent
        self.needs_gradients = self.estimator.needs_gradients
        self.queries_per_evaluation = self.estimator.queries_per_evaluation

    def bind(self, problem: Problem, state: RowState) -> None:
        """Make the optimizer over the candidates.

        Raises:
            InputError: If it cannot be made, or needs a closure.
        """
        self.candidate = nn.Parameter(state.z)
        try:
            self.optimizer = self.make_optimizer([self.candidate])
        except (ValueError, TypeError) as error:
            raise InputError("an optimizer that can be made", f"{error}", field="optimizer") from error
        if isinstance(self.optimizer, torch.optim.LBFGS):
            raise InputError("an optimizer that needs no closure", type(self.optimizer).__name__, field="optimizer")
        self.estimator.reset()

    def propose(self, problem: Problem, state: RowState) -> Tensor:
        """Take a step; the gradient that came with the last evaluation is used, else it is asked for."""
        gradient = state.gradient
        if gradient is None:
            gradient = self.estimator.gradient(problem, state.z, state)
        candidate = self.candidate
        candidate.data = state.z
        candidate.grad = gradient if self.gradient_filter is None else self.gradient_filter(gradient)
        self.optimizer.step()
        return candidate.data

    def evaluate(self, problem: Problem, z: Tensor, state: RowState) -> Evaluation:
        """Evaluate candidates as the estimator does: where it is free, the gradient comes along."""
        return self.estimator.evaluate(problem, z, state)

    def queries_per_proposal(self, size: int) -> int:
        """Return the queries per row of a gradient that did not come with the evaluation."""
        return self.estimator.queries_per_gradient(size)

    def keep(self, index: Tensor) -> None:
        """Keep the optimizer's memory of the rows that go on."""
        old = self.candidate.data
        for memory in self.optimizer.state.values():
            for name, value in memory.items():
                if isinstance(value, Tensor) and value.shape == old.shape:
                    memory[name] = value[index]
        self.candidate.data, self.candidate.grad = old[index], None

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's memory and the estimator's."""
        return {"optimizer": self.optimizer.state_dict()["state"], "estimator": self.estimator.run_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with these memories."""
        settings = self.optimizer.state_dict()["param_groups"]
        memory = copy.deepcopy(state["optimizer"])  # an optimizer would write into what was saved
        self.optimizer.load_state_dict({"state": memory, "param_groups": settings})
        self.estimator.load_run_state(state["estimator"])


def plain_descent(parameters: Iterable[Any]) -> torch.optim.Optimizer:
    """Return plain gradient descent with steps of lambda = 0.1 [F15]."""
    return torch.optim.SGD(parameters, lr=0.1)
