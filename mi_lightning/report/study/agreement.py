"""How far judges agree beyond what their habits alone would bring."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.stats import bootstrap_interval


def agreement(codes: NDArray[np.float64]) -> dict[str, Any]:
    """Kappa of several judges (Conger, Psychological Bulletin 88, 1980), of two judges Cohen's.

    (p - e) / (1 - e): p is the share of equal answers, averaged over all pairs of judges, and e the share that two
    judges with the same habits would reach by chance. The interval resamples people; a resample in which all gave one
    and the same answer counts as 0, for nothing in it goes beyond chance.

    Args:
        codes: Answer of each judge to the question about each person, whole numbers from 0, (people, judges); NaN where
            there is none.

    Returns:
        ``kappa``, ``low``, ``high`` (None where fewer than two judges answered the same questions, or all gave one and
        the same answer), ``same`` (p), ``people`` and ``judges`` (that it rests on).
    """
    codes = codes[np.isfinite(codes).sum(1) > 1]
    people, judges = len(codes), int(np.isfinite(codes).any(0).sum())
    nothing = {"kappa": None, "low": None, "high": None, "same": None, "people": people, "judges": judges}
    if not people:
        return nothing
    given = codes[None] == np.unique(codes[np.isfinite(codes)])[:, None, None]  # (answers, people, judges)

    def of(index: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Share of equal answers in resamples (D, people), and by chance, each (D,)."""
        drawn = np.stack([np.bincount(each, minlength=people) for each in index]).astype(float)
        same, chance, pairs = np.zeros(len(index)), np.zeros(len(index)), np.zeros(len(index))
        for one, other in combinations(range(codes.shape[1]), 2):
            both = np.isfinite(codes[:, one] + codes[:, other])
            asked = drawn @ both
            here = asked > 0
            total = np.maximum(asked, 1)
            same += here * (drawn @ (both & (given[:, :, one] & given[:, :, other]).any(0))) / total
            chance += sum((drawn @ (both & a[:, one])) * (drawn @ (both & a[:, other])) for a in given) / total**2
            pairs += here
        pairs = np.maximum(pairs, 1)
        return same / pairs, chance / pairs

    def kappa(index: NDArray[np.int64]) -> NDArray[np.float64]:
        same, chance = of(index)
        return np.divide(same - chance, 1 - chance, out=np.zeros_like(same), where=chance < 1 - 1e-12)

    whole = np.arange(people)[None]
    same, chance = (float(value[0]) for value in of(whole))
    if chance >= 1 - 1e-12:
        return nothing | {"same": same}
    low, high = bootstrap_interval(kappa, people)
    return nothing | {"kappa": float(kappa(whole)[0]), "low": low, "high": high, "same": same}
