"""CMA-ES as a step: it descends, takes over what moved the candidate, and goes on after it was saved."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.priors.l2 import L2
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.attacks.steps import CMAESStep
from mi_lightning.errors import InputError, MIError
from mi_lightning.targets import BlackBox, WhiteBox

pytest.importorskip("cma")


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.3)


def test_it_finds_the_least_of_a_bowl(classifier):
    with torch.no_grad():
        classifier.head.weight.mul_(0.3)
    cost, priors = NegativeLogConfidence(), [L2(weight=0.05)]
    by_queries = Attack(step=CMAESStep(sigma=0.2), cost=cost, priors=priors, max_iterations=120)
    by_gradient = Attack(optimizer=sgd, cost=cost, priors=priors, max_iterations=300)
    found = by_queries.run(BlackBox.of(classifier), labels=[1, 2])
    expected = by_gradient.run(WhiteBox(classifier), labels=[1, 2])
    torch.testing.assert_close(found.cost, expected.cost, rtol=0.05, atol=0)  # many pixels end on a bound


def bound(step, classifier, rows):
    problem = Problem(BlackBox.of(classifier), PixelSpace(), NegativeLogConfidence())
    state = RowState(rows, torch.full((len(rows), 1, 6, 5), 0.4))
    step.bind(problem, state)
    return problem, state


def test_what_else_moved_the_candidate_moves_the_mean(classifier):
    step = CMAESStep(sigma=1e-3)
    problem, state = bound(step, classifier, Rows.grid([1], 1, seed=0))
    for start in (state.z, state.z * 0.5, state.z * 0.5 + 0.3):  # a projection, a constraint
        state.z = start
        assert float((step.propose(problem, state) - start).abs().max()) < 0.02


def test_it_goes_on_after_it_was_saved(classifier):
    def run(step, count, problem, state):
        for number in range(count):
            state.z = step.propose(problem, state) * (0.9 if number == 1 else 1.0)  # somebody moves it once
        return state.z

    rows, step = Rows.grid([1, 3], 1, seed=0), CMAESStep(sigma=0.1, population=6)
    problem, state = bound(step, classifier, rows)
    run(step, 4, problem, state)
    saved, saved_rows, at = step.state_dict(), rows.state_dict(), state.z.clone()
    whole = run(step, 3, problem, state)
    again = CMAESStep(sigma=0.1, population=6)
    problem, state = bound(again, classifier, Rows.from_state_dict(saved_rows))
    again.load_state_dict(saved)
    state.z = at
    assert torch.equal(run(again, 3, problem, state), whole)


def test_the_global_generator_is_left_alone(classifier):
    np.random.seed(3)  # noqa: NPY002 - the global one is what is watched
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    step = CMAESStep()
    step.propose(*bound(step, classifier, Rows.grid([1], 1, seed=0)))
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_it_needs_its_package_and_a_small_space(classifier, monkeypatch):
    monkeypatch.setattr("mi_lightning.attacks.steps.cmaes._LARGEST", 29)
    with pytest.raises(InputError, match=r"expected a space of at most 29 coordinates for CMAESStep, got 30 \(space\)"):
        bound(CMAESStep(), classifier, Rows.grid([1], 1, seed=0))
    whole = builtins.__import__

    def without(name, *rest):
        if name == "cma":
            raise ImportError(name)
        return whole(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MIError, match=r"CMAESStep needs the package cma: pip install mi-lightning\[blackbox\]"):
        bound(CMAESStep(), classifier, Rows.grid([1], 1, seed=0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"sigma": 0}, r"expected sigma > 0, got 0 \(sigma\)"), ({"population": 3}, r"expected population >= 4, got 3")],
)
def test_wrong_settings(settings, message):
    with pytest.raises(InputError, match=message):
        CMAESStep(**settings)
