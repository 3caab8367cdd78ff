"""Acts on the gradient before the update: a preconditioner that says which directions are likely."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mi_lightning.data.axes import check_axes
from mi_lightning.data.base import Kind


class GradientFilter(nn.Module, ABC):
    """Acts on the gradient before the update: a preconditioner that says which directions are likely.

    Attributes:
        axes: Kind of candidates on whose axes it works, ``"picture"`` or ``"sound"``; any candidates if None.
    """

    axes: Kind | None = None

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse candidates of a shape, without the batch, on which it makes no sense; before anything is asked.

        Raises:
            InputError: If it makes none.
        """
        check_axes(shape, self.axes, self, "gradient_filter")

    @abstractmethod
    def forward(self, gradient: Tensor) -> Tensor:
        """Return the filtered gradient, same shape."""
