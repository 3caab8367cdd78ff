"""Starts, spaces, costs, priors, filters: each against an analytic answer."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.costs.negative_log_odds import NegativeLogOdds
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.estimators.autograd import Autograd
from mi_lightning.attacks.filters.gaussian_blur import GaussianBlur, gaussian_matrix
from mi_lightning.attacks.initializers.constant import MidGrey, Zeros
from mi_lightning.attacks.initializers.given_image import GivenImage
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.priors.l2 import L2
from mi_lightning.attacks.priors.total_variation import TotalVariation
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState, copy_rows_
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError
from mi_lightning.targets import WhiteBox

NAMES = [f"s{k}" for k in range(1, 13)]


@pytest.fixture
def rows():
    return Rows.grid([0, 4], 2, seed=1)


# ------------------------------------------------------------------------------------------------ starts


def test_zeros_and_mid_grey(rows):
    assert torch.equal(Zeros()(rows, (1, 2, 2), (-1.0, 1.0)), torch.zeros(4, 1, 2, 2))
    assert torch.equal(MidGrey()(rows, (1, 2, 2), (0.0, 1.0)), torch.full((4, 1, 2, 2), 0.5))
    assert torch.equal(MidGrey()(rows, (3,), (-1.0, 1.0)), torch.zeros(4, 3))


@pytest.mark.parametrize(("distribution", "kurtosis"), [("normal", 3.0), ("laplace", 6.0), ("uniform", 1.8)])
def test_noise_has_the_moments_of_its_distribution(distribution, kurtosis):
    noise = Noise(distribution=distribution, mean=0.3, std=0.2)
    sample = noise(Rows.grid([0], 1, seed=0), (400_000,), (0.0, 1.0))[0].double()
    assert float(sample.mean()) == pytest.approx(0.3, abs=2e-3)
    assert float(sample.std()) == pytest.approx(0.2, rel=1e-2)
    assert float((((sample - 0.3) / 0.2) ** 4).mean()) == pytest.approx(kurtosis, rel=0.05)


def test_negative_noise():
    with pytest.raises(InputError, match="expected std >= 0, got -1"):
        Noise(std=-1)


def test_given_image(rows, tmp_path):
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    Image.fromarray(pixels).save(tmp_path / "a.png")
    start = GivenImage(path=str(tmp_path / "a.png"))(rows, (1, 3, 4), (0.0, 1.0))
    assert start.shape == (4, 1, 3, 4)
    np.testing.assert_allclose(start[3, 0], pixels / 255, atol=1e-6)
    np.save(tmp_path / "a.npy", np.full((1, 3, 4), 0.7, dtype=np.float32))
    assert float(GivenImage(path=str(tmp_path / "a.npy"))(rows, (1, 3, 4), (0.0, 1.0)).mean()) == pytest.approx(0.7)


def test_given_image_of_another_size_or_missing(rows, tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=re.escape("expected an image of shape (1, 3, 4), got")):
        GivenImage(path=str(tmp_path / "a.png"))(rows, (1, 3, 4), (0.0, 1.0))
    with pytest.raises(InputError, match=r"expected a readable image, got .*nothing.png"):
        GivenImage(path=str(tmp_path / "nothing.png"))(rows, (1, 3, 4), (0.0, 1.0))


# ------------------------------------------------------------------------------------------------ space, cost, priors


def test_pixel_space_clamps_in_place_only_if_asked(classifier):
    z = torch.tensor([-1.0, 0.5, 2.0])
    for clamp, expected in ((False, [-1.0, 0.5, 2.0]), (True, [0.0, 0.5, 1.0])):
        space = PixelSpace(clamp=clamp)
        space.bind(WhiteBox(classifier))
        space.constrain_(z)
        assert z.tolist() == expected


def test_odds_tell_apart_what_p_no_longer_does():
    """Logits of 0 and m: the odds are exp(m), also where 1 - p has no digits left in float32."""
    classifier = SoftmaxRegression(input_shape=(1,), num_classes=2)
    with torch.no_grad():
        classifier.head.weight.copy_(torch.tensor([[1.0], [0.0]]))
        classifier.head.bias.zero_()
    x, label = torch.tensor([[-30.0], [0.0], [30.0], [60.0]]), torch.zeros(4, dtype=torch.int64)
    cost = NegativeLogOdds()(WhiteBox(classifier), x, label)
    torch.testing.assert_close(cost, torch.tensor([30.0, 0.0, -30.0, -60.0]))


@pytest.mark.parametrize(
    ("cost", "of"),
    [
        (OneMinusConfidence(), lambda p: 1 - p),
        (NegativeLogConfidence(), lambda p: -p.log()),
        (NegativeLogOdds(), lambda p: ((1 - p) / p).log()),
    ],
)
def test_costs(classifier, cost, of):
    x, label = torch.rand(5, 1, 6, 5), torch.tensor([0, 3, 6, 1, 1])
    p = torch.softmax(classifier(x), -1)[torch.arange(5), label]
    target = WhiteBox(classifier)
    value = cost(target, x, label)
    torch.testing.assert_close(value, of(p).detach(), check_stride=False)
    torch.testing.assert_close(cost.confidence(value), p.detach())
    assert target.queries == 5


def test_log_cost_survives_where_the_confidence_underflows(classifier):
    with torch.no_grad():
        classifier.head.weight.mul_(1000)
    cost = NegativeLogConfidence()(WhiteBox(classifier), torch.rand(7, 1, 6, 5), torch.arange(7))
    assert torch.isfinite(cost).all()
    assert float(cost.max()) > 104  # -log of the smallest float32


def test_total_variation_of_a_step():
    x = torch.zeros(2, 1, 4, 6)
    x[1, :, :, 3:] = 0.5  # one edge, 4 pixels long, 0.5 high
    torch.testing.assert_close(TotalVariation(weight=0.1)(x), torch.tensor([0.0, 0.1 * 4 * 0.5]))


def test_l2_about_a_centre():
    x = torch.tensor([[0.5, 0.5], [0.0, 1.5]])
    torch.testing.assert_close(L2(weight=2.0, center=0.5)(x), torch.tensor([0.0, 2 * (0.25 + 1.0)]))


def test_negative_weight():
    with pytest.raises(InputError, match=r"expected a finite weight >= 0, got -0.1 \(weight\)"):
        TotalVariation(weight=-0.1)


def test_autograd_is_the_gradient_of_each_row_alone(classifier):
    target = WhiteBox(classifier)
    space = PixelSpace()
    space.bind(target)
    problem = Problem(target, space, OneMinusConfidence(), [L2(weight=0.3)])
    rows = Rows.grid([0, 2, 5], 1, seed=0)
    z = torch.rand(3, 1, 6, 5)
    evaluation = Autograd().evaluate(problem, z, RowState(rows, z))
    weight = classifier.head.weight.detach()
    for k, label in enumerate(rows.label.tolist()):
        p = torch.softmax(classifier(z[k : k + 1]), -1)[0].detach()
        onehot = torch.eye(7)[label]
        analytic = p[label] * (weight.T @ (p - onehot)) + 0.6 * (z[k].flatten() - 0.5)
        torch.testing.assert_close(evaluation.gradient[k].flatten(), analytic, atol=1e-5, rtol=1e-4)
        assert float(evaluation.identity_loss[k]) == pytest.approx(1 - float(p[label]), abs=1e-6)
        assert float(evaluation.total[k] - evaluation.identity_loss[k]) == pytest.approx(
            0.3 * float((z[k] - 0.5).square().sum()), abs=1e-5
        )


# ------------------------------------------------------------------------------------------------ filters


@pytest.mark.parametrize("sigma", [0.4, 1.5, 3.0])
def test_blur_is_that_of_scipy(sigma):
    image = torch.rand(2, 1, 20, 17)
    reference = np.stack([gaussian_filter(i[0].numpy(), sigma, mode="reflect", truncate=4.0) for i in image])
    np.testing.assert_allclose(GaussianBlur(sigma=sigma)(image)[:, 0], reference, atol=2e-3)


@pytest.mark.parametrize("size", [3, 8, 30])
def test_blur_keeps_the_sum_and_points_downhill(size):
    matrix = gaussian_matrix(size, 2.0).double()
    torch.testing.assert_close(matrix, matrix.T)
    torch.testing.assert_close(matrix.sum(1), torch.ones(size, dtype=torch.float64), rtol=0, atol=1e-6)
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-3  # the taps are cut at four sigma


def test_blur_of_no_width():
    with pytest.raises(InputError, match=r"expected sigma > 0, got 0 \(sigma\)"):
        GaussianBlur(sigma=0)


@pytest.mark.parametrize("shape", [(5, 1, 6, 5), (5, 1, 4, 4), (5, 3), (0, 8)])
def test_copy_rows(shape):
    old, new = torch.rand(shape), torch.rand(shape)
    mask = torch.tensor([False, True, False, True, True])[: len(old)]
    new[~mask] = math.nan  # a row that has diverged must not spoil what it had before
    expected = torch.stack([n if m else o for o, n, m in zip(old, new, mask, strict=True)]) if len(old) else old.clone()
    copy_rows_(old, new, mask)
    assert torch.equal(old, expected)
