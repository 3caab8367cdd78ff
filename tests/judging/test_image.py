from __future__ import annotations

import pytest
import torch

from mi_lightning.judging import likeness
from mi_lightning.judging.image import ReconstructionMSE, ReconstructionNRMSE, ReconstructionPSNR, ReconstructionSSIM

CASES = [
    (ReconstructionMSE(), likeness.mse, {}),
    (ReconstructionNRMSE(), likeness.nrmse, {}),
    (ReconstructionPSNR(data_range=2.0), likeness.psnr, {"data_range": 2.0}),
    (ReconstructionSSIM(data_range=2.0), likeness.ssim, {"data_range": 2.0}),
]


@pytest.mark.parametrize(("metric", "function", "settings"), CASES)
def test_batches_of_any_size_give_the_mean_over_all_rows(metric, function, settings):
    x, y = torch.rand(2, 7, 1, 12, 10)
    metric.reset()
    for rows in (slice(0, 1), slice(1, 5), slice(5, 7)):
        metric.update(x[rows], y[rows])
    torch.testing.assert_close(metric.compute(), function(x, y, **settings).mean())


def test_reset_forgets():
    metric = ReconstructionMSE()
    metric.update(torch.ones(2, 3), torch.zeros(2, 3))
    metric.reset()
    metric.update(torch.ones(1, 3), torch.ones(1, 3))
    assert metric.compute() == 0
