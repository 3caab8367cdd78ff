"""How many inputs were asked for, by which rows of an attack, and the budget of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mi_lightning.errors import InputError


class QueryBudgetError(InputError):
    """A question that was not asked, because a row's query budget does not allow it."""


class QueryLedger:
    """Counts every input that was asked for, by the row of an attack that asks, and holds each row to a budget.

    A row is known by a key, any integer of its own. Who asks is said around the question::

        with ledger.asking(keys):
            ...  # R keys: a batch of R * n inputs belongs to them in their order, n consecutive inputs each

    Attributes:
        total: Inputs asked for, by rows and by anybody else.
        verification: Inputs asked for by :meth:`Target.verify`, which are no part of the total.
        budget: Inputs that each row may ask for; no limit if None.
        askers: Keys of the rows that ask now; empty where nobody said who asks.
        failed: Rows with a question that got no answer, and why: they end with what they have, the others go on.
    """

    def __init__(self) -> None:
        """Start with no query and no budget."""
        self.total = self.verification = 0
        self.budget: int | None = None
        self.askers: tuple[int, ...] = ()
        self._counts: dict[int, int] = {}
        self._pending = 0  # asked for by each of the rows below, not yet booked
        self._pending_for: tuple[int, ...] = ()
        self.failed: dict[int, str] = {}

    def restart(self, budget: int | None = None) -> None:
        """Forget the rows' counts and failures, for a new attack with this budget; the total goes on."""
        self.budget, self._pending = budget, 0
        self._counts.clear()
        self.failed.clear()

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

    def take_back(self, key: int, inputs: int) -> None:
        """Count inputs of a row no longer that were counted and then not asked."""
        self._settle()
        self._counts[key] -= inputs
        self.total -= inputs

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
