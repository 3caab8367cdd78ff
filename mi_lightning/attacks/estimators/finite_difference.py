"""Numeric gradient, coordinate by coordinate."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.queries import QueryEstimator, Questions
from mi_lightning.errors import InputError


class FiniteDifference(QueryEstimator):
    """Central differences along the coordinates: the numeric gradient of [F15], section 5.

    g_i = (c(x + delta e_i) - c(x - delta e_i)) / (2 delta): 2 D queries a gradient. Along a random subset of n
    coordinates, fresh in each iteration, the derivatives are multiplied by D / n, so that their mean is the gradient;
    the other coordinates get 0.

    Queries are clamped to the bounds of the space, and a difference is divided by the distance that the coordinate
    really moved. With float32 answers a difference carries an error of some 1e-7 / delta: a delta of 1e-4 is near the
    least that works.

    Args:
        delta: Length of a step, above 0.
        coordinates: Size of the random subset, at most D; all coordinates if None.
        **asking: The arguments of `QueryEstimator`.

    Raises:
        InputError: If an argument is out of range; that there are so many coordinates is checked when the attack runs.
    """

    def __init__(self, *, delta: float = 1e-4, coordinates: int | None = None, **asking: Any) -> None:
        """Check the arguments."""
        super().__init__(**asking)
        if delta <= 0:
            raise InputError("delta > 0", delta, field="delta")
        if coordinates is not None and coordinates < 1:
            raise InputError("coordinates >= 1", coordinates, field="coordinates")
        self.delta, self.coordinates = delta, coordinates

    def queries_per_gradient(self, size: int) -> int:
        """Return two queries for each coordinate that is looked at."""
        if self.coordinates is not None and self.coordinates > size:
            raise InputError(f"at most {size} coordinates", self.coordinates, field="coordinates")
        return 2 * (self.coordinates or size)

    def estimate(self, questions: Questions, z: Tensor) -> Tensor:
        """Estimate the gradient at candidates of shape (R, D)."""
        z = z.float()
        rows, size = z.shape
        count = self.queries_per_gradient(size) // 2
        if self.coordinates is None:
            index = torch.arange(size).expand(rows, size)
        else:
            index = questions.rows.draw(lambda generator: torch.randperm(size, generator=generator)[:count])
        index = index.to(z.device)
        here = z.gather(1, index)
        ends = torch.stack((here + self.delta, here - self.delta), 2)
        if questions.bounds is not None:
            ends.clamp_(*questions.bounds)
        slope = torch.zeros_like(here)
        queries = z.new_empty(0)
        for where, parts in questions.blocks(count, 2):
            for part in parts:
                shape = (where.stop - where.start, part.stop - part.start, 2, size)
                if queries.shape != shape or part.start == 0:
                    queries = z[where, None, None].expand(shape).contiguous()
                moved = index[where, part, None, None].expand(*shape[:3], 1)
                queries.scatter_(3, moved, ends[where, part, :, None])
                cost = questions.cost(queries, where)
                slope[where, part] = (cost[..., 0] - cost[..., 1]).to(slope)
                # only what was moved is put back: the batch is not written anew for the next coordinates
                queries.scatter_(3, moved, here[where, part, None, None].expand(*shape[:3], 1))
        distance = ends[..., 0] - ends[..., 1]
        slope = (slope / distance).masked_fill_(distance == 0, 0.0) * (size / count)
        return torch.zeros_like(z).scatter_(1, index, slope)
