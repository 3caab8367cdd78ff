"""Preprocessing: each stage against PIL, torchvision or by hand, their order, gradients, and inside of targets."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mi_lightning.errors import InputError
from mi_lightning.nn.frozen import frozen_copy
from mi_lightning.targets import BlackBox, Preprocessing, WhiteBox

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def images(n=2, channels=3, height=11, width=8, dtype=torch.float32):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(
        dtype
    )


# ------------------------------------------------------------------------------------------------ each stage


@pytest.mark.parametrize("size", [(5, 4), (23, 32), (11, 3)])
@pytest.mark.parametrize(
    ("interpolation", "pil"), [("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC), ("nearest", Image.NEAREST)]
)
def test_resize_is_that_of_pil(size, interpolation, pil):
    x = images(1, 1)
    expected = np.asarray(Image.fromarray(x[0, 0].numpy()).resize(size[::-1], pil))
    y = Preprocessing(resize=size, interpolation=interpolation)(x)
    torch.testing.assert_close(y[0, 0], torch.from_numpy(expected.copy()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("crop", [(11, 8), (6, 5), (5, 8), (4, 3)])
def test_crop_is_that_of_torchvision(crop):
    transforms = pytest.importorskip("torchvision.transforms")
    x = images()
    assert torch.equal(Preprocessing(crop=crop)(x), transforms.CenterCrop(crop)(x))


def test_the_chain_of_torchvision():
    transforms = pytest.importorskip("torchvision.transforms")
    x = images(3, 3, 40, 33)
    theirs = transforms.Compose(
        [transforms.Resize((24, 20), antialias=True), transforms.CenterCrop((16, 17)), transforms.Normalize(**IMAGENET)]
    )
    torch.testing.assert_close(Preprocessing(resize=(24, 20), crop=(16, 17), **IMAGENET)(x), theirs(x))


def test_grey_and_rgb():
    grey, colour = images(2, 1), images(2, 3)
    repeated = Preprocessing(channels=3)(grey)
    assert torch.equal(repeated, torch.cat([grey] * 3, 1))
    levels = (colour * 255).round()
    pil = [np.asarray(Image.fromarray(x.byte().permute(1, 2, 0).numpy()).convert("L")) for x in levels]
    ours = Preprocessing(channels=1)(levels)[:, 0]
    assert float((ours - torch.from_numpy(np.stack(pil)).float()).abs().max()) <= 1  # PIL rounds down in 16 bits
    assert Preprocessing(channels=3)(colour) is colour
    assert Preprocessing(channels=1)(grey) is grey


def test_normalisation_is_on_the_scale_of_the_data_and_the_scale_comes_last():
    x = images()
    y = Preprocessing(mean=[0.1, 0.2, 0.3], std=[0.5, 1.0, 2.0], scale=255.0)(x)
    for channel, (mean, std) in enumerate(((0.1, 0.5), (0.2, 1.0), (0.3, 2.0))):
        torch.testing.assert_close(y[:, channel], (x[:, channel] - mean) / std * 255)
    torch.testing.assert_close(Preprocessing(mean=0.5, std=0.5)(x), x * 2 - 1)
    assert torch.equal(Preprocessing()(x), x)


def test_grey_data_of_a_model_with_a_mean_for_each_colour():
    x = images(2, 1)
    y = Preprocessing(channels=3, **IMAGENET)(x)
    torch.testing.assert_close(y[:, 1:2], (x - 0.456) / 0.224)


def test_bytes_and_layout():
    x = images(2, 3, 4, 5)
    y = Preprocessing(scale=255.0, uint8=True, channels_last=True)(x)
    assert (y.dtype, tuple(y.shape), y.is_contiguous()) == (torch.uint8, (2, 4, 5, 3), True)
    assert torch.equal(y.permute(0, 3, 1, 2).float(), (x * 255).round())
    beyond = Preprocessing(scale=255.0, uint8=True)(torch.tensor([-1.0, 2.0]).view(1, 1, 1, 2))
    assert beyond.flatten().tolist() == [0, 255]  # never wrapped around


ALL = {"resize": (7, 6), "crop": (5, 4), "channels": 1, "mean": 0.4, "std": 0.3, "scale": 3.0, "channels_last": True}


@pytest.mark.parametrize("settings", [ALL, {"resize": (15, 9), "interpolation": "bicubic", "channels": 3}])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_flow_through_all_of_it(settings, channels):
    part = Preprocessing(**settings)
    assert torch.autograd.gradcheck(part, images(1, channels, dtype=torch.float64).requires_grad_())
    x = images(2, channels)
    assert tuple(part(x).shape[1:]) == part.shape_after(x.shape[1:])
    torch.testing.assert_close(part(x)[1:], part(x[1:]))  # a row does not depend on the others


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_are_kept(dtype):
    x = images(dtype=dtype)
    y = Preprocessing(**ALL)(x)
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), Preprocessing(**ALL)(x.float()), atol=0.1, rtol=0.1)


def test_it_is_copied_and_has_no_weights():
    part = Preprocessing(**ALL)
    assert part.state_dict() == {}
    assert torch.equal(frozen_copy(part)(images()), part(images()))
    assert torch.equal(copy.deepcopy(part)(images()), part(images()))
    assert str(part) == (
        "Preprocessing(resize=(7, 6), interpolation=bilinear, crop=(5, 4), channels=1, mean=(0.4,), std=(0.3,), "
        "scale=3.0, channels_last=True)"
    )
    assert str(Preprocessing()) == "Preprocessing()"


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resize": 224}, r"expected resize \[height, width\] in pixels, got 224 \(resize\)"),
        ({"resize": (0, 4)}, r"expected resize \[height, width\] in pixels, got \(0, 4\) \(resize\)"),
        ({"crop": (1, 2, 3)}, r"expected crop \[height, width\] in pixels, got \(1, 2, 3\) \(crop\)"),
        ({"resize": (4, 4), "crop": (5, 4)}, r"expected a crop within the resized \[4, 4\], got \[5, 4\] \(crop\)"),
        ({"channels": 4}, r"expected channels 1 or 3, got 4 \(channels\)"),
        ({"interpolation": "lanczos"}, r"expected interpolation bilinear, bicubic or nearest, got lanczos"),
        ({"std": 0}, r"expected std > 0 in each channel, got \[0.0\] \(std\)"),
        ({"mean": []}, r"expected mean of 1 or as many numbers as channels, got \[\] \(mean\)"),
        ({"mean": [0.1, 0.2], "channels": 3}, r"expected mean of 1 or 3, got \[0.1, 0.2\] \(mean\)"),
        ({"std": float("nan")}, r"expected finite numbers as std, got \[nan\] \(std\)"),
        ({"scale": 0.0}, r"expected scale > 0, got 0.0 \(scale\)"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(InputError, match=message):
        Preprocessing(**settings)


@pytest.mark.parametrize(
    ("settings", "shape", "message"),
    [
        ({}, (8,), r"expected images of shape \(N, C, H, W\), got inputs of shape \(N, 8\) \(preprocessing\)"),
        ({"crop": (9, 4)}, (1, 8, 8), r"expected a crop within the image of 8 x 8, got \[9, 4\] \(crop\)"),
        ({"channels": 3}, (2, 8, 8), r"expected images of 1 or 3 channels to convert, got 2 channels \(channels\)"),
        ({"mean": [0.1, 0.2, 0.3]}, (1, 8, 8), r"expected mean of 1 or 1 numbers, as the image has channels, got 3"),
    ],
)
def test_images_that_do_not_fit(settings, shape, message):
    part = Preprocessing(**settings)
    with pytest.raises(InputError, match=message):
        part(torch.rand(2, *shape))
    with pytest.raises(InputError, match=message):
        part.shape_after(shape)


# ------------------------------------------------------------------------------------------------ inside of targets


def test_a_white_box_is_asked_in_the_shape_of_the_data():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 5 * 4, 6))
    part = Preprocessing(resize=(7, 6), crop=(5, 4), channels=3, **IMAGENET)
    target = WhiteBox(net, input_shape=(1, 11, 8), preprocessing=part)
    x = images(4, 1).requires_grad_()
    torch.testing.assert_close(target.logits(x), net(part(x)))
    (gradient,) = torch.autograd.grad(target.logits(x)[:, 2].sum(), x)
    assert gradient.shape == x.shape
    assert target.input_shape == (1, 11, 8)
    assert target.describe()["preprocessing"] == str(part)
    assert "mean=(0.485, 0.456, 0.406)" in str(part)


def test_a_white_box_refuses_what_no_gradient_passes():
    net = nn.Sequential(nn.Flatten(), nn.Linear(88, 6))
    with pytest.raises(InputError, match=r"through which gradients flow .*scale: 255 alone.*\(preprocessing\)"):
        WhiteBox(net, input_shape=(1, 11, 8), preprocessing=Preprocessing(scale=255.0, uint8=True))


class Bytes(nn.Module):
    """Takes whole numbers from 0 to 255, (N, H, W, C), and nothing else."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Linear(88, 6)

    def forward(self, x):
        assert x.dtype is torch.uint8
        return self.head((x.float() / 255).flatten(1))


def test_a_model_that_takes_bytes_as_a_black_box():
    net, part = Bytes().eval(), Preprocessing(scale=255.0, uint8=True, channels_last=True)
    box = BlackBox(lambda x: net(part(x)).softmax(1), input_shape=(1, 11, 8), num_classes=6)
    levels = (images(3, 1) * 255).round() / 255
    expected = net.head(levels.permute(0, 2, 3, 1).flatten(1)).softmax(1)
    torch.testing.assert_close(box.confidences(levels), expected)
