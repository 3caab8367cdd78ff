"""Flatter or sharper confidences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.targets.defenses.base import Defense, Gradient, pass_back


class Temperature(Defense):
    """Release the softmax of the logits divided by a temperature: proportional to p^(1 / T).

    The order of the classes stays, so the accuracy does. What is released is never all zero.

    Args:
        temperature: T, above 0. Above 1 flattens the confidences, below 1 sharpens them.
        gradient: How a white-box attacker differentiates.
    """

    changes_logits = True

    def __init__(self, *, temperature: float, gradient: Gradient = "true") -> None:
        """Check the temperature."""
        super().__init__(gradient=gradient)
        if temperature <= 0:
            raise InputError("temperature > 0", temperature, "temperature")
        self.temperature = temperature

    def defend(self, p: Tensor) -> Tensor:
        """Return the tempered confidences, shape (N, C); a 0 stays 0."""
        logits = p.clamp_min(torch.finfo(p.dtype).tiny).log() / self.temperature
        return logits.masked_fill(p == 0, -torch.inf).softmax(1)

    def release_log(self, x: Tensor) -> Tensor:
        """Return the logarithm of the tempered confidences, shape (N, C), in nats, without a floor."""
        behind = self._behind.release_log(x)
        return self._passing((behind / self.temperature).log_softmax(1), behind)

    def release_logits(self, x: Tensor) -> Tensor:
        """Return the logits behind, divided by the temperature, shape (N, C)."""
        behind = self._behind.release_logits(x)
        return self._passing(behind / self.temperature, behind)

    def _passing(self, shown: Tensor, behind: Tensor) -> Tensor:
        """Return what is shown with the gradient that was chosen."""
        return shown if self.gradient == "true" or not behind.requires_grad else pass_back(shown, behind, self.share)

    def settings(self) -> dict[str, Any]:
        """Return the temperature."""
        return {"temperature": self.temperature}
