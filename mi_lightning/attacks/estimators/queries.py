"""Gradients from queries alone."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Evaluation, Rows, RowState
from mi_lightning.errors import InputError

#: Bytes of one batch of queries on a CPU: it is written and read within the last cache, also where that is shared.
_CPU_BYTES = 12 * 2**20


#: Share of the memory that is free for one batch of queries: a classifier's activations take many times as much.
_SHARE = 1 / 16


@dataclass(frozen=True)
class Questions:
    """What an estimator may ask about a batch of rows, in batches of bounded size.

    Attributes:
        problem: What is minimised; its priors are not looked at.
        shape: Shape of one candidate.
        rows: The rows.
        label: Class of each, on the device of the candidates, shape (R,).
        bounds: Lowest and highest value to ask at, or None.
        limit: Inputs in one batch.
        state: The rows in the batch; they hear the answers.
    """

    problem: Problem
    shape: torch.Size
    rows: Rows
    label: Tensor
    bounds: tuple[float, float] | None
    limit: int
    state: RowState

    def cost(self, points: Tensor, where: slice) -> Tensor:
        """Ask for the cost at points of some rows.

        Args:
            points: Shape (r, ..., D), contiguous: the same number of points for each row.
            where: Which r rows.

        Returns:
            Cost of each point, shape (r, ...).
        """
        each = points[0, ..., 0].numel()
        label = self.label[where, None].expand(-1, each).flatten()
        asking = self.rows if where == slice(0, len(self.rows)) else self.rows.part(where)
        answers = self.problem.identity_loss(points.view(-1, *self.shape), label, asking).view(points.shape[:-1])
        self.state.hear(answers, where)
        return answers

    def blocks(self, items: int, queries_per_item: int) -> Iterator[tuple[slice, list[slice]]]:
        """Cut rows x items into batches of at most ``limit`` queries (or one item, if that is more).

        Args:
            items: Items of each row, for example pairs of queries.
            queries_per_item: Queries of an item.

        Yields:
            Some rows, and the parts into which their items are cut, in order.
        """
        capacity = max(1, self.limit // queries_per_item)
        rows = max(1, capacity // items)
        part = -(-items // -(-items // capacity))  # as many batches as it takes, of nearly equal size
        parts = [slice(first, min(first + part, items)) for first in range(0, items, part)]
        for start in range(0, len(self.rows), rows):
            yield slice(start, min(start + rows, len(self.rows))), parts


class Querying:
    """What only queries: candidates are asked for in batches of bounded size.

    Args:
        repeats: Times that an iterate is asked for when it is evaluated; its cost is the mean. More than 1 keeps a
            noisy target from letting a lucky iterate pass for the best. (Against noise in the gradient more
            directions are better than repeated ones.)
        max_batch: Inputs in one call of the target; chosen by the size of an input and the free memory if None.
    """

    def __init__(self, *, repeats: int = 1, max_batch: int | None = None) -> None:
        """Check the arguments."""
        super().__init__()
        if repeats < 1:
            raise InputError("repeats >= 1", repeats, field="repeats")
        if max_batch is not None and max_batch < 1:
            raise InputError("max_batch >= 1", max_batch, field="max_batch")
        self.repeats, self.max_batch = repeats, max_batch
        self.queries_per_evaluation = repeats

    def evaluate(self, problem: Problem, z: Tensor, state: RowState) -> Evaluation:
        """Evaluate the candidates, ``repeats`` queries per row; no gradient comes along."""
        with queries_only(z):
            z = z.detach()
            capacity = max(1, self._limit(problem, z) // self.repeats)
            parts = []
            for start in range(0, len(z), capacity):
                where = slice(start, start + capacity)
                points = z[where] if self.repeats == 1 else z[where].repeat_interleave(self.repeats, 0)
                label = state.label[where].repeat_interleave(self.repeats)
                answers = problem(points, label, state.rows.part(where))
                state.hear(answers[1].view(-1, self.repeats), where)
                parts.append([answer.view(-1, self.repeats).mean(1) for answer in answers])
            total, identity_loss = (torch.cat(part) for part in zip(*parts, strict=True))
        return Evaluation(total, identity_loss, None)

    def questions(self, problem: Problem, z: Tensor, state: RowState) -> Questions:
        """Return what may be asked about candidates of shape (R, *candidate_shape)."""
        return Questions(problem, z.shape[1:], state.rows, state.label, problem.bounds, self._limit(problem, z), state)

    def _limit(self, problem: Problem, z: Tensor) -> int:
        """Inputs in one batch."""
        if self.max_batch is not None:
            return self.max_batch
        # a query, and the input that the candidate decodes to where it is not the input itself
        size = z[0].numel()
        decoded = torch.Size(problem.target.input_shape).numel()
        return automatic_batch(z.device, 4 * (size + (decoded if decoded != size else 0)))


class QueryEstimator(Querying, GradientEstimator):
    """Base of the estimators that only query; they work on any target.

    The gradient of the priors, which needs no query, is exact and is added to the estimate.
    """

    needs_gradients = False

    @abstractmethod
    def estimate(self, questions: Questions, z: Tensor) -> Tensor:
        """Estimate the gradient of the cost without priors at candidates of shape (R, D), same shape."""

    def gradient(self, problem: Problem, z: Tensor, state: RowState) -> Tensor:
        """Estimate the gradient at the candidates, shape (R, *candidate_shape)."""
        z = z.detach()
        with queries_only(z):
            estimate = self.estimate(self.questions(problem, z, state), z.flatten(1)).view_as(z)
        known = problem.prior_gradient(z)
        return estimate if known is None else estimate + known


def automatic_batch(device: torch.device, bytes_per_input: int) -> int:
    """Return how many inputs to ask for at a time.

    Args:
        device: Where the inputs lie.
        bytes_per_input: Memory that one input takes.
    """
    if device.type == "cuda":
        budget = torch.cuda.mem_get_info(device)[0] * _SHARE
    elif hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        budget = min(_CPU_BYTES, os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _SHARE)
    else:
        budget = _CPU_BYTES
    return max(1, min(2**16, int(budget) // bytes_per_input))


@contextmanager
def queries_only(z: Tensor) -> Iterator[None]:
    """No gradients, and no lower precision: a difference of two costs at bfloat16's steps would be noise."""
    with torch.no_grad(), torch.autocast(z.device.type, enabled=False):
        yield


def apart(z: Tensor, delta: float, bounds: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """Return middle and half distance of z + delta and z - delta after both were clamped to the bounds.

    ``middle + half`` and ``middle - half`` are within the bounds in floating point, too, and so is the mirror image of
    each, ``2 * middle`` minus it. The half distance is 0 where a value lies outside the bounds by delta or more.

    Args:
        z: Values.
        delta: Distance, above 0.
        bounds: Lowest and highest value, or None.
    """
    if bounds is None:
        return z, torch.full_like(z, delta)
    high, low = (z + delta).clamp_(*bounds), (z - delta).clamp_(*bounds)
    middle, half = (high + low).div_(2), (high - low).div_(2)
    rounding = max(abs(bound) for bound in bounds) * 2.0**-22
    torch.add(middle, half, out=high), torch.sub(middle, half, out=low)
    beyond = (torch.maximum(high, 2 * middle - low) > bounds[1]) | (torch.minimum(low, 2 * middle - high) < bounds[0])
    return middle, half.sub_(beyond.to(z), alpha=rounding).clamp_min_(0)
