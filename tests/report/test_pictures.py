from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.report import pictures


def test_the_input_range_becomes_black_to_white():
    image = torch.tensor([-1.0, -0.5, 0.0, 1.0, 1.0 + 1e-4, float("nan")]).reshape(1, 1, 1, 6)
    assert pictures.to_pixels(image, (-1.0, 1.0)).tolist() == [[[0, 64, 128, 255, 255, 128]]]


def test_an_image_that_leaves_the_range_is_shown_as_it_is_judged_and_others_as_they_are():
    images = torch.tensor([[-3.0, 0.0, 3.0], [0.2, 0.4, 0.6]]).reshape(2, 1, 1, 3)
    assert pictures.to_pixels(images, (0.0, 1.0)).tolist() == [[[0, 128, 255]], [[51, 102, 153]]]


def test_three_channels_come_last():
    image = torch.zeros(2, 3, 4, 5)
    image[1, 2] = 1
    pixels = pictures.to_pixels(image, (0.0, 1.0))
    assert pixels.shape == (2, 4, 5, 3)
    assert pixels[1, 0, 0].tolist() == [0, 0, 255]


def test_stretched_goes_from_percentile_to_percentile():
    pixels = np.stack([np.linspace(20, 60, 10000), np.linspace(100, 250, 10000)]).round().astype(np.uint8)
    shown = pictures.stretched(pixels.reshape(2, 100, 100))
    assert shown.reshape(2, -1)[:, 0].tolist() == [0, 0]
    assert shown.reshape(2, -1)[:, -1].tolist() == [255, 255]
    assert shown.reshape(2, -1)[:, 5000].tolist() == pytest.approx([128, 128], abs=4)


def test_stretched_bears_flat_pictures_and_colours():
    assert pictures.stretched(np.full((2, 4, 4, 3), 77, dtype=np.uint8)).tolist() == np.zeros((2, 4, 4, 3)).tolist()


@pytest.mark.parametrize(("spans", "expected"), [([255, 200, 10], False), ([255, 100, 10], True), ([100], True)])
def test_faint_is_what_half_of_the_pictures_are(spans, expected):
    pixels = np.stack([np.linspace(0, span, 400).astype(np.uint8).reshape(20, 20) for span in spans])
    assert pictures.faint(pixels) is expected


def test_outside_range_overlooks_rounding():
    assert pictures.outside_range(torch.tensor([0.0, 1.0 + 1e-7, 1.1, -0.1]), (0.0, 1.0)) == 0.5
    assert pictures.outside_range(torch.zeros(0), (0.0, 1.0)) == 0


def test_a_data_uri_is_the_picture():
    pixels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    kind, _, text = pictures.data_uri(pixels).partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
@pytest.mark.parametrize("colours", [(), (3,)])
def test_a_grid_shows_every_picture_once(count, colours):
    pixels = np.stack([np.full((6, 4, *colours), value, dtype=np.uint8) for value in range(count)])
    sheet = pictures.grid(pixels, gap=1)
    values, areas = np.unique(sheet[..., 0] if colours else sheet, return_counts=True)
    assert values[:count].tolist() == list(range(count))
    assert set(areas[:count].tolist()) == {24}
    assert sheet.shape[1] >= sheet.shape[0] or count < 3


def sheet(edge: tuple[int, int], **changes):
    pixels = np.zeros((3, *edge), dtype=np.uint8)
    settings = {
        "names": ["ann", "bob", "cleo"],
        "captions": ["named ann", "named cleo", ""],
        "right": [True, False, None],
        "heading": ["three"],
    }
    return Image.open(io.BytesIO(pictures.contact_sheet([pixels, pixels], **(settings | changes)))).convert("RGB")


@pytest.mark.parametrize(("right", "green", "red"), [(True, True, False), (False, False, True), (None, False, False)])
def test_right_is_green_and_wrong_is_red(right, green, red):
    colours = {colour for _, colour in sheet((12, 10), right=[right] * 3).getcolors(maxcolors=1 << 20)}
    assert (pictures._GOOD in colours) is green
    assert (pictures._BAD in colours) is red


@pytest.mark.parametrize("edge", [(12, 10), (112, 92), (600, 300)])
def test_small_and_large_pictures_come_out_at_a_size_to_look_at(edge):
    black = (np.asarray(sheet(edge))[..., 0] == 0).sum() / 6
    assert 60 * 60 < black < 140 * 140


def test_long_names_and_headings_fit():
    wide = sheet((12, 10), names=["a person with a very long name " * 3] * 3, heading=["a heading " * 60])
    assert wide.width > 2000
    assert (np.asarray(wide)[:, -8:] == 255).all()  # the margin is empty: nothing was cut off


def test_large_pictures_are_worked_on_a_few_at_a_time_and_look_the_same(monkeypatch):
    images = torch.rand(7, 3, 12, 10, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    images[2] = images[2].clamp(0, 1)
    whole = (
        pictures.to_pixels(images, (0.0, 1.0)),
        pictures.stretched(pictures.to_pixels(images / 3, (0.0, 1.0))),
        pictures.outside_range(images, (0.0, 1.0)),
    )
    monkeypatch.setattr(pictures, "_VALUES", 2 * 3 * 12 * 10)
    np.testing.assert_array_equal(pictures.to_pixels(images, (0.0, 1.0)), whole[0])
    np.testing.assert_array_equal(pictures.stretched(pictures.to_pixels(images / 3, (0.0, 1.0))), whole[1])
    assert pictures.outside_range(images, (0.0, 1.0)) == pytest.approx(whole[2])
