from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from mi_lightning.report.study.agreement import agreement

NAN = float("nan")


def drawn(people: int, judges: int, *, answers: int = 2, alike: float = 0.7, seed: int = 0):
    """Answers of judges who say what the person's picture suggests, but for a share of them."""
    rng = np.random.default_rng(seed)
    truth, own = rng.integers(answers, size=(people, 1)), rng.integers(answers, size=(people, judges))
    return np.where(rng.random((people, judges)) < alike, truth, own).astype(float)


@pytest.mark.parametrize("answers", [2, 3])
def test_of_two_judges_it_is_cohens_kappa(answers):
    codes = drawn(40, 2, answers=answers)
    assert agreement(codes)["kappa"] == pytest.approx(cohen_kappa_score(*codes.T))


def test_of_several_judges_it_lies_among_those_of_their_pairs():
    codes = drawn(60, 4)
    pairs = [cohen_kappa_score(codes[:, i], codes[:, j]) for i in range(4) for j in range(i)]
    found = agreement(codes)
    assert found["kappa"] == pytest.approx(np.mean(pairs), abs=0.01)
    assert (found["people"], found["judges"]) == (60, 4)
    assert found["low"] < found["kappa"] < found["high"]


def test_worked_by_hand():
    # 3 of 4 answers alike; the first says 1 half of the time, the second always but once: e = 1/2 3/4 + 1/2 1/4 = 1/2
    found = agreement(np.array([[1.0, 1], [1, 1], [0, 1], [0, 0]]))
    assert found["same"] == 0.75
    assert found["kappa"] == pytest.approx((0.75 - 0.5) / (1 - 0.5))


def test_judges_who_guess_agree_by_chance_alone():
    found = agreement(drawn(4000, 3, alike=0))
    assert found["kappa"] == pytest.approx(0, abs=0.05)
    assert found["low"] < 0 < found["high"]


def test_judges_who_always_agree():
    codes = np.repeat(np.array([[0.0], [1]] * 20), 3, axis=1)
    assert agreement(codes)["kappa"] == agreement(codes)["high"] == 1


def test_missing_answers_count_for_no_pair():
    codes = drawn(50, 2)
    codes[40:, 1] = NAN
    assert agreement(codes)["kappa"] == pytest.approx(cohen_kappa_score(*codes[:40].T))
    assert agreement(codes)["people"] == 40


@pytest.mark.parametrize(
    ("codes", "same"),
    [
        (np.empty((0, 0)), None),
        (np.empty((5, 0)), None),
        (np.ones((5, 1)), None),
        (np.array([[1, NAN], [NAN, 1]]), None),
        (np.ones((5, 2)), 1.0),  # all the same answer: agreement, but nothing beyond habit can be told
    ],
)
def test_where_there_is_nothing_to_tell(codes, same):
    found = agreement(codes)
    assert (found["kappa"], found["low"], found["high"], found["same"]) == (None, None, None, same)


def test_the_interval_covers_the_kappa_of_all_people():
    truth = agreement(drawn(20000, 2, seed=99))["kappa"]
    inside = [agreement(drawn(40, 2, seed=seed)) for seed in range(60)]
    assert sum(found["low"] <= truth <= found["high"] for found in inside) >= 52  # 95% of 60: 57; 52 or less: 1 in 100
