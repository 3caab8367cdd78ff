"""How far a figure could be off, had other people or other photographs been drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mi_lightning.errors import InputError

_CELLS = 2**22  # numbers of resampled indices in memory at a time


def bootstrap_interval(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    count: int,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of a statistic over resamples with replacement (Efron and Tibshirani 1993, section 13.3).

    Args:
        statistic: Takes indices of resampled units, shape (D, count), and returns one number each, shape (D,).
        count: Units to draw from, at least 1.
        level: Share of the resamples inside the interval, in (0, 1).
        draws: Resamples.
        seed: Seed of the resamples; the global random state is neither read nor changed.

    Returns:
        Lower and upper bound.

    Raises:
        InputError: If an argument is out of range.
    """
    if count < 1:
        raise InputError("one or more units to draw from", count, "count")
    if not 0 < level < 1:
        raise InputError("level in (0, 1)", level, "level")
    if draws < 1:
        raise InputError("draws >= 1", draws, "draws")
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // count)
    found = [
        statistic(generator.integers(0, count, (min(step, draws - start), count))) for start in range(0, draws, step)
    ]
    low, high = np.quantile(np.concatenate(found), ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def share_interval(
    values: NDArray[np.float64], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of a mean of values in [0, 1], such as the share of people whom an evaluator names.

    Where all values are 0, or all are 1, every resample says the same, which is no reason to be sure. The far bound is
    then the exact one of the binomial distribution (Clopper and Pearson, Biometrika 26, 1934): of 0 in n, the share
    p with (1 - p)^n = (1 - level) / 2.

    Args:
        values: One value for each unit, shape (N,), N >= 1.
        level: Share of the resamples inside the interval, in (0, 1).
        draws: Resamples.
        seed: Seed of the resamples.

    Example:
        >>> low, high = share_interval(np.zeros(40))
        >>> low, round(high, 3)
        (0.0, 0.088)
    """
    low, high = bootstrap_interval(
        lambda index: values[index].mean(1, dtype=np.float64), len(values), level=level, draws=draws, seed=seed
    )
    room = 1 - ((1 - level) / 2) ** (1 / len(values))
    if (values == 0).all():
        return 0.0, room
    if (values == 1).all():
        return 1 - room, 1.0
    return low, high
