"""Lightning: the attack as a module, its trainer and its callbacks."""

from __future__ import annotations

from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer

__all__ = ["Inversion", "InversionTrainer"]
