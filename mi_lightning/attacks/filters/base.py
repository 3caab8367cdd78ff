"""Acts on the gradient before the update: a preconditioner that says which directions are likely."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class GradientFilter(nn.Module, ABC):
    """Acts on the gradient before the update: a preconditioner that says which directions are likely."""

    @abstractmethod
    def forward(self, gradient: Tensor) -> Tensor:
        """Return the filtered gradient, same shape."""
