"""Intervals against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mi_lightning.errors import InputError
from mi_lightning.stats import bootstrap_interval, share_interval


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
