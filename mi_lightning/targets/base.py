"""What the attacker may touch: confidences, and how many were asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mi_lightning.classifiers.base import Classifier
from mi_lightning.errors import MIError


class TargetError(MIError):
    """A target that gave no usable answer: what is behind it failed, or released something that is no confidence.

    Attributes:
        found: What an attack had found until then, if it was one that was asking.
    """

    found: object = None


class QueryBudgetError(MIError):
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
            spent = max(self.of(key) for key in self.askers)
            if spent + share > self.budget:
                raise QueryBudgetError(
                    f"expected at most {self.budget} queries per row, got {spent + share} (--model.query_budget)"
                )
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
        """Return the inputs that each of some rows has asked for since the last :meth:`restart`."""
        self._settle()
        return [self._counts.get(key, 0) for key in keys]

    def _settle(self) -> None:
        """Book what the same rows have asked for since the last time: most batches come from the same rows."""
        if self._pending:
            for key in self._pending_for:
                self._counts[key] = self._counts.get(key, 0) + self._pending
            self._pending = 0


class Target(nn.Module, ABC):
    """Confidences of a classifier, perhaps behind defenses, with a count of the queries.

    A subclass releases confidences in :meth:`release`; every input that passes through :meth:`confidences` or
    :meth:`log_confidences` is one query.

    Attributes:
        differentiable: Whether gradients flow through the confidences to the input.
        ledger: Counts the queries; a target and its defenses share one.
        input_shape: Shape of one input, without the batch.
        input_range: Lowest and highest value of an input.
        num_classes: Number of classes, C.
        class_names: Name of each class.
    """

    differentiable: bool
    ledger: QueryLedger
    input_shape: tuple[int, ...]
    input_range: tuple[float, float]
    num_classes: int
    class_names: tuple[str, ...]

    def __init__(self) -> None:
        """Start with no query."""
        super().__init__()
        self.ledger = QueryLedger()

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

    def confidences(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): confidences, shape (N, C), rows that sum to 1. Counts N queries."""
        self.ledger.count(len(x))
        return self.release(x)

    def log_confidences(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): logarithms of the confidences, in nats. Counts N queries."""
        self.ledger.count(len(x))
        return self.release_log(x)

    def asking(self, keys: Sequence[int]) -> AbstractContextManager[None]:
        """Say which rows of an attack ask until the end of the ``with`` block; see :class:`QueryLedger`."""
        return self.ledger.asking(keys)

    def restart(self, query_budget: int | None = None) -> None:
        """Begin an attack: rows have asked nothing yet, and random defenses draw from the start again.

        Args:
            query_budget: Inputs that each row may ask for; no limit if None.
        """
        self.ledger.restart(query_budget)

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the weights behind the target, or None where they are unknown.

        For the judge, which refuses to let a target judge itself; no attack looks at it.
        """
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what a report says of the target: plain values only."""


def describe_classifier(classifier: Classifier, checkpoint: str, checkpoint_sha256: str) -> dict[str, Any]:
    """Return what a report says of a target that was made from a classifier.

    Args:
        classifier: The classifier.
        checkpoint: File that it was loaded from.
        checkpoint_sha256: Digest of that file.
    """
    kind = type(classifier)
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "checkpoint": checkpoint,
        "checkpoint_sha256": checkpoint_sha256,
        "defenses": [],
        "test_accuracy": classifier.training_info.get("test_accuracy"),
        "training": dict(classifier.training_info),
    }
