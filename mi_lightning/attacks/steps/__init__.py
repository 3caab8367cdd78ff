"""Steps: they propose the next candidates."""

from __future__ import annotations

from mi_lightning.attacks.steps.base import Step
from mi_lightning.attacks.steps.cmaes import CMAESStep
from mi_lightning.attacks.steps.gradient import GradientStep

__all__ = ["CMAESStep", "GradientStep", "Step"]
