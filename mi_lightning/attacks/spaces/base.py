"""Spaces: where a candidate lives, how it becomes an input, and what keeps it inside."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from mi_lightning.attacks.rows import Rows
from mi_lightning.targets.base import Target


class Space(nn.Module, ABC):
    """The set that an attack searches.

    Attributes:
        asks_about_inputs: Whether the cost looks at the inputs that candidates decode to. If not, :meth:`view` and
            :meth:`present` say what it looks at.
    """

    asks_about_inputs: bool = True

    def bind(self, target: Target) -> None:
        """Fit the space to a target, before anything else is called.

        Args:
            target: Target whose inputs the space decodes to.

        Raises:
            InputError: If the space cannot produce inputs of the target's shape.
        """
        self.input_shape, self.input_range = target.input_shape, target.input_range

    @abstractmethod
    def initial(self, rows: Rows) -> Tensor:
        """Return the initial candidates on the CPU, shape (R, *candidate_shape), float32."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Turn candidates, shape (R, *candidate_shape), into inputs, shape (R, *input_shape); differentiable."""

    @abstractmethod
    def constrain_(self, z: Tensor) -> None:
        """Put candidates back into the space, in place, after an update."""

    def view(self, target: Target) -> Target:
        """Return what the cost asks in place of the target: the target itself unless a space says otherwise.

        It counts its queries in the target's ledger.
        """
        return target

    def present(self, z: Tensor) -> Tensor:
        """Turn candidates into what :meth:`view` takes: into inputs unless a space says otherwise."""
        return self.decode(z)

    def bounds(self) -> tuple[float, float] | None:
        """Return the lowest and highest value at which a candidate may be asked for, None if any value is good.

        Estimators that query around a candidate stay within.
        """
        return None

    @property
    def queries_per_candidate(self) -> int:
        """Return the queries that one evaluation of a candidate costs; known after :meth:`bind`."""
        return 1


class InputSpace(Space):
    """A space whose candidates are inputs, or parts of one, as they are.

    Args:
        clamp: Whether every update is followed by clamping to the target's input range.
    """

    def __init__(self, *, clamp: bool = True) -> None:
        """Keep the argument."""
        super().__init__()
        self.clamp = clamp

    def decode(self, z: Tensor) -> Tensor:
        """Return the candidates as they are."""
        return z

    @torch.no_grad()
    def constrain_(self, z: Tensor) -> None:
        """Clamp to the input range, in place, if asked for."""
        if self.clamp:
            z.clamp_(*self.input_range)

    def bounds(self) -> tuple[float, float] | None:
        """Return the input range: also where the candidates may leave it, a target is not asked outside."""
        return self.input_range
