from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from mi_lightning.errors import InputError
from mi_lightning.nn.pictures import fit_pictures, is_picture


def test_pictures_that_fit_stay_as_they_are():
    x = torch.rand(2, 3, 8, 6)
    assert fit_pictures(x, (3, 8, 6), value_range=(0, 1), wanted_range=(0, 1)) is x


def test_colour_becomes_grey_by_luma_and_grey_colour_by_repeating():
    x = torch.zeros(3, 3, 2, 2)
    x[0, 0] = x[1, 1] = x[2, 2] = 1  # red, green, blue
    grey = fit_pictures(x, (1, 2, 2))
    torch.testing.assert_close(grey[:, 0, 0, 0], torch.tensor([0.299, 0.587, 0.114]))
    torch.testing.assert_close(fit_pictures(grey, (3, 2, 2)), grey.repeat(1, 3, 1, 1))


@pytest.mark.parametrize("shape", [(1, 12, 20), (1, 4, 3), (3, 5, 30)])
def test_flat_pictures_stay_flat_and_others_are_resized_without_aliasing(shape):
    flat = torch.full((2, 1, 9, 7), 0.3)
    torch.testing.assert_close(fit_pictures(flat, shape), torch.full((2, *shape), 0.3))
    fine = torch.arange(64).remainder(2).float().expand(1, 1, 64, 64)  # stripes of one pixel: grey from afar
    small = fit_pictures(fine, (1, 8, 8))
    assert float((small[..., 1:-1] - 0.5).abs().max()) < 0.05
    torch.testing.assert_close(
        small, functional.interpolate(fine, (8, 8), mode="bilinear", align_corners=False, antialias=True)
    )


def test_ranges_are_brought_to_each_other():
    x = torch.tensor([0.0, 127.5, 255.0]).view(1, 1, 1, 3)
    fitted = fit_pictures(x, (1, 1, 3), value_range=(0.0, 255.0), wanted_range=(-1.0, 1.0))
    torch.testing.assert_close(fitted.flatten(), torch.tensor([-1.0, 0.0, 1.0]))


@pytest.mark.parametrize(("given", "wanted"), [((2, 8), (1, 8, 8)), ((2, 8, 8, 3), (3, 8, 8)), ((2, 1, 8, 8), (64,))])
def test_what_is_no_picture_is_refused(given, wanted):
    with pytest.raises(InputError, match="pictures to bring to shape"):
        fit_pictures(torch.zeros(given), wanted)
    assert is_picture(given[1:]) != is_picture(wanted)
