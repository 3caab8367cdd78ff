"""Only the greatest confidences."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target, renormalise
from mi_lightning.targets.defenses.base import Defense, Gradient


class TopK(Defense):
    """Release the k greatest confidences, renormalised, and 0 for all other classes. Of equals, the first counts.

    What is released is never all zero: the greatest confidence is at least 1 / C.

    Args:
        k: Confidences to release, from 1 to the number of classes, with which they are released as they are.
        gradient: How a white-box attacker differentiates; the true gradient is that of the released confidences.

    Example:
        >>> import torch
        >>> TopK(k=2).defend(torch.tensor([[0.2, 0.3, 0.1, 0.3, 0.1]]))
        tensor([[0.0000, 0.5000, 0.0000, 0.5000, 0.0000]])
    """

    def __init__(self, *, k: int, gradient: Gradient = "true") -> None:
        """Check the number; whether the target has so many classes is checked by :meth:`wrap`."""
        super().__init__(gradient=gradient)
        if k < 1:
            raise InputError("k >= 1", k, "k")
        self.k = k

    def check(self, target: Target) -> None:
        """Refuse a target with fewer classes."""
        if self.k > target.num_classes:
            raise InputError(f"k of at most {target.num_classes}, the number of classes", self.k, "k")

    def defend(self, p: Tensor) -> Tensor:
        """Return the k greatest confidences, shape (N, C)."""
        if self.k >= p.shape[1]:
            return p
        hidden = p.detach().sort(dim=1, descending=True, stable=True).indices[:, self.k :]
        return renormalise(p.scatter(1, hidden, 0.0))

    def settings(self) -> dict[str, Any]:
        """Return how many are released."""
        return {"k": self.k}
