"""Stop rules and projections as callbacks: put on the trainer, they take part in the attack."""

from __future__ import annotations

from mi_lightning.attacks import projections, stopping
from mi_lightning.lightning.callbacks.base import InversionCallback


class StagnationStop(InversionCallback, stopping.Stagnation):
    """Stop rows whose cost no longer falls: :class:`mi_lightning.attacks.stopping.Stagnation` on the trainer."""


class TargetCostStop(InversionCallback, stopping.TargetCost):
    """Stop rows at a target cost: :class:`mi_lightning.attacks.stopping.TargetCost` on the trainer."""


class ProcessDAE(InversionCallback, projections.ProcessDAE):
    """Process-DAE, Algorithm 2 [F15]: :class:`mi_lightning.attacks.projections.ProcessDAE` on the trainer."""


class GriffinLim(InversionCallback, projections.GriffinLim):
    """The vocoder :class:`mi_lightning.attacks.projections.GriffinLim` on the trainer."""


class NeuralVocoder(InversionCallback, projections.NeuralVocoder):
    """The vocoder :class:`mi_lightning.attacks.projections.NeuralVocoder` on the trainer."""
