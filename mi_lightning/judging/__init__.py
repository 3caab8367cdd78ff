"""Judging: how recognisable a reconstruction is."""

from __future__ import annotations

from mi_lightning.judging.image import ReconstructionMSE, ReconstructionNRMSE, ReconstructionPSNR, ReconstructionSSIM
from mi_lightning.judging.inside import EvaluatorAccuracy, Identification
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.judgement import Judgement
from mi_lightning.judging.make import judge, make_judge
from mi_lightning.judging.speech_judge import SpeechJudge

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
