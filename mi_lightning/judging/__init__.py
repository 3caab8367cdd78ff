"""Judging: how recognisable a reconstruction is."""

from __future__ import annotations

from mi_lightning.judging.image import ReconstructionMSE, ReconstructionNRMSE, ReconstructionPSNR, ReconstructionSSIM
from mi_lightning.judging.judge import Judge, Judgement
from mi_lightning.judging.make import judge, make_judge
from mi_lightning.judging.speech_judge import SpeechJudge
from mi_lightning.judging.verdicts import EvaluatorAccuracy, Identification

__all__ = [
    "EvaluatorAccuracy",
    "Identification",
    "Judge",
    "Judgement",
    "ReconstructionMSE",
    "ReconstructionNRMSE",
    "ReconstructionPSNR",
    "ReconstructionSSIM",
    "SpeechJudge",
    "judge",
    "make_judge",
]
