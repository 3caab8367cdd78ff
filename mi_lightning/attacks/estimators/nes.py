"""Natural evolution strategies: differences along Gaussian directions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.queries import QueryEstimator, Questions
from mi_lightning.errors import InputError


class NES(QueryEstimator):
    """Gradient of the cost smoothed by a Gaussian, by antithetic pairs of queries.

    g = mean over pairs of (c(x + sigma u) - c(x - sigma u)) / (2 sigma) * u, u ~ N(0, I). Source: Wierstra et al.,
    *Natural evolution strategies*, JMLR 2014, with the antithetic pairs of Salimans et al., arXiv 1703.03864.

    Queries are clamped to the bounds of the space. The directions of the estimate are the steps that were really
    taken, divided by their mean square, which is known: the scale stays right near a bound.

    Drawing the normal numbers takes most of the time where the classifier is small; SPSA's signs cost next to nothing.

    Args:
        pairs: Directions in a gradient, each of which costs two queries.
        sigma: Standard deviation of a step in each coordinate, above 0.
        **asking: The arguments of `QueryEstimator`.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(self, *, pairs: int = 128, sigma: float = 0.01, **asking: Any) -> None:
        """Check the arguments."""
        super().__init__(**asking)
        if pairs < 1:
            raise InputError("pairs >= 1", pairs, field="pairs")
        if sigma <= 0:
            raise InputError("sigma > 0", sigma, field="sigma")
        self.pairs, self.sigma = pairs, sigma

    def queries_per_gradient(self, size: int) -> int:
        """Return two queries for each pair."""
        return 2 * self.pairs

    def estimate(self, questions: Questions, z: Tensor) -> Tensor:
        """Estimate the gradient at candidates of shape (R, D)."""
        size = z.shape[1]
        z = z.float()
        total = torch.zeros_like(z)
        drawn = queries = z.new_empty(0)
        for where, parts in questions.blocks(self.pairs, 2):
            count = where.stop - where.start
            for part in parts:
                pairs = part.stop - part.start
                if drawn.shape[:2] != (count, pairs):  # fresh memory is dear: the same serves all batches of one size
                    drawn = torch.empty(count, pairs, size)
                    queries = z.new_empty(count, pairs, 2, size)
                for lines, generator in zip(drawn, questions.rows.generators[where], strict=True):
                    for line in lines:  # one direction a call: what is drawn does not depend on the batches
                        line.normal_(generator=generator)
                step = drawn.mul_(self.sigma).to(z.device)
                torch.add(z[where, None], step, out=queries[:, :, 0])
                torch.sub(z[where, None], step, out=queries[:, :, 1])
                if questions.bounds is not None:
                    queries.clamp_(*questions.bounds)
                cost = questions.cost(queries, where)
                if questions.bounds is not None:
                    torch.sub(queries[:, :, 0], queries[:, :, 1], out=step).div_(2)
                total[where] += torch.bmm((cost[..., 0] - cost[..., 1])[:, None].to(step), step)[:, 0]
        square = self._mean_square(z, questions.bounds)
        return (total / (2 * self.pairs * square)).masked_fill_(square == 0, 0.0)

    def _mean_square(self, z: Tensor, bounds: tuple[float, float] | None) -> Tensor:
        """Mean square of half the distance of the two clamped queries of a pair, like ``z``.

        With a <= b the distances to the bounds and s = sigma |u|, the half distance is (min(s, a) + min(s, b)) / 2.
        """
        if bounds is None:
            return torch.full_like(z, self.sigma**2)
        # a candidate outside the bounds by more than any step does not move at all; min(s, a) with a < 0 is clamped a
        down, up = z - bounds[0], bounds[1] - z
        a, b = torch.minimum(down, up).div_(self.sigma), torch.maximum(down, up).div_(self.sigma)
        inside = _second_moment(a) + _second_moment(b) + 2 * _product(a, b)
        # outside: one query stays at the bound, the other moves by s - |a| once s exceeds it
        gap = -a
        outside = 2 * (_tail(gap) * (1 + gap.square()) - gap * _density(gap))
        return torch.where(a >= 0, inside, outside) * (self.sigma**2 / 4)


def _density(x: Tensor) -> Tensor:
    """Density of N(0, 1)."""
    return torch.exp(-0.5 * x.square()) / math.sqrt(2 * math.pi)


def _tail(x: Tensor) -> Tensor:
    """Probability that N(0, 1) exceeds x."""
    tail: Tensor = torch.special.erfc(x / math.sqrt(2)) / 2
    return tail


def _below(x: Tensor) -> Tensor:
    """E[s^2; s < x], s = |u|, u ~ N(0, 1), x >= 0."""
    return 1 - 2 * _tail(x) - 2 * x * _density(x)


def _second_moment(x: Tensor) -> Tensor:
    """E[min(s, x)^2]."""
    return _below(x) + 2 * x.square() * _tail(x)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """E[min(s, a) min(s, b)] for a <= b: s^2 below a, a s between, a b above."""
    between = 2 * a * (_density(a) - _density(b))
    return _below(a) + between + 2 * a * b * _tail(b)
