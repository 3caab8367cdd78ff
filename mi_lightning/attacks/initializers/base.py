"""Starts: where a candidate begins."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from mi_lightning.attacks.rows import Rows
from mi_lightning.data.axes import check_axes
from mi_lightning.data.base import Kind


class Initializer(ABC):
    """Initial value of the candidates, the same for every row or drawn from each row's own generator.

    Attributes:
        axes: Kind of candidates that it makes, ``"picture"`` or ``"sound"``; any if None.
    """

    axes: Kind | None = None

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse to make candidates of a shape.

        Raises:
            InputError: If it makes none of these.
        """
        check_axes(shape, self.axes, self, "initializer")

    @abstractmethod
    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the initial candidates.

        Args:
            rows: Rows to start; random numbers come from their generators.
            shape: Shape of one candidate.
            value_range: Lowest and highest value of the space.

        Returns:
            Initial candidates on the CPU, shape (R, *shape), float32.
        """
