"""Algorithm 1 of Fredrikson et al. (CCS 2015) against a transcription in plain Python, row by row."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.initializers.constant import Zeros
from mi_lightning.attacks.priors.l2 import L2
from mi_lightning.attacks.spaces.pixel import PixelSpace


@dataclass
class Found:
    image: np.ndarray
    cost: float
    iteration: int
    reason: str
    best: int


def algorithm1(weight, bias, label, *, alpha, beta, gamma, lr, mu, aux=0.0, log_cost, patience) -> Found:
    """One row, one step at a time, lists and loops: what the paper prints, with momentum and the cost as options."""

    def cost_and_gradient(x):
        logits = weight @ x + bias
        exponential = np.exp(logits - logits.max())
        p = exponential / exponential.sum()
        onehot = np.eye(len(p))[label]
        auxterm, its_gradient = aux * (x @ x), 2 * aux * x
        if log_cost:
            return -math.log(p[label]) + auxterm, weight.T @ (p - onehot) + its_gradient
        return 1 - p[label] + auxterm, weight.T @ (p[label] * (p - onehot)) + its_gradient

    x = np.zeros(weight.shape[1])
    velocity = np.zeros_like(x)
    cost, gradient = cost_and_gradient(x)
    images, costs = [x], [cost]
    best_so_far, since = cost, 0
    for i in range(1, alpha + 1):
        velocity = mu * velocity + gradient
        x = x - lr * velocity
        cost, gradient = cost_and_gradient(x)
        window = costs[-beta:] if beta else []
        images.append(x)
        costs.append(cost)
        since = 0 if cost < best_so_far else since + 1
        best_so_far = min(best_so_far, cost)
        reason = None
        if beta and (since >= beta if patience else cost >= max(window)):
            reason = "stagnation"
        elif gamma is not None and cost <= gamma:
            reason = "target_cost"
        elif i == alpha:
            reason = "max_iterations"
        if reason:
            best = int(np.argmin(costs))
            return Found(images[best], costs[best], i, reason, best)
    raise AssertionError("unreachable")


CASES = {
    # name: (settings, the reason that decides at least one row)
    "alpha": ({"alpha": 37, "beta": None, "gamma": None, "lr": 0.05, "mu": 0.0}, "max_iterations"),
    "alpha, momentum": ({"alpha": 37, "beta": 500, "gamma": 1e-9, "lr": 0.01, "mu": 0.9}, "max_iterations"),
    "gamma": ({"alpha": 5000, "beta": 100, "gamma": 0.01, "lr": 0.1, "mu": 0.0}, "target_cost"),
    "gamma, momentum": ({"alpha": 5000, "beta": 100, "gamma": 0.05, "lr": 0.05, "mu": 0.95}, "target_cost"),
    # an AUXTERM with steps that overshoot it makes the cost rise and fall
    "beta": ({"alpha": 400, "beta": 3, "gamma": 1e-9, "lr": 4.0, "mu": 0.0, "aux": 0.2}, "stagnation"),
    "beta of one": ({"alpha": 400, "beta": 1, "gamma": 1e-9, "lr": 4.0, "mu": 0.0, "aux": 0.2}, "stagnation"),
    "beta, momentum": ({"alpha": 400, "beta": 5, "gamma": 1e-9, "lr": 0.5, "mu": 0.95, "aux": 0.05}, "stagnation"),
    "beta longer than the run": ({"alpha": 30, "beta": 1000, "gamma": 1e-9, "lr": 0.02, "mu": 0.9}, "max_iterations"),
}


@pytest.mark.parametrize("patience", [False, True], ids=["algorithm", "patience"])
@pytest.mark.parametrize("log_cost", [False, True], ids=["1-p", "-log p"])
@pytest.mark.parametrize("case", CASES)
def test_same_as_the_transcription_row_by_row(invert, classifier, case, log_cost, patience):
    settings, deciding = CASES[case]
    # double precision: the transcription has it, and a rule decided by rounding would compare nothing
    classifier.double()
    result = invert(
        space=DoublePixels(initializer=Zeros(), clamp=False),
        cost=NegativeLogConfidence() if log_cost else OneMinusConfidence(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=settings["lr"], momentum=settings["mu"]),
        priors=[L2(weight=settings["aux"], center=0.0)] if "aux" in settings else None,
        max_iterations=settings["alpha"],
        beta=settings["beta"],
        gamma=settings["gamma"],
        stagnation_rule="patience" if patience else "algorithm",
        report_every=7,
    )
    (weight, bias) = (parameter.detach().numpy() for parameter in classifier.parameters())
    expected = [
        algorithm1(weight, bias, label, **settings, log_cost=log_cost, patience=patience)
        for label in range(classifier.num_classes)
    ]
    assert result.iterations.tolist() == [row.iteration for row in expected]
    assert list(result.stop_reason) == [row.reason for row in expected]
    assert result.best_iteration.tolist() == [row.best for row in expected]
    np.testing.assert_allclose(result.cost, [row.cost for row in expected], rtol=1e-5, atol=1e-9)
    for image, row in zip(result.candidate.flatten(1).numpy(), expected, strict=True):
        np.testing.assert_allclose(image, row.image, atol=1e-9)
    if not (patience or log_cost):
        assert deciding in result.stop_reason  # else the case does not show what its name says


def test_the_cases_stop_rows_at_different_iterations(invert):
    result = invert(space=PixelSpace(initializer=Zeros(), clamp=False), beta=100, gamma=0.01, report_every=1000)
    assert len(set(result.iterations.tolist())) > 3


class DoublePixels(PixelSpace):
    def initial(self, rows):
        return super().initial(rows).double()
