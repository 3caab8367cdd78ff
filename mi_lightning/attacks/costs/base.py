"""Costs: one number per row, to be minimised."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mi_lightning.targets.base import Target


class Cost(nn.Module, ABC):
    """How far a target is from being sure of the label: the identity loss.

    Attributes:
        tells_confidence: Whether a value of the cost says how sure the target is. If not, it is asked at last.
    """

    tells_confidence: bool = True

    def bind(self, target: Target) -> None:
        """Fit the cost to a target, before anything else is called; nothing, unless overridden.

        Raises:
            InputError: If it does not fit.
        """

    @abstractmethod
    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Query ``x`` once.

        Args:
            target: Target to ask.
            x: Inputs, shape (N, *input_shape).
            label: Class of each input, shape (N,), int64.

        Returns:
            Cost of each input, shape (N,).
        """

    @abstractmethod
    def confidence(self, cost: Tensor) -> Tensor:
        """Return the confidence in the label that a value of the cost means, shape (N,), so that it costs no query."""
