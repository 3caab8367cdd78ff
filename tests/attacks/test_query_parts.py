"""Parts that attacks by queries use: starts with the spectrum of photographs, and a floor under the confidence."""

from __future__ import annotations

import math

import pytest
import torch

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.initializers.natural_noise import NaturalNoise
from mi_lightning.attacks.rows import Rows
from mi_lightning.errors import InputError
from mi_lightning.targets import BlackBox


def test_natural_noise_has_its_mean_spread_and_spectrum():
    images = NaturalNoise(exponent=1.5, mean=0.4, std=0.02)(Rows.grid([0], 200, seed=0), (1, 64, 48), (0.0, 1.0))
    assert images.shape == (200, 1, 64, 48)
    assert len({float(image.sum()) for image in images}) > 1
    torch.testing.assert_close(images.flatten(1).mean(1), torch.full((200,), 0.4))
    torch.testing.assert_close(images.flatten(1).std(1), torch.full((200,), 0.02))
    amplitude = torch.fft.rfft2(images - 0.4).abs().mean((0, 1))
    slope = math.log(float(amplitude[16, 0] / amplitude[4, 0])) / math.log(4)
    assert slope == pytest.approx(-1.5, abs=0.2)


def test_natural_noise_is_the_rows_own_and_stays_in_the_range():
    start = NaturalNoise(std=2.0)
    both = start(Rows.grid([1, 2], 1, seed=0), (3, 9, 7), (-1.0, 1.0))
    torch.testing.assert_close(start(Rows.grid([2], 1, seed=0), (3, 9, 7), (-1.0, 1.0))[0], both[1])
    assert float(both.min()) == -1
    assert float(both.max()) == 1


def test_natural_noise_needs_an_image():
    with pytest.raises(InputError, match=r"expected pictures \(.*\) for NaturalNoise, got shape \(3200,\)"):
        NaturalNoise()(Rows.grid([0], 1, seed=0), (3200,), (0.0, 1.0))
    with pytest.raises(InputError, match="expected std >= 0, got -1"):
        NaturalNoise(std=-1)


def test_a_floor_under_the_confidence():
    p = torch.tensor([[0.0, 1.0], [0.004, 0.996], [0.2, 0.8]])
    target = BlackBox(lambda x: p, input_shape=(1,), num_classes=2)
    cost = NegativeLogConfidence(floor=0.01)(target, torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(cost, torch.tensor([-math.log(0.01), -math.log(0.01), -math.log(0.2)]))
    bare = NegativeLogConfidence()(target, torch.zeros(3, 1), torch.zeros(3, dtype=torch.int64))
    assert float(bare[0]) == pytest.approx(87.3, abs=0.1)
    for floor in (-0.1, 1.0):
        with pytest.raises(InputError, match=r"expected floor in \[0, 1\), got .* \(floor\)"):
            NegativeLogConfidence(floor=floor)
