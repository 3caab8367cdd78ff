"""Estimators that only query: mean and magnitude against the analytic gradient, counts, bounds, rows."""

from __future__ import annotations

import math

import pytest
import torch

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.estimators.finite_difference import FiniteDifference
from mi_lightning.attacks.estimators.nes import NES
from mi_lightning.attacks.estimators.queries import apart, automatic_batch
from mi_lightning.attacks.estimators.spsa import SPSA, draw_signs
from mi_lightning.attacks.priors.l2 import L2
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.errors import InputError
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.defenses import GaussianNoise

ESTIMATORS = [
    SPSA(pairs=6, delta=0.02),
    NES(pairs=6, sigma=0.02),
    FiniteDifference(delta=0.01),
    FiniteDifference(delta=0.01, coordinates=7),
]
EVERY = pytest.mark.parametrize(
    "estimator", ESTIMATORS, ids=lambda e: f"{type(e).__name__}{vars(e).get('coordinates', '')}"
)
PIXELS = 30


def problem(classifier, cost=None, priors=(), target=None):
    return Problem(target or BlackBox.of(classifier), PixelSpace(), cost or NegativeLogConfidence(), list(priors))


def many(label, count):
    """The same person many times over, each with random numbers of its own."""
    return Rows.grid([label], count, seed=4)


def candidates(count, low=0.1, high=0.9):
    return (
        torch.empty(1, 1, 6, 5).uniform_(low, high, generator=torch.Generator().manual_seed(2)).repeat(count, 1, 1, 1)
    )


def analytic(classifier, z, label, cost):
    leaf = z.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(WhiteBox(classifier), leaf, label).sum(), leaf)
    return gradient


# ------------------------------------------------------------------------------------------------ scale


@pytest.mark.parametrize("cost", [NegativeLogConfidence(), OneMinusConfidence()])
@pytest.mark.parametrize(
    "estimator",
    [
        SPSA(pairs=50, delta=0.01),
        NES(pairs=50, sigma=0.01),
        FiniteDifference(delta=0.01),
        FiniteDifference(delta=0.01, coordinates=10),
    ],
    ids=["spsa", "nes", "all", "subset"],
)
def test_mean_and_magnitude_are_those_of_the_gradient(classifier, estimator, cost):
    rows = many(2, 400)
    z = candidates(400)
    estimate = estimator.gradient(problem(classifier, cost), z, RowState(rows, z)).flatten(1).double()
    true = analytic(classifier, z[:1], rows.label[:1], cost).flatten().double()
    mean = estimate.mean(0)
    error = estimate.std(0) / math.sqrt(400)
    assert bool(((mean - true).abs() < 5 * error + 0.01 * true.norm()).all())
    # a scale that is off by a factor shows here, whatever the spread: the projection on the true gradient
    assert float(mean @ true / (true @ true)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "estimator", [SPSA(pairs=50, delta=0.05), NES(pairs=50, sigma=0.05), FiniteDifference(delta=0.05)]
)
def test_the_scale_is_right_at_the_bounds_too(classifier, estimator):
    """Pixels on a bound, near one, and outside: the queries are clamped, the estimate is not shrunk."""
    with torch.no_grad():
        classifier.head.weight.mul_(0.2)  # nearly linear over the width of a step
    rows = many(1, 400)
    z = torch.tensor([0.0, 1.0, 0.01, 0.97, 0.5, 0.04]).repeat(5).view(1, 1, 6, 5).repeat(400, 1, 1, 1)
    ledger_of = {}

    def answer(x):
        ledger_of["range"] = (float(x.min()), float(x.max()))
        return classifier(x).softmax(1)

    target = BlackBox(answer, input_shape=(1, 6, 5), num_classes=7)
    estimate = estimator.gradient(problem(classifier, target=target), z, RowState(rows, z)).flatten(1).double()
    true = analytic(classifier, z[:1], rows.label[:1], NegativeLogConfidence()).flatten().double()
    mean, error = estimate.mean(0), estimate.std(0) / math.sqrt(400)
    assert bool(((mean - true).abs() < 5 * error + 0.03 * true.norm() / math.sqrt(PIXELS)).all())
    for pixel in range(6):  # each distance to the bounds has its own chance to be wrong
        part = torch.arange(pixel, PIXELS, 6)
        assert float(mean[part] @ true[part] / (true[part] @ true[part])) == pytest.approx(1, abs=0.15)
    assert ledger_of["range"][0] >= 0
    assert ledger_of["range"][1] <= 1


@pytest.mark.parametrize("estimator", [SPSA(delta=0.01), NES(sigma=0.001), FiniteDifference(delta=0.01)])
def test_a_pixel_far_outside_the_bounds_has_no_gradient(classifier, estimator):
    rows = many(1, 2)
    z = candidates(2)
    z[:, 0, 2, 3] = 1.5
    gradient = estimator.gradient(problem(classifier), z, RowState(rows, z))
    assert gradient[:, 0, 2, 3].tolist() == [0, 0]
    assert torch.isfinite(gradient).all()


def test_the_mean_square_of_a_clamped_step_is_right():
    estimator = NES(sigma=0.1)
    z = torch.tensor([[0.5, 0.0, 1.0, 0.05, 0.93, -0.1, 1.25]])
    u = 0.1 * torch.randn(400_000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    step = ((z + u).clamp(0, 1) - (z - u).clamp(0, 1)) / 2
    sampled = step.square().mean(0)
    torch.testing.assert_close(estimator._mean_square(z, (0.0, 1.0))[0].double(), sampled, rtol=0.03, atol=1e-6)
    assert estimator._mean_square(z, None).tolist() == [pytest.approx([0.01] * 7)]


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.3, 0.7), (-3.7, 12.9)])
@pytest.mark.parametrize("delta", [1e-4, 0.01, 0.3, 30.0])
def test_both_queries_of_a_pair_stay_within_the_bounds(bounds, delta):
    low, high = bounds
    z = torch.empty(200_000).uniform_(low, high, generator=torch.Generator().manual_seed(0))
    z[:2] = torch.tensor(bounds)
    middle, half = apart(z, delta, bounds)
    ends = torch.cat((middle + half, middle - half))
    ends = torch.cat((ends, 2 * middle.repeat(2) - ends))  # and mirrored
    assert bool((ends <= high).all())
    assert bool((ends >= low).all())
    torch.testing.assert_close(middle + half, (z + delta).clamp(low, high), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(middle - half, (z - delta).clamp(low, high), atol=1e-6, rtol=1e-6)


def test_signs_are_fair_and_independent(classifier):
    """What the target is asked: x +- delta, each coordinate on its own, all bits of the words used."""
    asked = []

    def answer(x):
        asked.append(x.flatten(1).clone())
        return torch.full((len(x), 3), 1 / 3)

    target = BlackBox(answer, input_shape=(1, 10, 13), num_classes=3)  # 130 pixels: three words, the last one in part
    rows = Rows.grid([0], 1, seed=1)
    estimator = SPSA(pairs=5000, delta=0.125)
    z = torch.full((1, 1, 10, 13), 0.5)
    estimator.gradient(Problem(target, PixelSpace(), OneMinusConfidence()), z, RowState(rows, z))
    above, below = torch.cat(asked)[::2], torch.cat(asked)[1::2]
    signs = (above - 0.5) / 0.125
    assert set(signs.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(above + below, torch.ones_like(above))
    assert float(signs.mean(0).abs().max()) < 5 / math.sqrt(5000)
    correlation = signs.T @ signs / 5000 - torch.eye(130)
    assert float(correlation.square().sum() / (130 * 129)) == pytest.approx(1 / 5000, rel=0.1)
    assert float(correlation.abs().max()) < 0.2


def test_every_bit_of_a_word_is_a_sign():
    signs = draw_signs([torch.Generator().manual_seed(3)], 128)
    words = [
        int(torch.empty(1, dtype=torch.int64).random_(-(2**63), None, generator=generator))
        for generator in [torch.Generator().manual_seed(3)]
        for _ in range(2)
    ]
    assert signs.shape == (1, 128)
    assert int((signs < 0).sum()) == sum((word % 2**64).bit_count() for word in words)


@pytest.mark.parametrize("pairs", [8, 128, 300])
def test_the_spread_is_that_of_independent_directions(classifier, pairs):
    rows = many(2, 300)
    with torch.no_grad():
        classifier.head.weight.mul_(0.05)  # nearly linear, so that the theory is exact
    z = candidates(300)
    estimate = SPSA(pairs=pairs).gradient(problem(classifier), z, RowState(rows, z)).flatten(1).double()
    true = analytic(classifier, z[:1], rows.label[:1], NegativeLogConfidence()).flatten().double()
    # each of the other coordinates adds its own derivative with a random sign: (D - 1) |g|^2 / pairs in all
    expected = float((PIXELS - 1) * true.square().sum() / pairs)
    assert float((estimate - true).square().sum(1).mean()) == pytest.approx(expected, rel=0.1)


# ------------------------------------------------------------------------------------------------ queries


@EVERY
@pytest.mark.parametrize("max_batch", [None, 1, 2, 5, 1000])
def test_queries_are_as_many_as_said_in_batches_as_large_as_allowed(classifier, estimator, max_batch):
    sizes = []

    def stub(x):
        sizes.append(len(x))
        return classifier(x).softmax(1)

    target = BlackBox(stub, input_shape=(1, 6, 5), num_classes=7)
    rows = Rows.grid([0, 3, 5], 1, seed=0)
    estimator.max_batch, before = max_batch, estimator.max_batch
    try:
        estimator.reset()
        estimator.gradient(problem(classifier, target=target), candidates(3), RowState(rows, candidates(3)))
    finally:
        estimator.max_batch = before
    each = estimator.queries_per_gradient(PIXELS)
    assert sum(sizes) == 3 * each == target.queries
    assert [target.ledger.of(key) for key in rows.keys] == [each] * 3
    if max_batch is not None:
        assert max(sizes) <= max(2, max_batch)  # a pair is asked together


@EVERY
def test_the_estimate_depends_neither_on_batches_nor_on_other_rows(classifier, estimator):
    rows = Rows.grid([0, 3, 5], 2, seed=0)
    z = torch.rand(6, 1, 6, 5, generator=torch.Generator().manual_seed(3))

    def estimates(max_batch, chosen):
        own = Rows.grid([0, 3, 5], 2, seed=0).select(torch.tensor(chosen))
        before, estimator.max_batch = estimator.max_batch, max_batch
        estimator.reset()
        try:
            found = [
                estimator.gradient(problem(classifier), z[chosen], RowState(own, z[chosen])) for _ in range(2)
            ]  # the second also shows that as much was drawn
        finally:
            estimator.max_batch = before
        return torch.stack(found)

    whole = estimates(None, [0, 1, 2, 3, 4, 5])
    for max_batch, chosen in ((2, [0, 1, 2, 3, 4, 5]), (6, [0, 1, 2, 3, 4, 5]), (None, [4]), (4, [5, 1])):
        torch.testing.assert_close(estimates(max_batch, chosen), whole[:, chosen], atol=2e-3, rtol=2e-3)
    if not (isinstance(estimator, FiniteDifference) and estimator.coordinates is None):
        assert not torch.equal(whole[0], whole[1])
    assert len(rows) == 6


def test_repeats_average_a_noisy_target(classifier):
    def spread(repeats):
        target = GaussianNoise(sigma=0.05).wrap(BlackBox.of(classifier))
        rows = many(2, 300)
        evaluation = SPSA(repeats=repeats).evaluate(
            problem(classifier, OneMinusConfidence(), target=target), candidates(300), RowState(rows, candidates(300))
        )
        assert evaluation.gradient is None
        assert target.queries == 300 * repeats
        return float(evaluation.total.std())

    assert spread(16) == pytest.approx(spread(1) / 4, rel=0.15)
    assert SPSA(repeats=16).queries_per_evaluation == 16


@EVERY
def test_evaluation_in_batches_is_that_of_the_problem(classifier, estimator):
    rows = Rows.grid([0, 3, 5], 1, seed=0)
    z = torch.rand(3, 1, 6, 5)
    whole = problem(classifier, priors=[L2(weight=0.3)])
    total, identity_loss, gradient = estimator.evaluate(whole, z, RowState(rows, z))
    expected = whole(z, rows.label, rows)
    torch.testing.assert_close((total, identity_loss), expected)
    assert gradient is None


def test_the_gradient_of_priors_is_exact_and_costs_no_query(classifier):
    prior = L2(weight=0.7, center=0.2)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()  # the target says the same to everything: only the prior is left
    whole = problem(classifier, priors=[prior])
    rows, z = Rows.grid([0, 1], 1, seed=0), candidates(2)
    for estimator in (SPSA(pairs=2), NES(pairs=2), FiniteDifference(coordinates=3)):
        before = whole.target.queries
        found = estimator.gradient(whole, z, RowState(rows, z))
        torch.testing.assert_close(found, 2 * 0.7 * (z - 0.2), atol=1e-5, rtol=1e-5)
        assert whole.target.queries - before == 2 * estimator.queries_per_gradient(PIXELS)


def test_batches_fit_the_memory():
    cpu = torch.device("cpu")
    assert 100 < automatic_batch(cpu, 4 * 10304) < 2000
    assert automatic_batch(cpu, 10**12) == 1
    assert automatic_batch(cpu, 1) == 2**16


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SPSA(delta=0), r"expected delta > 0, got 0 \(delta\)"),
        (lambda: SPSA(pairs=0), r"expected pairs >= 1, got 0 \(pairs\)"),
        (lambda: SPSA(repeats=0), r"expected repeats >= 1, got 0"),
        (lambda: SPSA(max_batch=0), r"expected max_batch >= 1, got 0"),
        (lambda: NES(sigma=-1), r"expected sigma > 0, got -1"),
        (lambda: NES(pairs=0), r"expected pairs >= 1, got 0"),
        (lambda: FiniteDifference(delta=0), r"expected delta > 0, got 0"),
        (lambda: FiniteDifference(coordinates=0), r"expected coordinates >= 1, got 0"),
        (lambda: FiniteDifference(coordinates=31).queries_per_gradient(30), r"expected at most 30 coordinates, got 31"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()
