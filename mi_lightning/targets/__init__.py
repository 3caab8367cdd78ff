"""Targets: what an attacker may touch."""

from __future__ import annotations

from mi_lightning.targets.base import Target
from mi_lightning.targets.white_box import WhiteBox

__all__ = ["Target", "WhiteBox"]
