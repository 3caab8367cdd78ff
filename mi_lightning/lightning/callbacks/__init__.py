"""Callbacks: the dashboard, the writer of results, progress; and stop rules and projections that take part."""

from __future__ import annotations

from mi_lightning.lightning.callbacks.base import InversionCallback
from mi_lightning.lightning.callbacks.dashboard import Dashboard
from mi_lightning.lightning.callbacks.progress import WholeProgress
from mi_lightning.lightning.callbacks.results import ResultsWriter
from mi_lightning.lightning.callbacks.taking_part import (
    GriffinLim,
    NeuralVocoder,
    ProcessDAE,
    StagnationStop,
    TargetCostStop,
)

__all__ = [
    "Dashboard",
    "GriffinLim",
    "InversionCallback",
    "NeuralVocoder",
    "ProcessDAE",
    "ResultsWriter",
    "StagnationStop",
    "TargetCostStop",
    "WholeProgress",
]
