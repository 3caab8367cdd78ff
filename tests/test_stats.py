"""Intervals, bounds and tests against what is known in closed form, by scipy, and by simulation."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import stats

from mi_lightning.errors import InputError
from mi_lightning.stats import (
    bootstrap_interval,
    exact_interval,
    headline_refusal,
    holm,
    nested_interval,
    paired_test,
    runs_for_bound,
    share_interval,
    tail_of_guessing,
    worst_person_bound,
)


def mean_of(values):
    return lambda index: values[index].mean(1)


def test_a_mean_of_many_numbers_has_the_normal_interval():
    values = np.random.default_rng(0).normal(3.0, 2.0, 4000)
    low, high = bootstrap_interval(mean_of(values), len(values), draws=4000)
    error = values.std() / np.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.1 * error)


def test_a_share_has_the_quantiles_of_the_binomial_distribution():
    values = np.array([1.0] * 12 + [0.0] * 28)  # resamples of it are binomial(40, 0.3) / 40
    low, high = share_interval(values, draws=20000)
    assert (low, high) == tuple(stats.binom.ppf([0.025, 0.975], 40, 0.3) / 40)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_agree_the_bound_is_exact(value):
    low, high = share_interval(np.full(40, value))
    exact = stats.binomtest(int(40 * value), 40).proportion_ci(method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high))


def test_the_level_is_kept():
    values = np.arange(101.0)  # one draw of one unit: its quantiles are those of the values
    low, high = bootstrap_interval(lambda index: values[index[:, 0]], 101, level=0.8, draws=50000)
    assert (low, high) == pytest.approx((10, 90), abs=1.5)


def test_seeds_repeat_and_differ_and_touch_no_global_state():
    values = np.random.default_rng(0).random(30)
    np.random.seed(1)  # noqa: NPY002  # the state that must stay
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, again, other = (share_interval(values, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_many_draws_come_in_pieces():
    sizes = []

    def statistic(index):
        sizes.append(index.shape)
        return np.zeros(len(index))

    bootstrap_interval(statistic, 3_000_000, draws=3)
    assert sizes == [(1, 3_000_000)] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "one or more units to draw from, got 0"),
        ({"level": 1.0}, r"level in \(0, 1\), got 1.0"),
        ({"draws": 0}, "draws >= 1, got 0"),
    ],
)
def test_what_cannot_be_drawn(change, message):
    with pytest.raises(InputError, match=message):
        bootstrap_interval(**({"statistic": mean_of(np.zeros(3)), "count": 3} | change))


# ------------------------------------------------------------------------------------------------- exact intervals


@pytest.mark.parametrize("n", [10, 20, 40])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.875, 0.99])
def test_the_exact_interval_covers_at_least_as_often_as_it_says(n, share):
    covering = sum(
        stats.binom.pmf(hits, n, share)  # every outcome with its weight: no simulation could be surer
        for hits in range(n + 1)
        if exact_interval(hits, n)[0] <= share <= exact_interval(hits, n)[1]
    )
    assert covering >= 0.95


def test_the_exact_interval_is_the_published_one():
    # x = 4 of n = 10 in the tables of Clopper and Pearson (1934), and "3 / n" for none of n
    assert exact_interval(4, 10) == pytest.approx((0.122, 0.738), abs=5e-4)
    assert exact_interval(0, 40, level=0.9) == pytest.approx((0, 1 - 0.05 ** (1 / 40)))


# ------------------------------------------------------------------------------------------------ nested intervals


def people_in_splits(generator, people=40, splits=5):
    """People who differ (some are always recognised, some never), each in several splits; true share 0.3."""
    chance = generator.beta(0.3, 0.7, people)
    return (generator.random((people, splits)) < chance[:, None]).astype(float)


def test_people_are_people_and_their_runs_are_not():
    generator = np.random.default_rng(0)
    trials, nested, pooled = 300, 0, 0
    for _ in range(trials):
        hits = people_in_splits(generator)
        low, high = nested_interval(hits, draws=400)
        nested += low <= 0.3 <= high
        low, high = exact_interval(int(hits.sum()), hits.size)  # as if 5 x 40 runs were 200 people
        pooled += low <= 0.3 <= high
    assert 0.9 <= nested / trials <= 0.98
    assert pooled / trials < 0.8


def test_runs_that_were_not_made_are_left_out():
    table = people_in_splits(np.random.default_rng(1))
    holes = np.column_stack((table, np.full(len(table), np.nan)))
    assert nested_interval(holes) == nested_interval(table)
    assert nested_interval(np.vstack((holes, np.full(6, np.nan)))) == nested_interval(table)


def test_one_run_a_person_is_a_bootstrap_of_people():
    values = (np.arange(40) % 3 == 0).astype(float)
    assert nested_interval(values[:, None]) == share_interval(values)


def test_where_all_people_agree_they_are_still_no_more_than_they_are():
    assert nested_interval(np.zeros((40, 5))) == pytest.approx(exact_interval(0, 40))
    assert nested_interval(np.ones((12, 2)), level=0.8) == pytest.approx(exact_interval(12, 12, level=0.8))
    room = exact_interval(0, 40)[1]
    assert nested_interval(np.zeros((40, 1)), bounds=(-1, 1)) == pytest.approx((-room, room))


# ---------------------------------------------------------------------------------------------------- paired tests


def flips_by_hand(difference, alternative):
    """The sign-flip test as its definition reads."""
    means = [np.mean(difference * np.array(signs)) for signs in product((1, -1), repeat=len(difference))]
    above = np.mean([mean >= difference.mean() - 1e-12 for mean in means])
    below = np.mean([mean <= difference.mean() + 1e-12 for mean in means])
    return {"greater": above, "less": below, "two-sided": min(1, 2 * min(above, below))}[alternative]


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_values_are_tested_by_all_flips_of_their_signs(alternative):
    generator = np.random.default_rng(3)
    a, b = generator.random(9) + 0.15, generator.random(9)
    assert paired_test(a, b, alternative=alternative) == pytest.approx(flips_by_hand(a - b, alternative))


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_hits_are_tested_by_mcnemar(alternative):
    a, b = np.repeat([[1, 0], [0, 1], [1, 1], [0, 0]], [7, 2, 1, 1], axis=0).T.astype(float)
    expected = {"two-sided": 2 * 46 / 512, "greater": 46 / 512, "less": 1 - (1 + 9) / 512}  # of 9 coins, 7 or more
    assert paired_test(a, b, alternative=alternative) == pytest.approx(expected[alternative])
    assert paired_test(a, b, alternative=alternative) == pytest.approx(flips_by_hand(a - b, alternative))


def test_many_people_are_tested_by_random_flips():
    generator = np.random.default_rng(0)
    a = generator.normal(0.35, 1, 60)
    assert paired_test(a, np.zeros(60)) == pytest.approx(stats.ttest_1samp(a, 0).pvalue, abs=0.01)
    assert paired_test(a + 9, np.zeros(60)) == pytest.approx(2e-4)  # of 10,000 flips, the seen one, on both sides
    assert paired_test(a, np.zeros(60), seed=1) == paired_test(a, np.zeros(60), seed=1)


def test_no_difference_is_no_finding_and_missing_people_are_left_out():
    assert paired_test([1, 0, 1], [1, 0, 1]) == 1
    assert paired_test([1, 1, np.nan, 1], [0, 0, 0, np.nan]) == paired_test([1, 1], [0, 0]) == 0.5


def test_the_paired_test_raises_few_false_alarms():
    generator = np.random.default_rng(5)
    chance = generator.beta(0.5, 0.5, (500, 40))
    a, b = ((generator.random(chance.shape) < chance).astype(float) for _ in range(2))
    alarms = np.mean([paired_test(x, y) <= 0.05 for x, y in zip(a, b, strict=True)])
    assert alarms <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


def test_holm_as_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


# -------------------------------------------------------------------------------------------------- the worst person


def test_the_bound_holds_for_all_people_at_once():
    generator = np.random.default_rng(0)
    hits = generator.binomial(20, 0.3, (2000, 40))  # all are alike, so that any one may be the one it fails for
    together, alone = (
        np.array([worst_person_bound([count] + [0] * others, [20] * (1 + others)) for count in range(21)])
        for others in (39, 0)
    )
    assert np.mean((together[hits] >= 0.3).all(1)) >= 0.95
    assert np.mean((alone[hits] >= 0.3).all(1)) < 0.5  # a bound at 95% a person leaves somebody above it


def test_the_worst_of_people_who_differ_is_bounded():
    generator = np.random.default_rng(1)
    chance = np.r_[0.4, np.zeros(39)]
    hits = generator.binomial(10, chance, (300, 40)).tolist()
    assert np.mean([worst_person_bound(row, [10] * 40) >= 0.4 for row in hits]) >= 0.95


def test_the_bound_is_the_exact_one_of_the_worst_person():
    assert worst_person_bound([0], [30]) == pytest.approx(1 - 0.05 ** (1 / 30))
    assert worst_person_bound([0, 3], [30, 10]) == pytest.approx(stats.beta.ppf(0.975, 4, 7))
    assert worst_person_bound([0, 0], [5, 0]) == 1  # of whom nothing is known, anything can be


@pytest.mark.parametrize("people", [1, 7, 40, 1000])
@pytest.mark.parametrize("bound", [0.05, 0.1, 0.5])
def test_as_many_runs_as_it_takes_and_not_one_more(people, bound):
    runs = runs_for_bound(people, bound)
    assert worst_person_bound([0] * people, [runs] * people) <= bound
    assert runs == 1 or worst_person_bound([0] * people, [runs - 1] * people) > bound


def test_forty_people_take_64_runs():
    assert runs_for_bound(40) == 64


def test_a_share_of_few_people_is_no_headline():
    assert headline_refusal(1) == "1 person is too few for a share of all: 10 or more are needed"
    assert headline_refusal(0) is not None
    assert headline_refusal(10) is headline_refusal(40) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exact_interval(3, 2), r"hits in 0 ... 2, got 3 \(hits\)"),
        (lambda: exact_interval(-1, 2), "hits in 0 ... 2, got -1"),
        (lambda: exact_interval(0, 0), r"one or more people, got 0 \(n\)"),
        (lambda: exact_interval(1, 2, level=0), r"level in \(0, 1\), got 0"),
        (lambda: share_interval(np.array([0.5, 2.0])), r"values in \[0, 1\], got 0.5 to 2 \(values\)"),
        (lambda: share_interval(np.array([])), "one or more units to draw from, got 0"),
        (lambda: nested_interval(np.zeros(3)), r"shape \(people, runs\), got \(3,\)"),
        (lambda: nested_interval(np.full((2, 2), np.nan)), "a value of at least one person, got none"),
        (lambda: paired_test([1], [1, 0]), r"for the same people, got \(1,\) and \(2,\) \(b\)"),
        (lambda: paired_test([np.nan, 1], [1, np.nan]), "one person with both values, got none"),
        (lambda: holm([0.1, 1.2]), r"probabilities in \[0, 1\], got \[0.1, 1.2\]"),
        (lambda: worst_person_bound([], []), r"one or more people, got 0 \(hits\)"),
        (lambda: worst_person_bound([1, 2], [3]), "runs of 2 people, as of hits, got 1"),
        (lambda: worst_person_bound([4], [3]), "hits in 0 ... 3, got 4"),
        (lambda: worst_person_bound([1], [3], level=1), r"level in \(0, 1\), got 1"),
        (lambda: runs_for_bound(0), r"one or more people, got 0 \(people\)"),
        (lambda: runs_for_bound(3, 1), r"bound in \(0, 1\), got 1"),
    ],
)
def test_what_cannot_be_said(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_tail_of_the_binomial():
    assert tail_of_guessing(0, 10, 0.3) == pytest.approx(1)
    assert tail_of_guessing(10, 10, 0.5) == pytest.approx(2**-10)
    assert tail_of_guessing(2, 3, 0.5) == pytest.approx(0.5)
