"""Stop rules and projections as callbacks: put on the trainer, they take part in the attack."""

from __future__ import annotations

from mi_lightning.attacks import projections, stopping
from mi_lightning.attacks.attack import describe_part
from mi_lightning.lightning.callbacks.base import InversionCallback


class TakingPart(InversionCallback):
    """Base of these callbacks: several of a class may be on one trainer, as long as their settings differ."""

    @property
    def state_key(self) -> str:
        """Name of the callback's state in a checkpoint of Lightning, which wants one for each."""
        return self._generate_state_key(**describe_part(self))


class StagnationStop(stopping.Stagnation, TakingPart):
    """Stop rows whose cost no longer falls: :class:`mi_lightning.attacks.stopping.Stagnation` on the trainer."""


class TargetCostStop(stopping.TargetCost, TakingPart):
    """Stop rows at a target cost: :class:`mi_lightning.attacks.stopping.TargetCost` on the trainer."""


class ProcessDAE(projections.ProcessDAE, TakingPart):
    """Process-DAE, Algorithm 2 [F15]: :class:`mi_lightning.attacks.projections.ProcessDAE` on the trainer."""


class GriffinLim(projections.GriffinLim, TakingPart):
    """The vocoder :class:`mi_lightning.attacks.projections.GriffinLim` on the trainer."""


class NeuralVocoder(projections.NeuralVocoder, TakingPart):
    """The vocoder :class:`mi_lightning.attacks.projections.NeuralVocoder` on the trainer."""
