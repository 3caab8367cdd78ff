"""Stop rules and projections as callbacks: put on the trainer, they take part in the attack."""

from __future__ import annotations

from mi_lightning.attacks import projections, stopping
from mi_lightning.lightning.callbacks.base import InversionCallback


class StagnationStop(InversionCallback, stopping.Stagnation):
    __doc__ = stopping.Stagnation.__doc__


class TargetCostStop(InversionCallback, stopping.TargetCost):
    __doc__ = stopping.TargetCost.__doc__


class ProcessDAE(InversionCallback, projections.ProcessDAE):
    __doc__ = projections.ProcessDAE.__doc__


class GriffinLim(InversionCallback, projections.GriffinLim):
    __doc__ = projections.GriffinLim.__doc__


class NeuralVocoder(InversionCallback, projections.NeuralVocoder):
    __doc__ = projections.NeuralVocoder.__doc__
