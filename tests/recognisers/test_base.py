"""What every recogniser has: one look at each sample, and errors before it looks."""

from __future__ import annotations

import math

import pytest
import torch

from mi_lightning.errors import InputError
from mi_lightning.recognisers import DlibFaces, Embeddings, GE2EVoices, Recogniser, default_recogniser


class Means(Recogniser):
    """Mean and greatest value of a sample; a face is what is bright."""

    looks_for = "a bright picture"

    def __init__(self, kind=None):
        super().__init__()
        self.kind = kind
        self.looked_at = []

    def embed_new(self, samples, *, value_range, sample_rate):
        self.looked_at += samples
        vectors = torch.stack([torch.stack([sample.mean(), sample.max()]) for sample in samples])
        return Embeddings(vectors, vectors[:, 0] > 0.5)

    def describe(self):
        return {"class": "Means", "weights": {}, "trained_on": "nobody", "metric": self.metric, "embedding_size": 2}

    def check(self):
        pass


def test_a_sample_is_looked_at_once():
    recogniser = Means()
    x = torch.rand(4, 1, 3, 2, generator=torch.Generator().manual_seed(0))
    first = recogniser.embed(x[[0, 1, 1, 2]], value_range=(0, 1))
    again = recogniser.embed([x[3], x[1]], value_range=(0, 1))
    assert len(recogniser.looked_at) == 4
    torch.testing.assert_close(first.vectors[:, 0], x[[0, 1, 1, 2]].mean((1, 2, 3)))
    assert torch.equal(again.vectors[1], first.vectors[1])
    assert torch.equal(first.vectors[1], first.vectors[2])
    assert first.detected.tolist() == (x[[0, 1, 1, 2]].mean((1, 2, 3)) > 0.5).tolist()


def test_the_same_numbers_in_another_shape_range_or_rate_are_another_sample():
    recogniser = Means()
    x = torch.full((1, 1, 2, 3), 0.25)
    recogniser.embed(x, value_range=(0, 1))
    recogniser.embed(x.view(1, 1, 3, 2), value_range=(0, 1))
    recogniser.embed(x, value_range=(-1, 1))
    recogniser.embed(x, value_range=(0, 1), sample_rate=8000)
    assert len(recogniser.looked_at) == 4


def test_what_was_found_is_not_changed_by_who_asked():
    recogniser = Means()
    x = torch.ones(1, 1, 2, 2)
    recogniser.embed(x, value_range=(0, 1)).vectors.zero_()
    assert recogniser.embed(x, value_range=(0, 1)).vectors.tolist() == [[1.0, 1.0]]


def test_values_outside_the_range_count_as_its_ends():
    found = Means().embed(torch.tensor([[-5.0, 5.0]]), value_range=(0, 1))
    assert found.vectors.tolist() == [[0.5, 1.0]]


def test_samples_that_are_no_numbers_have_no_vector():
    recogniser = Means()
    x = torch.ones(3, 1, 2, 2)
    x[1, 0, 0, 0], x[2] = math.nan, math.inf
    found = recogniser.embed(x, value_range=(0, 1))
    assert found.vectors.isfinite().all(1).tolist() == [True, False, False]
    assert found.detected.tolist() == [True, False, False]
    assert recogniser.embed(x[1:], value_range=(0, 1)).vectors.shape == (2, 2)


@pytest.mark.parametrize(
    ("kind", "x", "arguments", "words"),
    [
        (None, torch.ones(0, 1, 2, 2), {}, "one or more samples"),
        (None, torch.ones(1, 2), {"value_range": (1, 0)}, "least value below the greatest"),
        ("picture", torch.ones(1, 2, 4, 4), {}, r"pictures \(1 or 3 channels.*got \(2, 4, 4\)"),
        ("picture", torch.ones(1, 1, 4), {"sample_rate": 16000}, r"pictures .*got \(1, 4\)"),
        ("sound", torch.ones(1, 1, 4, 4), {"sample_rate": 16000}, r"sounds \(1, samples\).*got \(1, 4, 4\)"),
        ("sound", torch.ones(1, 1, 0), {"sample_rate": 16000}, r"sounds \(1, samples\)"),
        ("sound", torch.ones(1, 1, 4), {}, r"sample_rate >= 1 \(Hz\)"),
    ],
)
def test_samples_that_it_does_not_take(kind, x, arguments, words):
    recogniser = Means(kind)
    with pytest.raises(InputError, match=words):
        recogniser.embed(x, **{"value_range": (0, 1), **arguments})
    assert not recogniser.looked_at


def test_recogniser_of_each_kind_of_samples():
    assert isinstance(default_recogniser("picture"), DlibFaces)
    assert isinstance(default_recogniser("sound"), GE2EVoices)
    assert default_recogniser("other") is None
