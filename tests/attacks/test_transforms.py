"""Transforms of pictures: what they do to pictures of which the answer is known."""

from __future__ import annotations

import re

import pytest
import torch

from mi_lightning.attacks.transforms import HorizontalFlip, RandomResizedCrop, RandomShift
from mi_lightning.errors import InputError


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def test_a_shift_moves_the_picture_by_whole_pixels_and_repeats_the_edge():
    x = torch.arange(56.0).view(1, 1, 8, 7)
    for moved in RandomShift(pixels=2)(x.repeat(200, 1, 1, 1), generators(200)):
        down, right = divmod(int(moved[0, 4, 3]), 7)
        down, right = 4 - down, 3 - right
        assert max(abs(down), abs(right)) <= 2
        padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
        assert torch.equal(moved, padded[0, :, 2 - down : 10 - down, 2 - right : 9 - right])


def test_a_shift_draws_all_moves_alike():
    x = torch.arange(56.0).view(1, 1, 8, 7)
    middle = RandomShift(pixels=1)(x.repeat(900, 1, 1, 1), generators(900))[:, 0, 4, 3]
    counts = torch.tensor([(middle == value).sum() for value in middle.unique()]).float()
    assert len(counts) == 9
    assert float(counts.min()) > 60  # 100 expected, standard deviation 9.4


def test_a_flip_mirrors_every_second_picture():
    x = torch.rand(1, 3, 4, 5)
    flipped = HorizontalFlip()(x.repeat(400, 1, 1, 1), generators(400))
    mirrored = (flipped == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(mirrored, ~(flipped == x).flatten(1).all(1))
    assert 150 < int(mirrored.sum()) < 250
    assert torch.equal(HorizontalFlip(probability=1.0)(x, generators(1)), x.flip(-1))


def test_a_crop_shows_a_part_of_a_ramp_at_the_right_scale():
    """Rows count the pixels down, columns across: what is read off is where each pixel came from."""
    height, width = 40, 30
    down, across = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    x = torch.stack((down, across))[None].repeat(300, 1, 1, 1)
    cropped = RandomResizedCrop(scale=0.5)(x, generators(300))
    inner = cropped[:, :, 5:-5, 5:-5]  # the outermost pixels repeat the edge
    vertical, horizontal = inner[:, 0].diff(dim=1), inner[:, 1].diff(dim=2)
    side = vertical[:, 0, 0]
    torch.testing.assert_close(vertical, side.view(-1, 1, 1).expand_as(vertical), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(horizontal, side.view(-1, 1, 1).expand_as(horizontal), rtol=1e-3, atol=1e-4)
    area = side.square()
    assert 0.5 - 1e-3 <= float(area.min()) < 0.52
    assert 0.98 < float(area.max()) <= 1 + 1e-3
    assert float(area.mean()) == pytest.approx(0.75, abs=0.03)
    # the middle of the part: anywhere that the part has room for
    middle = inner[:, 0].mean((1, 2)) - (height - 1) / 2
    room = (1 - side) * height / 2
    assert bool((middle.abs() <= room + 1e-2).all())
    assert float((middle / room.clamp_min(0.5)).std()) > 0.3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RandomShift(pixels=-1), "expected pixels >= 0, got -1 (pixels)"),
        (lambda: HorizontalFlip(probability=1.5), "expected probability in [0, 1], got 1.5 (probability)"),
        (lambda: RandomResizedCrop(scale=0.0), "expected scale in (0, 1], got 0.0 (scale)"),
        (lambda: RandomResizedCrop(scale=1.1), "expected scale in (0, 1], got 1.1 (scale)"),
        (
            lambda: RandomShift()(torch.zeros(2, 1, 50), generators(2)),
            "expected pictures (channels, height, width) for RandomShift, got shape (1, 50) (transforms)",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(make, words):
    with pytest.raises(InputError, match=rf"^{re.escape(words)}$"):
        make()
