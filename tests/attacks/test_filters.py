"""Filters of the gradient: against the cosine transform of SciPy, and what every filter has to keep."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.fft import dctn, idctn

from mi_lightning.attacks.filters.chain import FilterChain
from mi_lightning.attacks.filters.gaussian_blur import GaussianBlur
from mi_lightning.attacks.filters.power_law import PowerLaw, cosine_basis
from mi_lightning.attacks.filters.unit_rms import UnitRMS
from mi_lightning.errors import InputError


@pytest.mark.parametrize(("exponent", "corner"), [(2.0, 2.0), (1.0, 0.5), (3.5, 8.0)])
@pytest.mark.parametrize("shape", [(3, 1, 12, 10), (2, 3, 7, 16)])
def test_power_law_weighs_the_cosine_transform(exponent, corner, shape):
    image = torch.rand(shape, dtype=torch.float64)
    height, width = shape[-2:]
    coefficients = dctn(image.numpy(), axes=(2, 3), norm="ortho")
    for k in range(height):
        for j in range(width):
            # k half periods in the height; the width is measured in heights, too
            frequency = math.hypot(k / 2, j / 2 * height / width)
            coefficients[..., k, j] *= (1 + (frequency / corner) ** 2) ** (-exponent / 2)
    expected = torch.from_numpy(idctn(coefficients, axes=(2, 3), norm="ortho"))
    torch.testing.assert_close(PowerLaw(exponent=exponent, corner=corner)(image), expected, atol=1e-6, rtol=1e-5)


def test_power_law_falls_by_the_exponent_far_above_the_corner():
    line = cosine_basis(64)[:, None, :]  # one picture a frequency, one pixel high: period 1 / height is far off
    gain = PowerLaw(exponent=2.0, corner=1e-4)(line[:, None]).flatten(1).norm(dim=1)
    assert float(gain[0]) == pytest.approx(1.0)  # what is even keeps its size
    assert float(gain[8] / gain[32]) == pytest.approx(16.0, rel=1e-3)


@pytest.mark.parametrize("filter_", [PowerLaw(), PowerLaw(exponent=1.0, corner=3.0), GaussianBlur(sigma=1.0)])
def test_a_filtered_gradient_points_downhill(filter_):
    """Symmetric and positive: <g, F g> > 0, whatever g is."""
    eye = torch.eye(8 * 6).reshape(48, 1, 8, 6)
    matrix = filter_(eye).reshape(48, 48).double()
    torch.testing.assert_close(matrix, matrix.T, atol=1e-6, rtol=0)
    assert float(torch.linalg.eigvalsh(matrix).min()) > 0


def test_cosine_basis_is_orthonormal():
    for size in (1, 2, 9):
        basis = cosine_basis(size).double()
        torch.testing.assert_close(basis @ basis.T, torch.eye(size, dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(5, 1, 4, 3), (5, 7)])
def test_unit_rms_makes_all_rows_as_loud(shape):
    gradient = torch.randn(shape) * torch.tensor([1e-6, 1e-3, 1.0, 50.0, 1e12]).reshape(-1, *(1,) * (len(shape) - 1))
    filtered = UnitRMS()(gradient)
    torch.testing.assert_close(filtered.flatten(1).square().mean(1).sqrt(), torch.ones(5))
    cosine = torch.nn.functional.cosine_similarity(filtered.flatten(1), gradient.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(5))


def test_unit_rms_leaves_rows_without_a_gradient_alone():
    gradient = torch.stack([torch.zeros(4), torch.full((4,), 1e-30), torch.ones(4)])
    filtered = UnitRMS()(gradient)
    assert torch.equal(filtered[0], torch.zeros(4))
    assert bool(filtered.isfinite().all())
    assert torch.equal(filtered[2], torch.ones(4))


def test_filters_act_on_each_row_alone():
    gradient = torch.randn(6, 1, 9, 7)
    for filter_ in (PowerLaw(), UnitRMS(), FilterChain(filters=[GaussianBlur(), UnitRMS()])):
        together = filter_(gradient)
        torch.testing.assert_close(together[2:4], filter_(gradient[2:4]))


def test_chain_applies_its_filters_in_order():
    gradient = torch.randn(3, 1, 9, 7)
    blur, unit = GaussianBlur(sigma=1.0), UnitRMS()
    assert torch.equal(FilterChain(filters=[blur, unit])(gradient), unit(blur(gradient)))
    assert not torch.allclose(FilterChain(filters=[unit, blur])(gradient), unit(blur(gradient)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: FilterChain(filters=[]), r"^expected at least one filter, got none \(filters\)$"),
        (lambda: PowerLaw(exponent=0), r"^expected a finite exponent > 0, got 0 \(exponent\)$"),
        (lambda: PowerLaw(exponent=math.nan), r"^expected a finite exponent > 0, got nan"),
        (lambda: PowerLaw(corner=-1.0), r"^expected a finite corner > 0, got -1\.0 \(corner\)$"),
        (lambda: PowerLaw(corner=math.inf), r"^expected a finite corner > 0, got inf"),
    ],
)
def test_bad_arguments(make, words):
    with pytest.raises(InputError, match=words):
        make()
