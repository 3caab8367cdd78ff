"""Costs: one number per row, to be minimised."""

from __future__ import annotations

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.attacks.costs.dvector_distance import DVectorDistance
from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.costs.negative_log_odds import NegativeLogOdds
from mi_lightning.attacks.costs.negative_logit import NegativeLogit
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence

__all__ = ["Cost", "DVectorDistance", "NegativeLogConfidence", "NegativeLogOdds", "NegativeLogit", "OneMinusConfidence"]
