"""Likeness of reconstructions to photographs as torchmetrics: means over all rows, batch by batch, on any device."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from mi_lightning.judging import likeness


class _MeanOverRows(Metric):
    """Mean of a number per row over all rows seen."""

    is_differentiable = True
    full_state_update = False
    value: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("value", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def per_row(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """The number of each row, shape (R,)."""
        raise NotImplementedError

    def update(self, reconstruction: Tensor, original: Tensor) -> None:
        """Count the rows of two batches of the same shape ``(R, *S)``."""
        self.value += self.per_row(reconstruction, original).sum()
        self.total += len(reconstruction)

    def compute(self) -> Tensor:
        """Mean over all rows."""
        return self.value / self.total


class ReconstructionMSE(_MeanOverRows):
    """Mean over rows of :func:`mi_lightning.judging.likeness.mse`, in squared units of the input.

    Example:
        >>> metric = ReconstructionMSE()
        >>> metric.update(torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4))
        >>> metric.compute()
        tensor(1.)
    """

    higher_is_better = False

    def per_row(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """Mean squared error of each row."""
        return likeness.mse(reconstruction, original)


class ReconstructionNRMSE(_MeanOverRows):
    """Mean over rows of :func:`mi_lightning.judging.likeness.nrmse`, without unit."""

    higher_is_better = False

    def per_row(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """Root mean squared error of each row over the Euclidean norm of its original."""
        return likeness.nrmse(reconstruction, original)


class ReconstructionPSNR(_MeanOverRows):
    """Mean over rows of :func:`mi_lightning.judging.likeness.psnr`, in decibels.

    Args:
        data_range: Width of the input range (high - low).
    """

    higher_is_better = True

    def __init__(self, *, data_range: float = 1.0) -> None:
        super().__init__()
        self.data_range = data_range

    def per_row(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """Peak signal-to-noise ratio of each row."""
        return likeness.psnr(reconstruction, original, data_range=self.data_range)


class ReconstructionSSIM(_MeanOverRows):
    """Mean over rows of :func:`mi_lightning.judging.likeness.ssim`, at most 1.

    Args:
        data_range: Width of the input range (high - low).
    """

    higher_is_better = True

    def __init__(self, *, data_range: float = 1.0) -> None:
        super().__init__()
        self.data_range = data_range

    def per_row(self, reconstruction: Tensor, original: Tensor) -> Tensor:
        """Structural similarity of each row."""
        return likeness.ssim(reconstruction, original, data_range=self.data_range)
