"""Distances between reconstructions and originals, one number per row, the whole batch at once.

Every function takes two batches ``(R, *S)`` and gives ``(R,)``. For the error of one original against
many reconstructions, expand the original; nothing here copies it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from mi_lightning.errors import InputError

_SSIM_WINDOW = 11


_SSIM_SIGMA = 1.5


def _check(reconstruction: Tensor, original: Tensor) -> None:
    if reconstruction.shape != original.shape or reconstruction.ndim < 2:
        raise InputError(
            "two batches of one shape (rows, ...)",
            f"reconstruction {tuple(reconstruction.shape)} and original {tuple(original.shape)}",
        )


def _check_range(data_range: float) -> None:
    if not (data_range > 0 and math.isfinite(data_range)):
        raise InputError("data_range > 0", data_range, "data_range")


def into_range(x: Tensor, input_range: tuple[float, float]) -> Tensor:
    """Bring inputs into the range that a classifier expects; those that are inside stay as they are.

    An attack without a clamp leaves the range. What it found is then in the differences of the values, not in the
    values, so each such input is shifted and stretched until its least and greatest value fill the range, as one does
    to look at it. Excursions below a thousandth of the range are cut off.

    Args:
        x: Inputs ``(R, *S)``.
        input_range: Least and greatest value of an input.

    Returns:
        Inputs of the same shape, all values in the range.

    Example:
        >>> into_range(torch.tensor([[-1.0, 1.0, 3.0], [0.2, 0.4, 0.6]]), (0.0, 1.0))
        tensor([[0.0000, 0.5000, 1.0000],
                [0.2000, 0.4000, 0.6000]])
    """
    low, high = input_range
    least, greatest = torch.aminmax(x.flatten(1), dim=1)
    margin = (high - low) / 1000
    outside = (least < low - margin) | (greatest > high + margin)
    shape = (-1, *[1] * (x.ndim - 1))
    scale = (high - low) / (greatest - least).clamp_min(torch.finfo(x.dtype).tiny)
    if not bool(outside.any()):  # nothing is copied that is as it should be
        return x if bool(((least >= low) & (greatest <= high)).all()) else x.clamp(low, high)
    stretched = (x - least.view(shape)) * scale.view(shape) + low
    return torch.where(outside.view(shape), stretched, x).clamp(low, high)


def mse(reconstruction: Tensor, original: Tensor) -> Tensor:
    """Mean squared error of each row, ``mean((x - y)^2)`` over all its values.

    Args:
        reconstruction: Batch ``(R, *S)``.
        original: Batch of the same shape.

    Returns:
        ``(R,)``, in squared units of the input (grey level squared).

    Raises:
        InputError: The shapes differ.

    Example:
        >>> mse(torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
        tensor([2.])
    """
    _check(reconstruction, original)
    return (reconstruction - original).flatten(1).square().mean(1)


def nrmse(reconstruction: Tensor, original: Tensor) -> Tensor:
    """Root mean squared error of each row over the Euclidean norm of its original, ``|x - y| / |y|``.

    This is scikit-image's ``normalized_root_mse(original, reconstruction, normalization="euclidean")``. It is 0 for
    equal rows, also where the original is all zeros, and infinite for any other row whose original is all zeros.

    Args:
        reconstruction: Batch ``(R, *S)``.
        original: Batch of the same shape.

    Returns:
        ``(R,)``, without unit.

    Raises:
        InputError: The shapes differ.

    Example:
        >>> nrmse(torch.tensor([[3.0, 0.0]]), torch.tensor([[3.0, 4.0]]))
        tensor([0.8000])
    """
    _check(reconstruction, original)
    error = torch.linalg.vector_norm((reconstruction - original).flatten(1), dim=1)
    return torch.where(error == 0, error, error / torch.linalg.vector_norm(original.flatten(1), dim=1))


def psnr(reconstruction: Tensor, original: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio of each row, ``10 log10(data_range^2 / mse)``.

    Args:
        reconstruction: Batch ``(R, *S)``.
        original: Batch of the same shape.
        data_range: Width of the input range (high - low).

    Returns:
        ``(R,)``, in decibels; infinite for equal rows.

    Raises:
        InputError: The shapes differ, or ``data_range`` is not a positive number.

    Example:
        >>> psnr(torch.tensor([[0.1, 0.1]]), torch.tensor([[0.0, 0.0]]))
        tensor([20.])
    """
    _check_range(data_range)
    return 10 * torch.log10(data_range**2 / mse(reconstruction, original))


def _blur_matrix(size: int, window: int, like: Tensor) -> Tensor:
    """Gaussian blur along one side of ``size`` pixels, mirrored at its ends, as a ``(size, size)`` matrix."""
    distance = torch.arange(window, dtype=torch.float64) - window // 2
    kernel = torch.exp(-0.5 * (distance / (_SSIM_SIGMA * window / _SSIM_WINDOW)) ** 2)
    padded = functional.pad(torch.eye(size, dtype=torch.float64), (window // 2, window // 2), mode="reflect")
    return (padded.unfold(1, window, 1) @ (kernel / kernel.sum())).T.to(like)


def ssim(reconstruction: Tensor, original: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Structural similarity of each row, after Wang et al., IEEE TIP 13 (2004), eq. 13.

    A Gaussian window of 11 x 11 and sigma 1.5, K1 = 0.01, K2 = 0.03, mean over all pixels and channels: the values of
    torchmetrics' ``structural_similarity_index_measure(..., reduction="none")`` (edges mirrored; scikit-image leaves
    the outer 5 pixels out). The window is applied as two matrix products, one a side, which on a CPU is some 30 times
    faster than torchmetrics' convolution. Images with a side below 11 pixels get the largest odd window that fits, its
    sigma in proportion. Values outside the input range are taken as they are.

    Args:
        reconstruction: Images ``(R, C, H, W)``.
        original: Images of the same shape.
        data_range: Width of the input range (high - low).

    Returns:
        ``(R,)``, at most 1; 1 for equal images, about 0 for unrelated ones.

    Raises:
        InputError: The shapes differ or are not those of images, an image has a side of less than 3 pixels, or
            ``data_range`` is not a positive number.

    Example:
        >>> image = torch.linspace(0, 1, 144).reshape(1, 1, 12, 12)
        >>> ssim(image, image)
        tensor([1.])
    """
    _check(reconstruction, original)
    _check_range(data_range)
    if reconstruction.ndim != 4 or min(reconstruction.shape[-2:]) < 3:
        raise InputError("images (rows, channels, height >= 3, width >= 3) for SSIM", tuple(reconstruction.shape))
    height, width = reconstruction.shape[-2:]
    window = min(_SSIM_WINDOW, (min(height, width) - 1) // 2 * 2 + 1)
    rows, columns = (_blur_matrix(side, window, reconstruction) for side in (height, width))
    x, y = reconstruction, original.to(reconstruction)
    blurred = rows @ torch.stack((x, y, x * x, y * y, x * y)) @ columns.T
    mean_x, mean_y, square_x, square_y, product = blurred
    variance = (square_x - mean_x * mean_x).clamp_min(0) + (square_y - mean_y * mean_y).clamp_min(0)
    covariance = product - mean_x * mean_y
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x * mean_x + mean_y * mean_y + c1)
    similarity: Tensor = luminance * (2 * covariance + c2) / (variance + c2)
    return similarity.flatten(1).mean(1)


#: Every measure by its name in results: it takes reconstructions, originals and the width of the input range.
MEASURES: Mapping[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "mse": lambda x, y, _: mse(x, y),
    "nrmse": lambda x, y, _: nrmse(x, y),
    "psnr": lambda x, y, data_range: psnr(x, y, data_range=data_range),
    "ssim": lambda x, y, data_range: ssim(x, y, data_range=data_range),
}


def defined_for(names: Sequence[str], shape: Sequence[int]) -> tuple[str, ...]:
    """Those of some measures that are defined for inputs of a shape: SSIM asks for (channels, height, width).

    Example:
        >>> defined_for(("mse", "ssim"), (1, 112, 92)), defined_for(("mse", "ssim"), (300,))
        (('mse', 'ssim'), ('mse',))
    """
    image = len(shape) == 3 and min(shape[1:]) >= 3
    return tuple(name for name in names if name != "ssim" or image)
