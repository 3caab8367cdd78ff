"""Filters of the gradient: which directions in the space of images are likely, and how far a step goes."""

from __future__ import annotations

from torch import Tensor, nn

from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.audio.rate import Rated, tell_rate
from mi_lightning.errors import InputError


class FilterChain(Rated, GradientFilter):
    """Several filters, one after the other.

    Args:
        filters: The filters, the first one first; at least one.

    Raises:
        InputError: If there is none.
    """

    def __init__(self, *, filters: list[GradientFilter]) -> None:
        """Check that there is something to do."""
        super().__init__()
        if not filters:
            raise InputError("at least one filter", "none", field="filters")
        self.filters = nn.ModuleList(filters)

    def check(self, shape: tuple[int, ...]) -> None:
        """Let each filter refuse candidates of a shape."""
        for each in self.filters:
            if isinstance(each, GradientFilter):
                each.check(shape)

    def take_rate(self, rate: int | None, whose: str = "the target's") -> None:
        """Let each filter that has a sample rate work at this one."""
        for each in self.filters:
            tell_rate(each, rate, whose)

    def forward(self, gradient: Tensor) -> Tensor:
        """Return what the last filter makes of it, same shape."""
        for each in self.filters:
            gradient = each(gradient)
        return gradient
