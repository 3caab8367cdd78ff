"""Covariance matrix adaptation, for small latent spaces."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.attacks.estimators.queries import Querying, queries_only
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import RowState
from mi_lightning.attacks.steps.base import Step
from mi_lightning.errors import InputError, MIError

_LARGEST = 2000  # the covariance of 2000 coordinates takes 32 MB a row, and its eigenvectors seconds


class CMAESStep(Querying, Step):
    """Covariance matrix adaptation evolution strategy, by the package ``cma``; for small latent spaces, by queries.

    Each row keeps a normal distribution; an iteration asks for a population, and mean, width and covariance move
    towards its better part. What is proposed is the new mean. Source: Hansen, Ostermeier, *Completely Derandomized
    Self-Adaptation in Evolution Strategies*, Evolutionary Computation 2001. The priors count in the cost of each point.
    What a constraint or a projection does to the candidate is done to the mean.

    Needs ``pip install mi-lightning[blackbox]``.

    Args:
        sigma: Width of the first distribution, in every coordinate, above 0: about a third of the distance at which
            the solution is expected.
        population: Points of an iteration; 4 + 3 log D if None, the strategy's own choice.
        repeats: Times that an iterate is asked for when it is evaluated; its cost is the mean.
        max_batch: Inputs in one call of the target; chosen by the size of an input and the free memory if None.

    Raises:
        InputError: If an argument is out of range; when the attack runs, also if a candidate has over 2000 numbers.
        MIError: If the package is missing.
    """

    needs_gradients = False

    def __init__(
        self, *, sigma: float = 0.5, population: int | None = None, repeats: int = 1, max_batch: int | None = None
    ) -> None:
        """Check the arguments."""
        super().__init__(repeats=repeats, max_batch=max_batch)
        if sigma <= 0:
            raise InputError("sigma > 0", sigma, field="sigma")
        if population is not None and population < 4:
            raise InputError("population >= 4", population, field="population")
        self.sigma, self.population = sigma, population
        self._strategies: dict[int, Any] = {}
        # what made each strategy what it is: its first mean, the generator's state then, and what it was told
        self._told: dict[int, dict[str, Any]] = {}

    def queries_per_proposal(self, size: int) -> int:
        """Return the size of the population."""
        return self.population or 4 + int(3 * np.log(size))

    def bind(self, problem: Problem, state: RowState) -> None:
        """Forget the distributions of earlier rows.

        Raises:
            InputError: If candidates are too large.
            MIError: If the package is missing.
        """
        _package()
        size = state.z.shape[1:].numel()
        if size > _LARGEST:
            raise InputError(f"a space of at most {_LARGEST} coordinates for CMAESStep", size, field="space")
        self._strategies.clear()
        self._told.clear()

    def propose(self, problem: Problem, state: RowState) -> Tensor:
        """Ask for a population of each row; return the new means, shape (R, *candidate_shape)."""
        z, rows = state.z, state.rows
        means, bounds = z.flatten(1).cpu().double().numpy(), problem.bounds
        if bounds is not None:
            means = means.clip(*bounds)  # an initial candidate may lie outside
        strategies = [
            self._strategy(key, mean, generator, bounds)
            for key, mean, generator in zip(rows.keys, means, rows.generators, strict=True)
        ]
        asked = [strategy.ask() for strategy in strategies]
        points = torch.from_numpy(np.asarray(asked)).to(z)
        if bounds is not None:
            points.clamp_(*bounds)  # the strategy keeps within them, up to rounding
        cost = torch.empty(points.shape[:2])
        with queries_only(z):
            questions = self.questions(problem, z, state)
            for where, parts in questions.blocks(points.shape[1], 1):
                for part in parts:
                    some = points[where, part].contiguous()
                    penalty = problem.penalty(some.view(-1, *z.shape[1:])).view(some.shape[:-1])
                    cost[where, part] = (questions.cost(some, where) + penalty).cpu()
        for key, strategy, solutions, costs in zip(rows.keys, strategies, asked, cost.tolist(), strict=True):
            if not any(map(math.isnan, costs)):  # no answer: the row ends here
                strategy.tell(solutions, costs)
                self._told[key]["costs"].append(costs)
        moved = torch.from_numpy(np.asarray([strategy.result.xfavorite for strategy in strategies]))
        return moved.to(z).view_as(z)

    def state_dict(self) -> dict[str, Any]:
        """Return what each row's strategy was told: with its generator's state it becomes the same again."""
        return {"told": copy.deepcopy(self._told)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Tell new strategies what the old ones were told."""
        for key, told in state["told"].items():
            generator = torch.Generator()
            generator.set_state(told["generator"])
            self._strategies[key] = strategy = self._new(np.asarray(told["mean"]), generator, told["bounds"])
            self._told[key] = copy.deepcopy(told)
            for iteration, costs in enumerate(told["costs"]):
                if iteration in told["moved"]:
                    _move(strategy, np.asarray(told["moved"][iteration]))
                strategy.tell(strategy.ask(), costs)

    def _strategy(
        self, key: int, mean: NDArray[np.float64], generator: torch.Generator, bounds: tuple[float, float] | None
    ) -> Any:
        """The strategy of a row, at the row's candidate."""
        if key not in self._strategies:
            self._told[key] = {
                "mean": mean.tolist(), "generator": generator.get_state(), "bounds": bounds, "costs": [], "moved": {}
            }  # fmt: skip
            self._strategies[key] = self._new(mean, generator, bounds)
        strategy = self._strategies[key]
        if not np.allclose(strategy.result.xfavorite, mean, rtol=0, atol=1e-6):  # something else moved the candidate
            self._told[key]["moved"][len(self._told[key]["costs"])] = mean.tolist()
            _move(strategy, mean)
        return strategy

    def _new(self, mean: NDArray[np.float64], generator: torch.Generator, bounds: tuple[float, float] | None) -> Any:
        """Begin a strategy."""
        options = {
            "bounds": None if bounds is None else list(bounds),
            "popsize": self.queries_per_proposal(len(mean)),
            # the row's own numbers; `seed` would seed numpy's global generator, which belongs to nobody
            "seed": np.nan,
            "randn": lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64).numpy(),
            "verbose": -9,
            "verb_log": 0,
        }
        return _package().CMAEvolutionStrategy(mean, self.sigma, options)


def _move(strategy: Any, mean: NDArray[np.float64]) -> None:
    """Put a strategy where its candidate is."""
    strategy.mean = strategy.gp.geno(mean, from_bounds=strategy.boundary_handler.inverse)


def _package() -> Any:
    """Import the package.

    Raises:
        MIError: If it is missing.
    """
    try:
        import cma
    except ImportError as error:
        raise MIError("CMAESStep needs the package cma: pip install mi-lightning[blackbox]") from error
    return cma
