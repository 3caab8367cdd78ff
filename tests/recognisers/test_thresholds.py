"""Verification thresholds, on distances made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mi_lightning.errors import InputError
from mi_lightning.recognisers import Threshold, Thresholds, accepted_as_others

INF, NAN = math.inf, math.nan


def pairs(people=5, samples=20):
    """Distances of samples to people: 0.1 to one's own, and 1, 2, 3, ... to the others, all different."""
    label = torch.arange(people).repeat_interleave(samples)
    found = 1 + torch.arange(float(len(label) * people)).view(len(label), people)
    return found.scatter(1, label[:, None], 0.1), label


def test_threshold_lets_in_what_it_says():
    found, label = pairs()
    impostors = found[found > 0.5].sort().values
    assert len(impostors) == 400
    for rate, let_in in ((0.01, 4), (0.1, 40), (0.0025, 1)):
        threshold = Thresholds(found, label).at(rate)
        assert threshold.distance == float(impostors[let_in - 1])
        assert threshold.impostor_pairs == 400
        assert int(threshold.accepts(impostors).sum()) == let_in
        assert threshold.genuine_accepted == 1
        assert threshold.reason is None
        assert threshold.low <= let_in / 400 <= threshold.high


def test_threshold_is_refused_for_too_few_pairs():
    threshold = Thresholds(*pairs()).at(0.001)
    assert threshold == Threshold(0.001, None, 400, None, None, None, threshold.reason)
    assert threshold.reason == "400 pairs of a real sample and another person are too few to let 0.1% of them in"
    with pytest.raises(InputError, match=r"too few to let 0\.1%"):
        threshold.accepts(torch.ones(1))


def test_threshold_never_lets_more_in_where_distances_are_the_same():
    found, label = pairs()
    tied = Thresholds(found.where(found < 0.5, 2.0), label).at(0.01)
    assert tied.distance is None
    assert "equally near" in tied.reason
    some = found.clone()
    some[0, 1:4] = torch.tensor([0.5, 0.7, 0.7])  # 2 of 400 may be let in, and 0.7 would be three
    assert Thresholds(some, label).at(0.005).distance == 0.5


def test_samples_without_a_vector_are_never_accepted_and_make_no_pairs():
    found, label = pairs()
    found[0] = INF  # no vector: 4 pairs less
    found[:, 4] = INF  # nobody enrolled the last person: 79 pairs less
    threshold = Thresholds(found, label).at(0.01)
    assert threshold.impostor_pairs == 400 - 4 - 79
    assert threshold.genuine_accepted == 0.79


@pytest.mark.parametrize("rate", [0.0, 1.0, NAN])
def test_rate_outside_its_range(rate):
    with pytest.raises(InputError, match=r"rate in \(0, 1\)"):
        Thresholds(*pairs()).at(rate)


@pytest.mark.parametrize(
    ("found", "label"), [(torch.ones(0, 3), torch.ones(0, dtype=torch.long)), (torch.ones(2, 3), torch.tensor([0]))]
)
def test_thresholds_refuse_what_does_not_fit(found, label):
    with pytest.raises(InputError, match=r"distances \(N, P\) of real samples"):
        Thresholds(found, label)


def test_interval_covers_the_true_share_for_other_people():
    """People at random places; the true share of pairs at a distance is that of a million others.

    A bootstrap that took pairs for independent would be far too narrow: some people are near many.
    """
    generator = torch.Generator().manual_seed(0)
    many = torch.randn(2000, 3, generator=generator)
    nearness = torch.pdist(many)
    hits = 0
    studies = 60
    for study in range(studies):
        people = torch.randn(30, 3, generator=generator)
        found = torch.cdist(people, people)
        threshold = Thresholds(found, torch.arange(30), draws=400, seed=study).at(0.1)
        truth = float((nearness <= threshold.distance).double().mean())
        hits += threshold.low <= truth <= threshold.high
    assert 0.75 <= hits / studies <= 1


def test_interval_is_the_same_each_time_and_leaves_the_global_random_state():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    first, second = (Thresholds(*pairs()).at(0.1) for _ in range(2))
    assert first == second
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_share_of_wrong_people_accepted():
    threshold = Threshold(0.01, 1.0, 100, 0.0, 0.1, 1.0)
    found = torch.tensor([[0.5, 1.0, 0.9, 1.1], [INF, INF, INF, INF]])
    enrolled = torch.tensor([True, True, False, True])
    assert accepted_as_others(threshold, found, torch.tensor([0, 0]), enrolled).tolist() == [0.5, 0.0]
