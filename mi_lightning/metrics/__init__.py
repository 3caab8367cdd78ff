"""How alike two images are, whom a classifier sees in them, and what that says of an attack."""

from __future__ import annotations

from mi_lightning.metrics.identity import EvaluatorAccuracy, Identification
from mi_lightning.metrics.image import ReconstructionMSE, ReconstructionNRMSE, ReconstructionPSNR, ReconstructionSSIM
from mi_lightning.metrics.judge import Judge, Judgement

__all__ = [
    "EvaluatorAccuracy",
    "Identification",
    "Judge",
    "Judgement",
    "ReconstructionMSE",
    "ReconstructionNRMSE",
    "ReconstructionPSNR",
    "ReconstructionSSIM",
]
