"""Rounded confidences."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.targets.base import renormalise
from mi_lightning.targets.defenses.base import Defense, Gradient

#: Above the error of p / r, some 2^-22, when p is a multiple of r as well as float32 can say it.
_TOLERANCE = 2.0**-21


class Rounding(Defense):
    """Round confidences down to multiples of r and renormalise: floor(p / r) * r [F15, section 5.3].

    A confidence that is a multiple of r but for floating-point error stays: 0.03 with r = 0.01 counts as 3 r, although
    0.03 / 0.01 is below 3 in float32. So what lies less than 5e-7, relative, under a multiple is taken for it.

    What is released when everything rounds to zero: the uniform vector, never the raw confidences.

    Args:
        r: Step, in [0, 1]; 0 releases the confidences as they are.
        gradient: How a white-box attacker differentiates; the true gradient is zero.

    Example:
        >>> Rounding(r=0.25).defend(torch.tensor([[0.76, 0.24, 0.0]]))
        tensor([[1., 0., 0.]])
    """

    def __init__(self, *, r: float, gradient: Gradient = "true") -> None:
        """Check the step."""
        super().__init__(gradient=gradient)
        if not 0 <= r <= 1:
            raise InputError("r in [0, 1]", r, "r")
        self.r = r

    def defend(self, p: Tensor) -> Tensor:
        """Return the rounded confidences, shape (N, C)."""
        if self.r == 0:
            return p
        exact = p if p.dtype in (torch.float32, torch.float64) else p.float()
        steps = (exact / self.r * (1 + _TOLERANCE)).floor()
        return renormalise(steps).to(p.dtype)  # small integers: the step itself cancels, exactly

    def settings(self) -> dict[str, Any]:
        """Return the step."""
        return {"r": self.r}
