"""The smoothed gradient: where it is exact, what it averages to, and what it counts."""

from __future__ import annotations

import math

import pytest
import torch

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.estimators.autograd import Autograd
from mi_lightning.attacks.estimators.smoothed import SmoothedAutograd
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError
from mi_lightning.targets import WhiteBox


class Polynomial(Cost):
    """Mean over the pixels of a power of their value; no classifier is asked."""

    def __init__(self, power: int) -> None:
        super().__init__()
        self.power = power

    def forward(self, target, x, label):
        return x.pow(self.power).flatten(1).mean(1)

    def confidence(self, cost):
        return cost


def make(classifier: SoftmaxRegression, cost: Cost) -> Problem:
    return Problem(WhiteBox(classifier), PixelSpace(clamp=False), cost)


@pytest.mark.parametrize("samples", [2, 4])
def test_pairs_are_exact_where_the_gradient_is_linear(classifier, samples):
    """Noise of opposite sign cancels in the gradient 2 z / D of a parabola."""
    rows = Rows.grid([0, 1, 2], 1, seed=0)
    z = torch.rand(3, 1, 6, 5)
    gradient = SmoothedAutograd(noise=0.5, samples=samples).gradient(
        make(classifier, Polynomial(2)), z, RowState(rows, z)
    )
    torch.testing.assert_close(gradient, 2 * z / 30)


def test_it_is_the_gradient_of_the_blurred_cost(classifier):
    """E (z + s u)^3 = z^3 + 3 s^2 z, so the gradient is 3 (z^2 + s^2) / D."""
    rows = Rows.grid([0, 1], 1, seed=0)
    z = torch.rand(2, 1, 6, 5)
    gradient = SmoothedAutograd(noise=0.5, samples=4000).gradient(make(classifier, Polynomial(3)), z, RowState(rows, z))
    torch.testing.assert_close(gradient, 3 * (z**2 + 0.25) / 30, rtol=0.15, atol=0.005)


def test_without_noise_to_speak_of_it_is_backpropagation(classifier):
    rows = Rows.grid([0, 4], 1, seed=0)
    z = torch.rand(2, 1, 6, 5)
    objective = make(classifier, NegativeLogConfidence())
    smoothed = SmoothedAutograd(noise=1e-5, samples=3).gradient(objective, z, RowState(rows, z))
    torch.testing.assert_close(smoothed, Autograd().gradient(objective, z, RowState(rows, z)), atol=1e-3, rtol=1e-3)


def test_the_cost_is_that_of_the_candidate_itself(classifier):
    rows = Rows.grid([0, 4], 1, seed=0)
    z = torch.rand(2, 1, 6, 5)
    objective = make(classifier, NegativeLogConfidence())
    smoothed = SmoothedAutograd(noise=0.5).evaluate(objective, z, RowState(rows, z))
    exact = Autograd().evaluate(objective, z, RowState(rows, z))
    torch.testing.assert_close(smoothed.total, exact.total)
    assert smoothed.gradient is None


def test_queries_are_counted(invert):
    estimator = SmoothedAutograd(noise=0.1, samples=3)
    result = invert(cost=NegativeLogConfidence(), estimator=estimator, labels=[1, 2], max_iterations=5)
    assert result.queries.tolist() == [1 + 5 * (1 + 3)] * 2


def test_a_row_does_not_depend_on_the_others(invert):
    settings = {
        "cost": NegativeLogConfidence(),
        "estimator": SmoothedAutograd(noise=0.3, samples=3),
        "max_iterations": 6,
    }
    together = invert(labels="all", restarts=2, **settings)
    alone = invert(labels=[5], restarts=2, **settings)
    chunks = invert(labels="all", restarts=2, rows_at_once=3, **settings)
    torch.testing.assert_close(together.reconstruction[together.label == 5], alone.reconstruction)
    torch.testing.assert_close(together.reconstruction, chunks.reconstruction)
    assert not torch.allclose(alone.reconstruction[0], alone.reconstruction[1])  # restarts have noise of their own


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"noise": 0.0}, r"^expected a finite noise > 0, got 0\.0 \(noise\)$"),
        ({"noise": math.inf}, r"^expected a finite noise > 0, got inf"),
        ({"samples": 0}, r"^expected samples >= 1, got 0 \(samples\)$"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(InputError, match=words):
        SmoothedAutograd(**arguments)
