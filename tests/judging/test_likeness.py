from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, normalized_root_mse, peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from mi_lightning.errors import InputError
from mi_lightning.judging.likeness import into_range, mse, nrmse, psnr, ssim


def pair(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    original = torch.rand(shape, generator=generator)
    return (original + 0.2 * torch.randn(shape, generator=generator)), original


@pytest.mark.parametrize("shape", [(4, 1, 12, 10), (3, 3, 14, 11), (5, 40)])
def test_errors_are_those_of_scikit_image_row_by_row(shape):
    x, y = pair(*shape)
    a, b = x.double().numpy(), y.double().numpy()
    rows = range(len(a))
    np.testing.assert_allclose(mse(x, y), [mean_squared_error(b[i], a[i]) for i in rows], rtol=1e-5)
    np.testing.assert_allclose(nrmse(x, y), [normalized_root_mse(b[i], a[i]) for i in rows], rtol=1e-5)
    expected = [peak_signal_noise_ratio(b[i], a[i], data_range=2.0) for i in rows]
    np.testing.assert_allclose(psnr(x, y, data_range=2.0), expected, rtol=1e-5)


def test_nrmse_is_relative_to_the_original_and_not_to_the_reconstruction():
    assert nrmse(torch.zeros(1, 3), torch.tensor([[3.0, 4.0, 0.0]])).item() == 1
    assert nrmse(torch.tensor([[3.0, 4.0, 0.0]]), torch.zeros(1, 3)).item() == float("inf")
    assert nrmse(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


def test_psnr_of_equal_rows_is_infinite():
    x, y = pair(2, 1, 5, 5)
    assert psnr(torch.stack([y[0], x[1]]), y).isinf().tolist() == [True, False]


@pytest.mark.parametrize("shape", [(4, 1, 112, 92), (3, 3, 20, 30), (2, 1, 11, 40)])
def test_ssim_is_that_of_torchmetrics(shape):
    x, y = pair(*shape)
    expected = structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(x, y), expected, atol=2e-6, rtol=0)


def test_ssim_is_that_of_scikit_image():
    # scikit-image treats the edge in another way and leaves it out: let the images be equal there
    x, y = pair(1, 1, 60, 50)
    for edge in (np.s_[..., :10, :], np.s_[..., -10:, :], np.s_[..., :10], np.s_[..., -10:]):
        x[edge] = y[edge]
    inner = structural_similarity(
        y[0, 0].double().numpy(),
        x[0, 0].double().numpy(),
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    share = 50 * 40 / (60 * 50)
    assert inner < 0.9
    assert ssim(x, y).item() == pytest.approx(share * inner + (1 - share), abs=1e-5)


@pytest.mark.parametrize(("height", "width", "window"), [(12, 13, 11), (9, 30, 9), (8, 8, 7), (3, 4, 3)])
def test_ssim_is_equation_13_with_the_largest_window_that_fits(height, width, window):
    x, y = pair(1, 1, height, width)
    half = window // 2
    weight = np.exp(-0.5 * ((np.arange(window) - half) / (1.5 * window / 11)) ** 2)
    weight = np.outer(weight, weight) / weight.sum() ** 2
    a, b = (np.pad(image[0, 0].double().numpy(), half, mode="reflect") for image in (x, y))
    values = []
    for i in range(height):
        for j in range(width):
            p, q = a[i : i + window, j : j + window], b[i : i + window, j : j + window]
            mean_p, mean_q = (weight * p).sum(), (weight * q).sum()
            var_p, var_q = (weight * (p - mean_p) ** 2).sum(), (weight * (q - mean_q) ** 2).sum()
            cov = (weight * (p - mean_p) * (q - mean_q)).sum()
            values.append(
                (2 * mean_p * mean_q + 0.02**2)
                * (2 * cov + 0.06**2)
                / ((mean_p**2 + mean_q**2 + 0.02**2) * (var_p + var_q + 0.06**2))
            )
    assert ssim(x, y, data_range=2.0).item() == pytest.approx(np.mean(values), abs=1e-5)


def test_a_row_does_not_depend_on_the_others():
    x, y = pair(6, 1, 12, 10)
    for metric in (mse, nrmse, psnr, ssim):
        torch.testing.assert_close(metric(x, y)[2:3], metric(x[2:3], y[2:3]))


def test_no_rows_give_no_numbers():
    empty = torch.zeros(0, 1, 12, 10)
    assert [len(metric(empty, empty)) for metric in (mse, nrmse, psnr, ssim)] == [0, 0, 0, 0]


@pytest.mark.parametrize("metric", [mse, nrmse, psnr, ssim])
def test_shapes_that_differ_are_refused(metric):
    with pytest.raises(InputError, match=r"two batches of one shape \(rows, \.\.\.\), got .*\(2, 1, 5, 5\)"):
        metric(torch.zeros(2, 1, 5, 5), torch.zeros(1, 5, 5))


@pytest.mark.parametrize("shape", [(2, 1, 2, 9), (2, 30), (2, 5, 5)])
def test_ssim_refuses_what_is_no_image(shape):
    with pytest.raises(InputError, match=r"height >= 3, width >= 3\) for SSIM, got \(2, "):
        ssim(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize("data_range", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("metric", [psnr, ssim])
def test_data_range_has_to_be_a_positive_number(metric, data_range):
    with pytest.raises(InputError, match="data_range > 0"):
        metric(torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, 5, 5), data_range=data_range)


def test_into_range_stretches_only_what_leaves_the_range():
    inside, outside = torch.rand(2, 1, 4, 4), torch.randn(2, 1, 4, 4) * 3
    seen = into_range(torch.cat([inside, outside]), (0.0, 1.0))
    assert torch.equal(seen[:2], inside)
    for original, image in zip(outside, seen[2:], strict=True):
        expected = (original - original.min()) / (original.max() - original.min())
        torch.testing.assert_close(image, expected)
    flat = into_range(torch.full((1, 1, 2, 2), 7.0), (0.0, 1.0))
    assert torch.isfinite(flat).all()
    almost = into_range(torch.tensor([[0.5, 1.0 + 1e-6]]), (0.0, 1.0))
    torch.testing.assert_close(almost, torch.tensor([[0.5, 1.0]]))
