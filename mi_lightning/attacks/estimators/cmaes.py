"""Covariance matrix adaptation, for small latent spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.attacks.estimators.queries import QueryEstimator, Questions
from mi_lightning.errors import InputError, MIError

_LARGEST = 2000  # the covariance of 2000 coordinates takes 32 MB a row, and its eigenvectors seconds


class CMAES(QueryEstimator):
    """Covariance matrix adaptation evolution strategy, by the package ``cma``; for small latent spaces.

    Each row keeps a normal distribution; an iteration asks for a population, and mean, width and covariance move
    towards its better part. That move of the mean is a step along the natural gradient of the expected cost (Akimoto
    et al., *Bidirectional relation between CMA evolution strategies and natural evolution strategies*, PPSN 2010), so
    it serves here as what an estimator returns: candidate - new mean. **Use it with plain SGD at lr 1**, which puts
    the candidate, and with it the mean, where the strategy wants it; a smaller rate moves the mean by that share.
    What a constraint or a callback does to the candidate is done to the mean.

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

    def __init__(
        self,
        *,
        sigma: float = 0.5,
        population: int | None = None,
        repeats: int = 1,
        max_batch: int | None = None,
    ) -> None:
        """Check the arguments."""
        super().__init__(repeats=repeats, max_batch=max_batch)
        if sigma <= 0:
            raise InputError("sigma > 0", sigma, field="sigma")
        if population is not None and population < 4:
            raise InputError("population >= 4", population, field="population")
        self.sigma, self.population = sigma, population
        self._strategies: dict[int, Any] = {}

    def queries_per_gradient(self, size: int) -> int:
        """Return the size of the population."""
        return self.population or 4 + int(3 * np.log(size))

    def reset(self) -> None:
        """Forget the distributions of earlier rows."""
        self._strategies.clear()

    def estimate(self, questions: Questions, z: Tensor) -> Tensor:
        """Return candidates - new means, shape (R, D)."""
        means = z.cpu().double().numpy()
        strategies = [
            self._strategy(key, mean, generator, questions.bounds)
            for key, mean, generator in zip(questions.rows.keys, means, questions.rows.generators, strict=True)
        ]
        asked = [strategy.ask() for strategy in strategies]
        points = torch.from_numpy(np.asarray(asked)).to(z)
        if questions.bounds is not None:
            points.clamp_(*questions.bounds)  # the strategy keeps within them, up to rounding
        cost = torch.empty(points.shape[:2])
        for where, parts in questions.blocks(points.shape[1], 1):
            for part in parts:
                cost[where, part] = questions.cost(points[where, part].contiguous(), where).cpu()
        for strategy, solutions, costs in zip(strategies, asked, cost.tolist(), strict=True):
            strategy.tell(solutions, costs)
        moved = torch.from_numpy(np.asarray([strategy.result.xfavorite for strategy in strategies]))
        return z - moved.to(z)

    def _strategy(
        self, key: int, mean: NDArray[np.float64], generator: torch.Generator, bounds: tuple[float, float] | None
    ) -> Any:
        """The strategy of a row, at the row's candidate."""
        if key not in self._strategies:
            self._strategies[key] = self._new(mean, generator, bounds)
        strategy = self._strategies[key]
        if not np.allclose(strategy.result.xfavorite, mean, rtol=0, atol=1e-6):  # something else moved the candidate
            strategy.mean = strategy.gp.geno(mean, from_bounds=strategy.boundary_handler.inverse)
        return strategy

    def _new(self, mean: NDArray[np.float64], generator: torch.Generator, bounds: tuple[float, float] | None) -> Any:
        """Begin a strategy."""
        try:
            import cma
        except ImportError as error:
            raise MIError("CMAES needs the package cma: pip install mi-lightning[blackbox]") from error
        if len(mean) > _LARGEST:
            raise InputError(f"a space of at most {_LARGEST} coordinates for CMAES", len(mean))
        options = {
            "bounds": None if bounds is None else list(bounds),
            "popsize": self.queries_per_gradient(len(mean)),
            # the row's own numbers; `seed` would seed numpy's global generator, which belongs to nobody
            "seed": np.nan,
            "randn": lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64).numpy(),
            "verbose": -9,
            "verb_log": 0,
        }
        return cma.CMAEvolutionStrategy(mean, self.sigma, options)
