"""Stop rules of Algorithm 1 [F15], each for all rows at once: tensors in, a mask out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from mi_lightning.errors import InputError


class StopRule(ABC):
    """Says after each iteration which rows have to stop.

    Attributes:
        reason: What such a row is said to have stopped for, one of
            :data:`~mi_lightning.attacks.result.STOP_REASONS`.
    """

    reason: str

    def start(self, cost: Tensor) -> None:
        """Begin with the cost of the initial candidates, c(x_0), shape (R,). Nothing, unless overridden."""

    @abstractmethod
    def __call__(self, cost: Tensor) -> Tensor:
        """Return the rows to stop, shape (R,), bool, on the device of the cost; never waits for the device.

        Args:
            cost: c(x_i) of the iteration that has just run, shape (R,), stopped rows included.
        """

    def keep(self, index: Tensor) -> None:
        """Go on with the chosen rows (int64); nothing, unless the rule has one place a row."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the rule remembers: plain values and tensors. Nothing, unless overridden."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was remembered."""


class Stagnation(StopRule):
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

    reason = "stagnation"

    def __init__(self, beta: int = 100, rule: Literal["algorithm", "patience"] = "algorithm") -> None:
        """Check the arguments."""
        if beta < 1:
            raise InputError("beta >= 1", beta, field="beta")
        if rule not in ("algorithm", "patience"):
            raise InputError("rule algorithm or patience", rule, field="rule")
        self.beta, self.rule = beta, rule
        self._state: dict[str, Any] = {}
        self._moved = False

    def start(self, cost: Tensor) -> None:
        """Open the window with the cost of the initial candidates."""
        self._moved = False
        if self.rule == "patience":
            self._state = {"best": cost.clone(), "since": torch.zeros_like(cost, dtype=torch.int64)}
        else:
            # a ring, one line per iteration; -inf where the window is not filled yet never is the maximum
            window = cost.new_full((self.beta, len(cost)), -torch.inf)
            window[0] = cost
            self._state = {"window": window, "next": 1 % self.beta}

    def __call__(self, cost: Tensor) -> Tensor:
        """Return the rows that fulfil the rule at this iteration, shape (R,), bool."""
        state = self._state
        if self._moved:  # what was saved may lie elsewhere
            state |= {name: value.to(cost.device) for name, value in state.items() if isinstance(value, Tensor)}
            self._moved = False
        if self.rule == "patience":
            state["since"] = torch.where(cost < state["best"], 0, state["since"] + 1)
            state["best"] = torch.minimum(cost, state["best"])
            waited: Tensor = state["since"] >= self.beta
            return waited
        window: Tensor = state["window"]
        stop = cost >= window.amax(0)
        window[state["next"]] = cost
        state["next"] = (state["next"] + 1) % self.beta
        return stop

    def keep(self, index: Tensor) -> None:
        """Keep the windows of the rows that go on."""
        for name, value in self._state.items():
            if isinstance(value, Tensor):
                self._state[name] = value[..., index]

    def state_dict(self) -> dict[str, Any]:
        """Return the window, or the best cost and how long ago it was reached."""
        return dict(self._state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with a window, on whatever device the costs will lie."""
        self._moved = True
        self._state = {name: value.clone() if isinstance(value, Tensor) else value for name, value in state.items()}


class TargetCost(StopRule):
    """Stop rows whose cost has reached the target cost: c(x_i) <= gamma [F15, Algorithm 1].

    Args:
        gamma: Target cost, in [0, 1). Algorithm 1's text calls it a confidence threshold and prints 0.99, with which
            it would stop at once; 0.01 is what is meant.

    Raises:
        InputError: If gamma is outside [0, 1).
    """

    reason = "target_cost"

    def __init__(self, gamma: float = 0.01) -> None:
        """Check the argument."""
        if not 0 <= gamma < 1:
            raise InputError("gamma in [0, 1)", gamma, field="gamma")
        self.gamma = gamma

    def __call__(self, cost: Tensor) -> Tensor:
        """Return the rows that have reached the target cost at this iteration, shape (R,), bool."""
        return cost <= self.gamma
