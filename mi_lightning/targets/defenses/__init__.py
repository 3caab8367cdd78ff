"""Output defenses: what may stand between a target's confidences and the attacker."""

from __future__ import annotations

from mi_lightning.targets.defenses.base import Defense, defend
from mi_lightning.targets.defenses.hard_label import HardLabel
from mi_lightning.targets.defenses.noise import GaussianNoise
from mi_lightning.targets.defenses.rounding import Rounding
from mi_lightning.targets.defenses.temperature import Temperature
from mi_lightning.targets.defenses.top_k import TopK

__all__ = ["Defense", "GaussianNoise", "HardLabel", "Rounding", "Temperature", "TopK", "defend"]
