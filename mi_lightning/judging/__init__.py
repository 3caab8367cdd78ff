"""Judging: how recognisable a reconstruction is."""

from __future__ import annotations

from mi_lightning.judging.identity import EvaluatorAccuracy, Identification
from mi_lightning.judging.image import ReconstructionMSE, ReconstructionNRMSE, ReconstructionPSNR, ReconstructionSSIM
from mi_lightning.judging.judge import Judge, Judgement

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
