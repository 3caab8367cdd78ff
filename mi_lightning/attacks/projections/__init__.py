"""Projections: they act on candidates between update and evaluation, every few iterations."""

from __future__ import annotations

from mi_lightning.attacks.projections.base import Projection
from mi_lightning.attacks.projections.process_dae import ProcessDAE
from mi_lightning.attacks.projections.vocoder import GriffinLim, NeuralVocoder, Vocoder

__all__ = ["GriffinLim", "NeuralVocoder", "ProcessDAE", "Projection", "Vocoder"]
