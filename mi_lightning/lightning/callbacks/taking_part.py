"""Stop rules and projections as callbacks: put on the trainer, they take part in the attack."""

from __future__ import annotations

from mi_lightning.attacks import projections, stopping
from mi_lightning.lightning.callbacks.base import InversionCallback


class StagnationStop(stopping.Stagnation, InversionCallback):
    """Stop rows whose cost no longer falls: :class:`mi_lightning.attacks.stopping.Stagnation` on the trainer."""


class TargetCostStop(stopping.TargetCost, InversionCallback):
    """Stop rows at a target cost: :class:`mi_lightning.attacks.stopping.TargetCost` on the trainer."""


class ProcessDAE(projections.ProcessDAE, InversionCallback):
    """Process-DAE, Algorithm 2 [F15]: :class:`mi_lightning.attacks.projections.ProcessDAE` on the trainer."""


class GriffinLim(projections.GriffinLim, InversionCallback):
    """The vocoder :class:`mi_lightning.attacks.projections.GriffinLim` on the trainer."""


class NeuralVocoder(projections.NeuralVocoder, InversionCallback):
    """The vocoder :class:`mi_lightning.attacks.projections.NeuralVocoder` on the trainer."""
