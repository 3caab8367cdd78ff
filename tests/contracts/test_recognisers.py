"""What every recogniser keeps, found by its export."""

from __future__ import annotations

import math

import pytest
import torch

from mi_lightning import recognisers
from mi_lightning.errors import MIError
from mi_lightning.recognisers import DlibFaces, Embedder, GE2EVoices, Recogniser
from mi_lightning.recognisers.base import METRICS
from tests.contracts.parts import example, exported, named, plain


def _pictures():
    return torch.rand(4, 1, 48, 40, generator=torch.Generator().manual_seed(0)), {"value_range": (0, 1)}


def _sounds():
    x = 0.1 * torch.randn(4, 1, 4000, generator=torch.Generator().manual_seed(0))
    return x, {"value_range": (-1, 1), "sample_rate": 16000}


#: How to make each recogniser, and samples that it takes.
EXAMPLES = {
    DlibFaces: lambda: (DlibFaces(), *_pictures()),
    Embedder: lambda: (Embedder(lambda x: x.flatten(1)[:, :7]), *_pictures()),
    GE2EVoices: lambda: (GE2EVoices(), *_sounds()),
}


@pytest.fixture(params=named(exported(recognisers, Recogniser)))
def case(request):
    recogniser, x, facts = example(request.param, EXAMPLES, "tests/contracts/test_recognisers.py")()
    try:
        recogniser.check()
    except MIError as error:
        pytest.skip(f"needs its weights: {error}")
    recogniser.memory.clear()
    return recogniser, x, facts


def test_vectors_of_one_size_that_depend_on_the_sample_alone(case):
    recogniser, x, facts = case
    found = recogniser.embed(x, **facts)
    assert found.vectors.shape == (4, recogniser.describe()["embedding_size"])
    assert found.vectors.dtype == torch.float32
    assert found.vectors.isfinite().all()
    assert found.detected.shape == (4,)
    assert found.detected.all() or recogniser.looks_for
    recogniser.memory.clear()
    again = recogniser.embed([x[2], x[0]], **facts)
    torch.testing.assert_close(again.vectors, found.vectors[[2, 0]], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found.vectors[0], found.vectors[1], atol=1e-4)


def test_random_state_and_samples_are_left_alone(case):
    recogniser, x, facts = case
    before, state = x.clone(), torch.get_rng_state()
    recogniser.embed(x, **facts)
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_sample_that_is_no_number_has_no_vector(case):
    recogniser, x, facts = case
    x[1] = math.nan
    found = recogniser.embed(x, **facts)
    assert found.vectors.isfinite().all(1).tolist() == [True, False, True, True]
    assert not found.detected[1]


def test_it_says_what_it_is_in_plain_values(case):
    recogniser, x, facts = case
    recogniser.embed(x, **facts)
    told = recogniser.describe()
    assert {"class", "weights", "trained_on", "metric", "embedding_size"} <= set(told)
    assert plain(told)
    assert recogniser.metric in METRICS
    assert all(len(digest) == 64 for digest in told["weights"].values())
