"""Stop rules of Algorithm 1 [F15], each for all rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.lightning.callbacks.base import InversionCallback

if TYPE_CHECKING:
    from mi_lightning.lightning.module import Inversion


class StagnationStop(InversionCallback):
    """Stop rows whose cost no longer falls.

    Args:
        beta: Length of the window, in iterations, at least 1.
        rule: ``"algorithm"`` is Algorithm 1 to the letter: stop at the first i with
            c(x_i) >= max(c(x_{i-1}), ..., c(x_{i-beta})), where the window is shorter while i < beta.
            ``"patience"`` is the looser reading of later reproductions: stop when the best cost has not improved for
            ``beta`` iterations.

    Raises:
        InputError: If beta is below 1.
    """

    def __init__(self, beta: int = 100, rule: Literal["algorithm", "patience"] = "algorithm") -> None:
        """Check the arguments."""
        if beta < 1:
            raise InputError("beta >= 1", beta, "--model.beta")
        if rule not in ("algorithm", "patience"):
            raise InputError("rule algorithm or patience", rule, "--model.stagnation_rule")
        self.beta, self.rule = beta, rule

    def on_chunk_start(self, trainer: Trainer, inversion: Inversion) -> None:
        """Open the window with the cost of the initial candidates."""
        cost = inversion.cost_now
        if self.rule == "patience":
            self._best, self._since = cost.clone(), torch.zeros_like(cost, dtype=torch.int64)
        else:
            # a ring, one line per iteration; -inf where the window is not filled yet never is the maximum
            self._window = cost.new_full((self.beta, len(cost)), -torch.inf)
            self._window[0] = cost

    def on_iteration_end(self, trainer: Trainer, inversion: Inversion, iteration: int, cost: Tensor) -> None:
        """Stop the rows that fulfil the rule at this iteration."""
        if self.rule == "patience":
            self._since = torch.where(cost < self._best, 0, self._since + 1)
            self._best = torch.minimum(cost, self._best)
            stop = self._since >= self.beta
        else:
            stop = cost >= self._window.amax(0)
            self._window[iteration % self.beta] = cost
        inversion.deactivate(stop, "stagnation")

    def on_rows_kept(self, trainer: Trainer, inversion: Inversion, keep: Tensor) -> None:
        """Keep the windows of the rows that go on."""
        if self.rule == "patience":
            self._best, self._since = self._best[keep], self._since[keep]
        else:
            self._window = self._window[:, keep]


class TargetCostStop(InversionCallback):
    """Stop rows whose cost has reached the target cost: c(x_i) <= gamma [F15, Algorithm 1].

    Args:
        gamma: Target cost, in [0, 1). Algorithm 1's text calls it a confidence threshold and prints 0.99, with which
            it would stop at once; 0.01 is what is meant.

    Raises:
        InputError: If gamma is outside [0, 1).
    """

    def __init__(self, gamma: float = 0.01) -> None:
        """Check the argument."""
        if not 0 <= gamma < 1:
            raise InputError("gamma in [0, 1)", gamma, "--model.gamma")
        self.gamma = gamma

    def on_iteration_end(self, trainer: Trainer, inversion: Inversion, iteration: int, cost: Tensor) -> None:
        """Stop the rows that have reached the target cost at this iteration."""
        inversion.deactivate(cost <= self.gamma, "target_cost")
