"""Only the label."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from mi_lightning.targets.defenses.base import Defense


class HardLabel(Defense):
    """Release only who it is: confidence 1 in the label with the greatest confidence, and 0 in all others.

    Args:
        gradient: How a white-box attacker differentiates; the true gradient is zero.

    Example:
        >>> import torch
        >>> HardLabel().defend(torch.tensor([[0.2, 0.5, 0.3]]))
        tensor([[0., 1., 0.]])
    """

    def defend(self, p: Tensor) -> Tensor:
        """Return one-hot vectors, shape (N, C)."""
        return functional.one_hot(p.argmax(1), p.shape[1]).to(p.dtype)
