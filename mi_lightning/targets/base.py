"""What the attacker may touch: confidences, and how many were asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any, Self

import torch
from torch import Tensor, nn

from mi_lightning.classifiers.base import Facts
from mi_lightning.errors import InputError, MIError
from mi_lightning.targets.ledger import QueryLedger
from mi_lightning.targets.outputs import what_is_wrong


class TargetError(MIError):
    """A target that gave no usable answer: what is behind it failed, or released something that is no confidence.

    Attributes:
        found: What an attack had found until then, if it was one that was asking.
    """

    found: object = None


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
        class_names: Name of each class, in the order of the columns that are released.
        names_given: Whether somebody named the classes, or they are called ``"0"``, ``"1"``, ... for want of names.
        names_from: ``"target"``; ``"data"`` if :meth:`adopt_names` took the names over, ``"reordered"`` if it put the
            columns into another order.
        why_no_gradient: Where there are no gradients, why, as the end of a sentence; empty where that goes without
            saying.
        unsteady: Where its answers were seen to depend on more than the input, on what: the rest of a sentence.
        price_per_query: What one input costs, in any currency; None where nothing is charged.
        sample_rate: Samples in a second (Hz) of an input that is sound, where the target says it.
    """

    sample_rate: int | None = None
    differentiable: bool
    price_per_query: float | None = None
    has_logits: bool = False
    max_batch: int | None
    ledger: QueryLedger
    input_shape: tuple[int, ...]
    input_range: tuple[float, float]
    num_classes: int
    class_names: tuple[str, ...]
    names_given: bool = True
    names_from: str = "target"
    why_no_gradient: str = ""
    unsteady: str = ""
    _order: Tensor | None  # which column of what `release` gives is that of each class; as they are if None

    def __init__(self, *, max_batch: int | None = None) -> None:
        """Start with no query."""
        super().__init__()
        if max_batch is not None and max_batch < 1:
            raise InputError("max_batch >= 1", max_batch, "max_batch")
        self.max_batch = max_batch
        self.ledger = QueryLedger()
        self.register_buffer("_order", None, persistent=False)

    def take_facts(self, facts: Facts, *, names_given: bool = True) -> None:
        """Keep what is known of the classifier."""
        self.input_shape, self.num_classes, self.class_names, self.input_range = facts
        self.names_given = names_given

    def look_like(self, target: Target) -> None:
        """Share the ledger of a target, and what is known of it."""
        self.ledger, self.max_batch, self.differentiable = target.ledger, target.max_batch, target.differentiable
        self.price_per_query, self.sample_rate = target.price_per_query, target.sample_rate
        self.why_no_gradient, self.unsteady = target.why_no_gradient, target.unsteady
        facts = Facts(target.input_shape, target.num_classes, target.class_names, target.input_range)
        self.take_facts(facts, names_given=target.names_given)
        self.names_from, self._order = target.names_from, target._order

    def adopt_names(self, names: Sequence[str]) -> None:
        """Take over the names of the people in the data, and their order.

        Classes that nobody named get these names in their order, if they are as many: whether that is the right order,
        the sanity pass tells (:mod:`mi_lightning.judging.sanity`). Where the classes were named, and these are the same
        names in another order, the columns are released in the order of the data from now on. Anything else is left as
        it is, for the judge to refuse.

        Args:
            names: Names of the people, in the order of the labels.
        """
        wanted = tuple(names)
        if wanted == self.class_names or len(wanted) != self.num_classes:
            return
        if not self.names_given:
            self.names_from = "data"
        elif len(set(wanted)) == len(wanted) and set(wanted) == set(self.class_names):
            place = {name: column for column, name in enumerate(self.class_names)}
            order = torch.tensor([place[name] for name in wanted])
            self._order = order if self._order is None else self._order[order.to(self._order.device)]
            self.names_from = "reordered"
        else:
            return
        self.class_names = wanted

    @property
    def columns(self) -> Tensor:
        """Which column of the module behind is that of each class, shape (C,), int64, on the CPU."""
        return torch.arange(self.num_classes) if self._order is None else self._order.cpu()

    def in_order(self, released: Tensor) -> Tensor:
        """Return columns, shape (N, C), in the order of :attr:`class_names`."""
        return released if self._order is None else released.index_select(1, self._order)

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

    @property
    def price(self) -> float | None:
        """What the queries so far have cost, those of verification among them; None where nothing is charged."""
        return None if self.price_per_query is None else self.charged * self.price_per_query

    @property
    def charged(self) -> int:
        """Inputs asked for so far by attacks, verification and checks."""
        return self.queries + self.ledger.verification

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
        return self.in_order(self.release(x))

    def log_confidences(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): logarithms of the confidences, in nats. Counts N queries."""
        self.ledger.count(len(x))
        return self.in_order(self.release_log(x))

    def logits(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): logits, shape (N, C). Counts N queries.

        Raises:
            InputError: If the target has none; nothing is counted then.
        """
        if self.has_logits:
            self.ledger.count(len(x))
        return self.in_order(self.release_logits(x))

    @torch.no_grad()
    def verify(self, x: Tensor) -> Tensor:
        """Ask about samples whose person is known, *without* the defenses in front: that the target is what it seems.

        Counts as verification alone (:attr:`QueryLedger.verification`): no row of an attack asks, no budget is spent,
        and no random defense draws. The answers are checked, those of a white box, too.

        Args:
            x: Samples, shape (N, *input_shape), on any device.

        Returns:
            Confidences, shape (N, C), on the CPU.

        Raises:
            TargetError: If the answers are no confidences: of another shape, NaN, negative, or rows that do not sum
                to 1.
        """
        self.ledger.verification += len(x)
        own: Any = chain(self.parameters(), self.buffers())
        released = self.in_order(self.release(x.to(next(own, x).device)))
        check_confidences(released, (len(x), self.num_classes))
        return released.cpu()

    def check_answers(self) -> None:
        """Look back at what was answered since the last look; called by an attack at each of its reports.

        Targets that check every answer at once, or whose answers cannot be wrong, have nothing to do here.

        Raises:
            TargetError: If answers were no confidences.
        """

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


def check_confidences(released: Tensor, shape: tuple[int, int], *, tolerance: float = 1e-3) -> None:
    """Refuse answers that are no confidences.

    Args:
        released: What was released.
        shape: The shape that it should have, (N, C).
        tolerance: How far the sum of a row may be from 1.

    Raises:
        TargetError: If the shape is another, or a row holds NaN or less than 0, or does not sum to 1.
    """
    if tuple(released.shape) != shape:
        raise TargetError(f"expected confidences of shape {shape}, got {tuple(released.shape)}")
    precise = released.double()
    good = (precise >= 0).all(1) & ((precise.sum(1) - 1).abs() <= tolerance)  # NaN fails both
    if not bool(good.all()):
        row = int((~good).nonzero()[0, 0])
        raise TargetError(f"expected {what_is_wrong(precise[row])} in row {row} of {shape[0]}")
