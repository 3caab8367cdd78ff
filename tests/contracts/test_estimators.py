"""Every estimator of a gradient, in every space, with every kind of prior, against backpropagation or its own law."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mi_lightning.attacks import estimators
from mi_lightning.attacks.costs import NegativeLogConfidence
from mi_lightning.attacks.estimators import (
    NES,
    SPSA,
    AugmentedAutograd,
    Autograd,
    FiniteDifference,
    GradientEstimator,
    SmoothedAutograd,
)
from mi_lightning.attacks.initializers import Noise
from mi_lightning.attacks.priors import L2, CodeNorm, Prior
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.spaces import LatentSpace, PixelSpace, Space, WaveformSpace
from mi_lightning.targets import WhiteBox
from tests.contracts.attack_examples import CODE, Decoder, dae, softmax

#: Gradient of the total at candidates, from which the mean of an estimator at one candidate is made.
Gradient = Callable[[Tensor], Tensor]


def rolled(gradient: Gradient, z: Tensor) -> Tensor:
    """Mean over moves by -1, 0 and 1 samples of the gradient there, moved back."""
    return torch.stack([gradient(z.roll(by, -1)).roll(-by, -1) for by in (-1, 0, 1)]).mean(0)


def blurred(gradient: Gradient, z: Tensor) -> Tensor:
    """Mean of the gradient around a candidate, under a normal density of standard deviation 0.05."""
    return gradient(z + 0.05 * normal(z)).mean(0, keepdim=True)


def disturbed(gradient: Gradient, z: Tensor) -> Tensor:
    """Mean of the gradient at a candidate that is louder or softer by up to 5%, with noise at 2% of its size."""
    noise = 0.02 * z.square().mean(-1, keepdim=True).sqrt() * normal(z)
    gain = 1 + 0.05 * torch.linspace(-1, 1, len(noise))[torch.randperm(len(noise))].view(-1, *(1,) * (z.ndim - 1))
    return (gain * gradient(gain * z + noise)).mean(0, keepdim=True)


def normal(z: Tensor) -> Tensor:
    return torch.randn(20_000, *z.shape[1:], generator=torch.Generator().manual_seed(0))


#: An estimator, and whether it is exact (else its mean is), and of what: of the gradient, unless it says otherwise.
ESTIMATORS: dict[type, list[tuple[GradientEstimator, dict[str, Any]]]] = {
    Autograd: [(Autograd(), {"exact": 1e-4})],
    AugmentedAutograd: [
        (AugmentedAutograd(shift=0, gain=0.0, samples=2), {"exact": 1e-4}),
        (AugmentedAutograd(shift=1, gain=0.0, samples=20), {"law": rolled}),
        (AugmentedAutograd(shift=0, gain=0.05, noise=0.02, samples=2), {"law": disturbed}),
    ],
    FiniteDifference: [
        (FiniteDifference(delta=0.01), {"exact": 0.02}),
        (FiniteDifference(delta=0.01, coordinates=2), {}),
    ],
    NES: [(NES(pairs=20, sigma=0.01), {})],
    SPSA: [(SPSA(pairs=20, delta=0.01), {})],
    SmoothedAutograd: [(SmoothedAutograd(noise=0.05, samples=3), {"law": blurred})],
}
SPACES: dict[str, Callable[[], tuple[Space, WhiteBox]]] = {
    "pixel": lambda: (PixelSpace(initializer=Noise(mean=0.5, std=0.1)), WhiteBox(softmax())),
    "code": lambda: (LatentSpace(initializer=Noise(mean=0.0, std=0.3)), WhiteBox(dae())),
    "decoder": lambda: (
        LatentSpace(decoder=Decoder(), code_size=CODE, look_at="image", initializer=Noise(mean=0.0, std=0.3)),
        WhiteBox(softmax()),
    ),
    "waveform": lambda: (
        WaveformSpace(duration=0.03, sample_rate=1000, frame_shift=0.01, initializer=Noise(mean=0.0, std=0.2)),
        WhiteBox(softmax((1, 20), (-1.0, 1.0))),
    ),
}
PRIORS: dict[str, Callable[[], list[Prior]]] = {
    "none": list,
    "input": lambda: [L2(weight=0.3, center=0.1)],
    "candidate": lambda: [CodeNorm(weight=0.3)],
}


def exported() -> list[type]:
    parts = (getattr(estimators, name) for name in estimators.__all__)
    return [part for part in parts if issubclass(part, GradientEstimator) and not inspect.isabstract(part)]


@pytest.mark.parametrize("estimator", exported())
def test_every_estimator_has_an_example(estimator):
    assert estimator in ESTIMATORS, (
        f"add an example of {estimator.__name__} to ESTIMATORS in tests/contracts/test_estimators.py"
    )


@pytest.mark.parametrize("priors", PRIORS)
@pytest.mark.parametrize("space_name", SPACES)
@pytest.mark.parametrize(
    ("estimator", "facts"),
    [
        pytest.param(*example, id=part.__name__ + (f"-{place}" if len(examples) > 1 else ""))
        for part, examples in ESTIMATORS.items()
        for place, example in enumerate(examples)
    ],
)
def test_an_estimate_is_the_gradient_or_keeps_its_law(estimator, facts, space_name, priors):
    space, target = SPACES[space_name]()
    problem = Problem(target, space, NegativeLogConfidence(), priors=PRIORS[priors]())
    count = 3 if "exact" in facts else 400
    rows = Rows.grid([2], count, seed=7)  # one person many times over, each with random numbers of its own
    one = space.initial(Rows.grid([2], 1, seed=1))
    z = one.expand(count, *one.shape[1:]).clone()
    state = RowState(rows, z)

    def loss(z: Tensor) -> Tensor:
        """The cost by its parts, without the problem."""
        label = torch.full((len(z),), 2)
        return -space.view(target).release_log(space.present(z)).gather(1, label[:, None])[:, 0]

    def gradient(z: Tensor) -> Tensor:
        leaf = z.clone().requires_grad_()
        known = sum(prior(leaf if prior.sees == "candidate" else space.decode(leaf)).sum() for prior in problem.priors)
        return torch.autograd.grad(loss(leaf).sum() + known, leaf)[0]

    # the evaluation is that of the candidates themselves, and costs what it says
    evaluation = estimator.evaluate(problem, z, state)
    with torch.no_grad():
        torch.testing.assert_close(evaluation.identity_loss, loss(z))
        torch.testing.assert_close(evaluation.total, loss(z) + problem.penalty(z))
    asked = target.queries
    assert asked == count * estimator.queries_per_evaluation * space.queries_per_candidate

    estimate = evaluation.gradient
    if estimate is None:
        estimate = estimator.gradient(problem, z, state)
        size = one[0].numel()
        assert target.queries - asked == count * estimator.queries_per_gradient(size) * space.queries_per_candidate
    assert not estimate.requires_grad
    torch.testing.assert_close(z, one.expand_as(z))  # candidates are left as they are
    expected = facts.get("law", lambda gradient, z: gradient(z))(gradient, one)
    if "exact" in facts:
        allowed = facts["exact"] * float(expected.abs().max())
        torch.testing.assert_close(estimate, expected.expand_as(estimate), rtol=0, atol=allowed)
        return
    found, true = estimate.flatten(1).double(), expected.flatten().double()
    error = found.std(0) / math.sqrt(count)
    assert bool(((found.mean(0) - true).abs() <= 5 * error + 0.01 * true.norm()).all())
    assert float(error.max()) > 0  # rows draw for themselves
    # a wrong scale shows along the gradient, where the spread is small
    scale = found @ true / (true @ true)
    error = scale.std() / math.sqrt(count)
    assert float(error) < 0.08
    assert float(scale.mean()) == pytest.approx(1, abs=float(4 * error + 0.01))
