"""What the attacker may touch: confidences, and how many were asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn

from mi_lightning.classifiers.base import Facts
from mi_lightning.errors import InputError, MIError


class TargetError(MIError):
    """A target that gave no usable answer: what is behind it failed, or released something that is no confidence.

    Attributes:
        found: What an attack had found until then, if it was one that was asking.
    """

    found: object = None


class QueryBudgetError(InputError):
    """A question that was not asked, because a row's query budget does not allow it."""


class QueryLedger:
    """Counts every input that was asked for, by the row of an attack that asks, and holds each row to a budget.

    A row is known by a key, any integer of its own. Who asks is said around the question::

        with ledger.asking(keys):
            ...  # R keys: a batch of R * n inputs belongs to them in their order, n consecutive inputs each

    Attributes:
        total: Inputs asked for, by rows and by anybody else.
        budget: Inputs that each row may ask for; no limit if None.
        askers: Keys of the rows that ask now; empty where nobody said who asks.
    """

    def __init__(self) -> None:
        """Start with no query and no budget."""
        self.total = 0
        self.budget: int | None = None
        self.askers: tuple[int, ...] = ()
        self._counts: dict[int, int] = {}
        self._pending = 0  # asked for by each of the rows below, not yet booked
        self._pending_for: tuple[int, ...] = ()

    def restart(self, budget: int | None = None) -> None:
        """Forget the rows' counts, for a new attack with this budget; the total goes on."""
        self.budget, self._pending = budget, 0
        self._counts.clear()

    @contextmanager
    def asking(self, keys: Sequence[int]) -> Iterator[None]:
        """Say which rows ask until the end of the ``with`` block."""
        previous, self.askers = self.askers, keys if isinstance(keys, tuple) else tuple(keys)
        try:
            yield
        finally:
            self.askers = previous

    def share(self, inputs: int) -> int:
        """Return how many inputs of a batch belong to each asker.

        Raises:
            RuntimeError: If the batch cannot be split evenly.
        """
        share, rest = divmod(inputs, max(1, len(self.askers)))
        if rest:
            raise RuntimeError(f"{inputs} inputs cannot be split evenly over {len(self.askers)} rows")
        return share

    def count(self, inputs: int) -> None:
        """Count a batch before it is asked.

        Args:
            inputs: Inputs in the batch.

        Raises:
            QueryBudgetError: If it would take a row over the budget; nothing is counted then.
        """
        share = self.share(inputs)
        if self.budget is not None and self.askers:
            spent = max(self.asked(self.askers))
            if spent + share > self.budget:
                raise QueryBudgetError(f"at most {self.budget} queries per row", spent + share, "query_budget")
        if self.askers is not self._pending_for:
            self._settle()
            self._pending_for = self.askers
        self._pending += share
        self.total += inputs

    def of(self, key: int) -> int:
        """Return the inputs that one row has asked for since the last :meth:`restart`."""
        self._settle()
        return self._counts.get(key, 0)

    def asked(self, keys: Sequence[int]) -> list[int]:
        """Return the inputs that each of many rows has asked for since the last :meth:`restart`, in their order."""
        self._settle()
        return [self._counts.get(key, 0) for key in keys]

    def run_state(self) -> dict[str, Any]:
        """Return the counts and the budget: plain values."""
        self._settle()
        return {"total": self.total, "budget": self.budget, "counts": dict(self._counts)}

    def load_run_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`run_state` returned; who asks now stays."""
        self.total, self.budget, self._pending = state["total"], state["budget"], 0
        self._counts = dict(state["counts"])

    def _settle(self) -> None:
        """Book what the same rows have asked for since the last time: most batches come from the same rows."""
        if self._pending:
            for key in self._pending_for:
                self._counts[key] = self._counts.get(key, 0) + self._pending
            self._pending = 0


class Target(nn.Module, ABC):
    """Confidences of a classifier, perhaps behind defenses, with a count of the queries.

    A subclass releases confidences in :meth:`release`; every input that passes through :meth:`confidences`,
    :meth:`log_confidences` or :meth:`logits` is one query.

    Args:
        max_batch: Inputs that may be asked at a time; larger questions are split. Any number if None.

    Attributes:
        differentiable: Whether gradients flow through the confidences to the input.
        has_logits: Whether :meth:`logits` answers.
        ledger: Counts the queries; a target and its defenses share one.
        input_shape: Shape of one input, without the batch.
        input_range: Lowest and highest value of an input.
        num_classes: Number of classes, C.
        class_names: Name of each class.
        sample_rate: Samples in a second (Hz) of an input that is sound, where the target says it.
    """

    sample_rate: int | None = None
    differentiable: bool
    has_logits: bool = False
    max_batch: int | None
    ledger: QueryLedger
    input_shape: tuple[int, ...]
    input_range: tuple[float, float]
    num_classes: int
    class_names: tuple[str, ...]

    def __init__(self, *, max_batch: int | None = None) -> None:
        """Start with no query."""
        super().__init__()
        if max_batch is not None and max_batch < 1:
            raise InputError("max_batch >= 1", max_batch, "max_batch")
        self.max_batch = max_batch
        self.ledger = QueryLedger()

    def take_facts(self, facts: Facts) -> None:
        """Keep what is known of the classifier."""
        self.input_shape, self.num_classes, self.class_names, self.input_range = facts

    def look_like(self, target: Target) -> None:
        """Share the ledger of a target, and what is known of it."""
        self.ledger, self.max_batch, self.differentiable = target.ledger, target.max_batch, target.differentiable
        self.take_facts(Facts(target.input_shape, target.num_classes, target.class_names, target.input_range))
        self.sample_rate = target.sample_rate

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: Lightning puts every module into training mode when it fits."""
        return super().train(False)

    @property
    def classifier(self) -> nn.Module | None:
        """The module behind the target, where the attacker sees it: frozen, not to be changed."""
        return None

    @property
    def queries(self) -> int:
        """Inputs asked for so far."""
        return self.ledger.total

    @abstractmethod
    def release(self, x: Tensor) -> Tensor:
        """Return the confidences that are released for ``x``, shape (N, C), rows that sum to 1."""

    def release_log(self, x: Tensor) -> Tensor:
        """Return the logarithm of the released confidences, shape (N, C), in nats.

        A released 0 counts as the smallest normal number, so that nothing is below -87.3 nats in float32. A target
        that knows its logits overrides this with a form that has no such floor.
        """
        released = self.release(x)
        return released.clamp_min(torch.finfo(released.dtype).tiny).log()

    def release_logits(self, x: Tensor) -> Tensor:
        """Return the logits of ``x``, shape (N, C); for targets that have them."""
        raise InputError("a target that releases logits", f"{type(self).__name__}, which does not", "target")

    def in_batches(self, ask: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """Ask about ``x`` in batches of ``max_batch``: what asks last calls this, so that nobody else has to know.

        Args:
            ask: Takes inputs, shape (n, *input_shape), and returns a tensor of n rows.
            x: Inputs, shape (N, *input_shape).
        """
        if self.max_batch is None or len(x) <= self.max_batch:
            return ask(x)
        return torch.cat([ask(part) for part in x.split(self.max_batch)])

    def confidences(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): confidences, shape (N, C), rows that sum to 1. Counts N queries."""
        self.ledger.count(len(x))
        return self.release(x)

    def log_confidences(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): logarithms of the confidences, in nats. Counts N queries."""
        self.ledger.count(len(x))
        return self.release_log(x)

    def logits(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): logits, shape (N, C). Counts N queries.

        Raises:
            InputError: If the target has none; nothing is counted then.
        """
        if self.has_logits:
            self.ledger.count(len(x))
        return self.release_logits(x)

    def asking(self, keys: Sequence[int]) -> AbstractContextManager[None]:
        """Say which rows of an attack ask until the end of the ``with`` block; see :class:`QueryLedger`."""
        return self.ledger.asking(keys)

    def restart(self, query_budget: int | None = None) -> None:
        """Begin an attack: rows have asked nothing yet, and random defenses draw from the start again.

        Args:
            query_budget: Inputs that each row may ask for; no limit if None.
        """
        self.ledger.restart(query_budget)

    def run_state(self) -> dict[str, Any]:
        """Return what an attack has changed, here and behind: plain values and tensors, to go on from later."""
        return {"ledger": self.ledger.run_state()}

    def load_run_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`run_state` of such a target returned.

        Raises:
            InputError: If it is that of a target of another kind, or behind other defenses.
        """
        self.check_run_state(state)
        self.ledger.load_run_state(state["ledger"])

    def check_run_state(self, state: Mapping[str, Any]) -> None:
        """Refuse the run state of another kind of target, by its keys."""
        if state.keys() != (own := self.run_state()).keys():
            got = ", ".join(sorted(state)) or "nothing"
            raise InputError(f"the run state of a {type(self).__name__} ({', '.join(sorted(own))})", got, "state")

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the weights behind the target, or None where they are unknown.

        For the judge, which refuses to let a target judge itself; no attack looks at it.
        """
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what a report says of the target: plain values only."""


def renormalise(p: Tensor) -> Tensor:
    """Divide each row, shape (N, C), by its sum; a row of zeros becomes the uniform vector, 1 / C everywhere.

    Args:
        p: Values at least 0.
    """
    total = p.sum(1, keepdim=True)
    nothing = total <= 0
    # the quotient is replaced where nothing is left, but its gradient would still be 0 / 0 there
    return torch.where(nothing, 1 / p.shape[1], p / total.masked_fill(nothing, 1.0))
