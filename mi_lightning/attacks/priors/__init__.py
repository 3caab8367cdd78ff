"""Priors: what is likely before any query; added to the cost."""

from __future__ import annotations

from mi_lightning.attacks.priors.base import Prior
from mi_lightning.attacks.priors.code_norm import CodeNorm
from mi_lightning.attacks.priors.l2 import L2
from mi_lightning.attacks.priors.total_variation import TotalVariation

__all__ = ["L2", "CodeNorm", "Prior", "TotalVariation"]
