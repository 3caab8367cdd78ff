"""How far a figure could be off, had other people been drawn, and whether two figures differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from mi_lightning.errors import InputError

#: People below whom a share is told person by person and not as a headline: of 9 people 1 is 11%, and could be 48%.
FEWEST_PEOPLE = 10

_CELLS = 2**22  # numbers of resampled indices in memory at a time
_FLIPS = 9999  # sign flips that are drawn where there are more


def exact_interval(hits: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share that covers the true one at least as often as it says (Clopper, Pearson, Biometrika 1934).

    Args:
        hits: How many of the people were hit.
        n: People, each counted once: runs of the same person are no further people (:func:`nested_interval`).
        level: How often the interval is to cover the true share, in (0, 1).

    Raises:
        InputError: If an argument is out of range.

    Example:
        >>> low, high = exact_interval(22, 40)
        >>> round(low, 3), round(high, 3)
        (0.385, 0.707)
    """
    _check_count(n, "n")
    _check_hits(hits, n)
    _check_level(level)
    low, high = stats.binomtest(hits, n).proportion_ci(level, method="exact")
    return float(low), float(high)


def tail_of_guessing(hits: int, n: int, chance: float) -> float:
    """Probability that guessing gives this many hits or more: the one-sided p of an exact binomial test.

    Args:
        hits: How many were hit.
        n: How many there were.
        chance: Probability of a hit by guessing, in (0, 1].

    Example:
        >>> tail_of_guessing(1, 2, 0.5)
        0.75
    """
    _check_count(n, "n")
    _check_hits(hits, n)
    return float(stats.binom.sf(hits - 1, n, chance))


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
    _check_level(level)
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
    values: NDArray[np.float64],
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of a mean of bounded values, such as the share of passes in which a photograph is named right.

    Of hits that are 0 or 1 the exact interval is known (:func:`exact_interval`).

    Where all values are the same, every resample says the same, which is no reason to be sure. As many units as can be
    missed, the share q with (1 - q)^N = (1 - level) / 2, could then be at either bound: of zeros, the interval is that
    of :func:`exact_interval`.

    Args:
        values: One value for each unit, shape (N,), N >= 1.
        bounds: Least and greatest value that there can be; (-1, 1) for a difference of two shares.
        level: Share of the resamples inside the interval, in (0, 1).
        draws: Resamples.
        seed: Seed of the resamples.

    Raises:
        InputError: If an argument is out of range, or a value out of bounds.

    Example:
        >>> low, high = share_interval(np.zeros(40))
        >>> low, round(high, 3)
        (0.0, 0.088)
    """
    least, greatest = bounds
    if len(values) and not ((values >= least) & (values <= greatest)).all():
        raise InputError(f"values in [{least:g}, {greatest:g}]", f"{values.min():g} to {values.max():g}", "values")
    low, high = bootstrap_interval(
        lambda index: values[index].mean(1, dtype=np.float64), len(values), level=level, draws=draws, seed=seed
    )
    if (values == values[0]).all():
        missed, value = 1 - ((1 - level) / 2) ** (1 / len(values)), float(values[0])
        return value - missed * (value - least), value + missed * (greatest - value)
    return low, high


def nested_interval(
    values: ArrayLike,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of a mean over people of whom each was attacked in several runs (splits, seeds).

    People are resampled, each with all of the runs: five splits of 40 people are 40 people, not 200. The runs of a
    person are not resampled once more, since their scatter is in the scatter of the people already (Davison and
    Hinkley 1997, section 3.8). What all people of a run have in common, such as the one training of its classifier, is
    not drawn anew; the interval says nothing about it.

    Args:
        values: A value of each person in each run, shape (people, runs); NaN where a person had no such run. Each
            person counts once, by the mean over the runs.
        bounds: As in :func:`share_interval`.
        level: Share of the resamples inside the interval, in (0, 1).
        draws: Resamples.
        seed: Seed of the resamples.

    Raises:
        InputError: If there is no value, or an argument is out of range.

    Example:
        >>> low, high = nested_interval([[1, 1], [0, 1], [0, 0], [0, float("nan")]] * 10)
        >>> round(low, 2), round(high, 2)
        (0.25, 0.5)
    """
    table = np.asarray(values, np.float64)
    if table.ndim != 2:
        raise InputError("values of shape (people, runs)", table.shape, "values")
    table = table[np.isfinite(table).any(1)]
    if not len(table):
        raise InputError("a value of at least one person", "none", "values")
    return share_interval(np.nanmean(table, 1), bounds=bounds, level=level, draws=draws, seed=seed)


def paired_test(
    a: ArrayLike, b: ArrayLike, *, alternative: Literal["two-sided", "greater", "less"] = "two-sided", seed: int = 0
) -> float:
    """Probability of a difference this great between two measurements of the same people, if there were none.

    Of hits that are 0 or 1 it is McNemar's test in its exact form: of the people in whom the two differ, each half
    should be one way round. Of other values it is the test over all flips of the signs of the differences (Fisher
    1935, section 21), exact up to 13 people, and over 9,999 random ones and the one that was seen beyond.

    Args:
        a: One value for each person, shape (people,); the mean over the runs where there were several.
        b: The other values of the same people, in the same order. People of whom a value is NaN are left out.
        alternative: ``greater`` if only ``a`` being the greater one would count, ``less`` for the contrary.
        seed: Seed of the random flips.

    Raises:
        InputError: If the shapes differ, or nobody has both values.

    Example:
        >>> paired_test([1, 1, 1, 1, 1, 0, 0], [0, 0, 0, 0, 0, 0, 1])
        0.21875
    """
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError("one value of each person, for the same people", f"{first.shape} and {second.shape}", "b")
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if not len(first):
        raise InputError("at least one person with both values", "none", "a")
    difference = first - second
    if not difference.any():
        return 1.0
    if np.isin((first, second), (0, 1)).all():
        return float(
            stats.binomtest(int((difference > 0).sum()), int((difference != 0).sum()), 0.5, alternative).pvalue
        )
    found = stats.permutation_test(
        (difference,),
        lambda flipped, axis: flipped.mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=_FLIPS,
        alternative=alternative,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Correct the probabilities of several tests at once for there being several (Holm, Scand. J. Stat. 6, 1979).

    Args:
        p: One for each test, in [0, 1].

    Returns:
        Adjusted probabilities, in the order of ``p``: the chance of one or more false alarms is kept at the level at
        which these are read.

    Raises:
        InputError: If one is out of range.

    Example:
        >>> holm([0.25, 0.01, 0.02])
        [0.25, 0.03, 0.04]
    """
    if not all(0 <= value <= 1 for value in p):
        raise InputError("probabilities in [0, 1]", list(p), "p")
    adjusted, greatest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        greatest = max(greatest, min(1.0, (len(p) - rank) * p[place]))
        adjusted[place] = greatest
    return adjusted


def worst_person_bound(hits: Sequence[int], runs: Sequence[int], *, level: float = 0.95) -> float:
    """Upper bound that holds for every person at once, whoever of them is the worst off.

    The one-sided exact bound (Clopper, Pearson) of each person at ``1 - (1 - level) / P``, so that all P hold together
    (Bonferroni); the greatest is returned. A mean over people says nothing about the one who is recognised every time.

    Args:
        hits: Runs in which a person was hit, one number for each of P people, P >= 1.
        runs: Runs of that person; 0 if there was none, which leaves 1 as the bound.
        level: How often all bounds are to hold, in (0, 1).

    Raises:
        InputError: If an argument is out of range.

    Example:
        >>> round(worst_person_bound([0] * 40, [64] * 40), 3), round(worst_person_bound([0] * 40, [1] * 40), 3)
        (0.099, 0.999)
    """
    if len(hits) != len(runs):
        raise InputError(f"runs of {len(hits)} people, as of hits", len(runs), "runs")
    _check_count(len(hits), "hits")
    _check_level(level)
    each = 1 - (1 - level) / len(hits)
    bounds = []
    for hit, run in {(int(hit), int(run)) for hit, run in zip(hits, runs, strict=True)}:
        _check_hits(hit, run)
        test = stats.binomtest(hit, run, alternative="less") if run else None
        bounds.append(1.0 if test is None else float(test.proportion_ci(each, method="exact").high))
    return max(bounds)


def runs_for_bound(people: int, bound: float = 0.1, *, level: float = 0.95) -> int:
    """Runs without a hit that would bring :func:`worst_person_bound` to a bound.

    Args:
        people: How many, at least 1.
        bound: The bound, in (0, 1).
        level: How often it is to hold for all, in (0, 1).

    Raises:
        InputError: If an argument is out of range.

    Example:
        >>> runs_for_bound(40), runs_for_bound(1)
        (64, 29)
    """
    _check_count(people, "people")
    _check_level(level)
    if not 0 < bound < 1:
        raise InputError("bound in (0, 1)", bound, "bound")
    return math.ceil(math.log((1 - level) / people) / math.log1p(-bound))


def headline_refusal(people: int) -> str | None:
    """Say why a share of so few people is no headline, or None if they are enough.

    Args:
        people: People who were judged.

    Example:
        >>> headline_refusal(9)
        '9 people are too few for a share of all: 10 or more are needed'
        >>> headline_refusal(10) is None
        True
    """
    if people >= FEWEST_PEOPLE:
        return None
    who = "1 person is" if people == 1 else f"{people} people are"
    return f"{who} too few for a share of all: {FEWEST_PEOPLE} or more are needed"


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError("level in (0, 1)", level, "level")


def _check_count(count: int, field: str) -> None:
    if count < 1:
        raise InputError("one or more people", count, field)


def _check_hits(hits: int, n: int) -> None:
    if not 0 <= hits <= n:
        raise InputError(f"hits in 0 ... {n}", hits, "hits")
