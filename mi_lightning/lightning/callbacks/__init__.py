"""Callbacks: stop rules, Process-DAE, the dashboard and the writer of results."""

from __future__ import annotations

from mi_lightning.lightning.callbacks.base import InversionCallback
from mi_lightning.lightning.callbacks.dashboard import Dashboard
from mi_lightning.lightning.callbacks.process_dae import ProcessDAE
from mi_lightning.lightning.callbacks.progress import WholeProgress
from mi_lightning.lightning.callbacks.results import ResultsWriter
from mi_lightning.lightning.callbacks.stopping import StagnationStop, TargetCostStop
from mi_lightning.lightning.callbacks.vocoder import GriffinLim, NeuralVocoder, VocoderStage

__all__ = [
    "Dashboard",
    "GriffinLim",
    "InversionCallback",
    "NeuralVocoder",
    "ProcessDAE",
    "ResultsWriter",
    "StagnationStop",
    "TargetCostStop",
    "VocoderStage",
    "WholeProgress",
]
