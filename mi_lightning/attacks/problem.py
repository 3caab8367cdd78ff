"""The problem that an attack solves: from a candidate to its cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from mi_lightning.attacks.rows import Rows
from mi_lightning.audio.rate import tell_rate
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


class DecodingSpace(Protocol):
    """What a problem needs of a space; see :class:`~mi_lightning.attacks.spaces.Space`."""

    asks_about_inputs: bool

    def bind(self, target: Target) -> None:
        """Fit the space to a target."""

    def view(self, target: Target) -> Target:
        """Return what the cost asks in place of the target."""

    def present(self, z: Tensor) -> Tensor:
        """Turn candidates into what :meth:`view` takes."""

    def decode(self, z: Tensor) -> Tensor:
        """Turn candidates into inputs."""

    def initial(self, rows: Rows) -> Tensor:
        """Return the initial candidates."""

    def constrain_(self, z: Tensor) -> None:
        """Put candidates back into the space, in place."""

    def bounds(self) -> tuple[float, float] | None:
        """Return the lowest and highest value at which a candidate may be asked for."""

    @property
    def queries_per_candidate(self) -> int:
        """Queries that one evaluation of a candidate costs."""


class IdentityCost(Protocol):
    """What a problem needs of a cost; see :class:`~mi_lightning.attacks.costs.Cost`."""

    tells_confidence: bool

    def bind(self, target: Target) -> None:
        """Fit the cost to a target."""

    def __call__(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Query once; return the identity loss of each input."""

    def confidence(self, cost: Tensor) -> Tensor:
        """Return the confidence that a value of the cost means."""


class Problem(nn.Module):
    """Everything between a candidate and its cost: decode, transform, query, add the priors.

    total = identity loss + priors: the identity loss is what the target says of the candidate, and costs queries; the
    priors, AUXTERM of Algorithm 1 [F15], cost none.

    Args:
        target: What is asked.
        space: Decodes candidates to inputs, and says whether the cost looks at these or at something else.
        cost: Identity loss of what the target answers: of its confidences, or, where it has them, of its logits.
        priors: Added to the cost; each sees what it declares, the candidate or the input that it decodes to.
        transforms: Act on the inputs before the target is asked: random ones are drawn for each row and iteration.

    Raises:
        InputError: If a part does not fit the target, or inputs are to be transformed that the cost never sees.
    """

    def __init__(
        self,
        target: Target,
        space: DecodingSpace,
        cost: IdentityCost,
        priors: Sequence[nn.Module] = (),
        transforms: Sequence[nn.Module] = (),
    ) -> None:
        """Bind the parts to the target."""
        super().__init__()
        space.bind(target)
        self.target, self.priors, self.transforms = target, nn.ModuleList(priors), nn.ModuleList(transforms)
        self.space, self.cost = space, cost
        self.view = space.view(target)
        cost.bind(self.view)  # what it will ask
        #: Number of the iteration, on which random transforms depend.
        self.iteration = 0
        #: Where candidates lie: with the target's weights, if it shows any.
        self.device = next((parameter.device for parameter in target.parameters()), torch.device("cpu"))
        for prior in self.priors:
            cast(Any, prior).check(self.candidate_shape if prior.sees == "candidate" else target.input_shape)
        if transforms:
            self.try_transforms(transforms, "transforms")

    @cached_property
    def candidate_shape(self) -> tuple[int, ...]:
        """Shape of one candidate."""
        return tuple(self.space.initial(Rows.grid([0], 1, seed=0)).shape[1:])

    def tell_rate(self, part: object) -> None:
        """Let a part work at the sample rate of the target, or of the space where only that says one.

        Raises:
            InputError: If the part was given another.
        """
        if self.target.sample_rate is not None:
            tell_rate(part, self.target.sample_rate)
        else:
            tell_rate(part, getattr(self.space, "said_rate", None), "the space's")

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Lowest and highest value at which a candidate may be asked for, None if any is good."""
        return self.space.bounds()

    def forward(self, z: Tensor, label: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Evaluate candidates, one query each; differentiable.

        Args:
            z: Candidates, shape (N, *candidate_shape): N = n R, n consecutive ones for each row.
            label: Class of each, shape (N,), int64.
            rows: The R rows that ask.

        Returns:
            Total and identity loss of each, shape (N,).
        """
        shown = self.space.present(z)
        total = identity_loss = self._ask(shown, label, rows)
        x = shown if self.space.asks_about_inputs else None
        for prior in self.priors:
            if prior.sees == "input" and x is None:
                x = self.space.decode(z)
            total = total + prior(z if prior.sees == "candidate" else x)
        return total, identity_loss

    def affords(self, rows: Rows, candidates: int) -> bool:
        """Whether the target's query budget allows each row to ask about so many candidates more."""
        ledger = self.target.ledger
        if ledger.budget is None:
            return True
        asked = max(ledger.asked(rows.keys), default=0)
        return asked + candidates * self.space.queries_per_candidate <= ledger.budget

    def identity_loss(self, z: Tensor, label: Tensor, rows: Rows) -> Tensor:
        """Return the cost without priors, shape (N,); arguments as :meth:`forward`."""
        return self._ask(self.space.present(z), label, rows)

    def _ask(self, shown: Tensor, label: Tensor, rows: Rows) -> Tensor:
        """Ask the target; it is told which rows ask."""
        for place, transform in enumerate(self.transforms):
            shown = transform(shown, [self.generator(key, place) for key in rows.keys])
        with self.target.asking(rows.keys):
            return self.cost(self.view, shown, label)

    def generator(self, key: int, *places: int) -> torch.Generator:
        """Return a fresh generator for one row in this iteration: whatever a row asks in it is changed alike.

        Args:
            key: The row's key.
            places: What is drawn for it, one number or more; the same numbers give the same generator.
        """
        entropy = (key, self.iteration, *(place & 0xFFFFFFFF for place in places))
        words = np.random.SeedSequence(entropy).generate_state(2, np.uint32)
        return torch.Generator().manual_seed(int(words[0]) | (int(words[1]) & 0x7FFFFFFF) << 32)

    @torch.no_grad()
    def try_transforms(self, transforms: Sequence[nn.Module], field: str) -> None:
        """See that the target is asked about inputs, and that these can be transformed.

        Args:
            transforms: They are tried on an initial candidate.
            field: Argument to name in an error.

        Raises:
            InputError: If not.
        """
        if not self.space.asks_about_inputs:
            raise InputError("a space whose inputs the target is asked about", type(self.space).__name__, field)
        x = self.space.decode(self.space.initial(Rows.grid([0], 1, seed=0)).to(self.device))
        for transform in transforms:
            x = transform(x, [torch.Generator().manual_seed(0)])

    def penalty(self, z: Tensor) -> Tensor:
        """Return the priors of candidates, shape (N,); no query, differentiable."""
        total = torch.zeros(len(z), dtype=z.dtype, device=z.device)
        x = None
        for prior in self.priors:
            if prior.sees == "input" and x is None:
                x = self.space.decode(z)
            total = total + cast(Tensor, prior(z if prior.sees == "candidate" else x))
        return total

    def prior_gradient(self, z: Tensor) -> Tensor | None:
        """Return the exact gradient of the priors, like ``z``, without a query; None where there are none."""
        if len(self.priors) == 0:
            return None
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.penalty(leaf).sum(), leaf)
        return gradient
