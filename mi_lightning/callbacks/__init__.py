"""Callbacks: stop rules, projections, the dashboard and the writer of results."""

from __future__ import annotations

from mi_lightning.callbacks.base import InversionCallback
from mi_lightning.callbacks.stopping import StagnationStop, TargetCostStop

__all__ = ["InversionCallback", "StagnationStop", "TargetCostStop"]
