"""Enrolment, ranks and thresholds, on vectors made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from mi_lightning.errors import InputError
from mi_lightning.recognisers import Gallery, distances, left_out_distances

INF, NAN = math.inf, math.nan


def gallery(metric="euclidean"):
    """Three of four people at (0, 0), (4, 0) and (0, 3); nobody enrolled the third."""
    vectors = torch.tensor([[-1.0, 0.0], [1.0, 0.0], [4.0, 0.0], [0.0, 3.0], [NAN, 0.0]])
    return Gallery.enrol(vectors, torch.tensor([0, 0, 1, 3, 2]), 4, metric)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances_are_those_of_scipy(metric):
    a, b = torch.randn(2, 7, 5, generator=torch.Generator().manual_seed(0))
    expected = cdist(a.double().numpy(), b.double().numpy(), metric)
    np.testing.assert_allclose(distances(a, b, metric), expected, atol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_vectors_that_are_no_numbers_are_infinitely_far(metric):
    a = torch.tensor([[NAN, 1.0], [INF, 1.0], [1.0, 0.0]])
    assert distances(a, torch.tensor([[1.0, 0.0]]), metric)[:, 0].tolist() == [INF, INF, 0.0]


def test_vector_without_a_direction_is_infinitely_far_by_angle():
    assert distances(torch.zeros(1, 2), torch.ones(1, 2), "cosine").tolist() == [[INF]]


@pytest.mark.parametrize(
    ("a", "b", "metric", "words"),
    [
        (torch.ones(1, 2), torch.ones(1, 2), "manhattan", "metric of euclidean, cosine, got manhattan"),
        (torch.ones(1, 2), torch.ones(1, 3), "cosine", r"vectors \(R, E\) and centres \(P, E\)"),
    ],
)
def test_distances_refuse_what_does_not_fit(a, b, metric, words):
    with pytest.raises(InputError, match=words):
        distances(a, b, metric)


def test_enrolment_averages_and_counts():
    enrolled = gallery()
    assert enrolled.centres[[0, 1, 3]].tolist() == [[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]]
    assert enrolled.counts.tolist() == [2, 1, 0, 1]
    assert enrolled.enrolled.tolist() == [True, True, False, True]


def test_enrolment_by_angle_averages_directions():
    enrolled = Gallery.enrol(torch.tensor([[10.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0]), 1, "cosine")
    torch.testing.assert_close(enrolled.centres, torch.tensor([[0.5, 0.5]]))


@pytest.mark.parametrize(
    ("vectors", "label", "metric", "words"),
    [
        (torch.ones(2, 3), torch.tensor([0, 4]), "euclidean", r"labels from 0 to 3, got 0 to 4 \(label\)"),
        (torch.ones(2, 3), torch.tensor([-1, 0]), "euclidean", "labels from 0 to 3"),
        (torch.ones(2, 3), torch.tensor([0]), "euclidean", "a label for each"),
        (torch.full((2, 3), NAN), torch.tensor([0, 1]), "euclidean", "makes a vector of, got none of 2"),
        (torch.ones(2, 3), torch.tensor([0, 1]), "angle", "metric of euclidean, cosine"),
    ],
)
def test_enrolment_refuses(vectors, label, metric, words):
    with pytest.raises(InputError, match=words):
        Gallery.enrol(vectors, label, 4, metric)


def test_ranks_guesses_and_distances():
    vectors = torch.tensor([[0.1, 0.0], [3.0, 0.0], [0.0, 2.9], [NAN, 0.0], [0.0, 0.0]])
    label = torch.tensor([0, 0, 1, 1, 2])
    enrolled = gallery()
    # 2: one is nearer; 3: both others are; 4: one more than there are people, for no vector and for a stranger
    assert enrolled.rank(vectors, label).tolist() == [1, 2, 3, 4, 4]
    assert enrolled.guess(vectors).tolist() == [0, 1, 3, -1, 0]
    assert enrolled.distances(vectors)[:, 2].tolist() == [INF] * 5
    assert enrolled.distances(vectors)[1, :2].tolist() == [3.0, 1.0]


def test_ties_count_against():
    assert gallery().rank(torch.tensor([[2.0, 0.0]]), torch.tensor([0])).tolist() == [2]


def test_somebody_without_a_vector_is_not_recognised_among_one():
    alone = Gallery.enrol(torch.ones(1, 2), torch.tensor([0]), 1, "euclidean")
    assert alone.rank(torch.tensor([[NAN, 0.0], [9.0, 9.0]]), torch.tensor([0, 0])).tolist() == [2, 1]


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_left_out_distances_are_those_to_people_enrolled_without_the_sample(metric):
    vectors = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))
    label = torch.tensor([0, 0, 0, 1, 1, 2, 0, 1, 0])
    found = left_out_distances(vectors, label, 4, metric)
    for place in range(9):
        keep = torch.arange(9) != place
        without = Gallery.enrol(vectors[keep], label[keep], 4, metric)
        everybody = Gallery.enrol(vectors, label, 4, metric)
        expected = everybody.distances(vectors[place : place + 1])[0]
        expected[label[place]] = without.distances(vectors[place : place + 1])[0, label[place]]
        torch.testing.assert_close(found[place], expected)
    assert found[5, 2] == INF  # a person of one sample is nobody without it
    assert (found[:, 3] == INF).all()
