"""What lies between the data's inputs and a model that was trained on others: size, channels, scale and layout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mi_lightning.errors import InputError
from mi_lightning.nn.pictures import with_channels

Interpolation = Literal["bilinear", "bicubic", "nearest"]


class Preprocessing(nn.Module):
    """Make of the data's images what a model expects, in this order; what is not given is left out.

    An attack works in the shape and range of the data, and its images stay there; the model sees what comes out of
    here. Gradients flow through every stage but ``uint8``.

    Args:
        resize: Height and width to resize to, with antialiasing as in PIL and torchvision.
        interpolation: How ``resize`` fills in: ``bilinear``, ``bicubic`` or ``nearest``.
        crop: Height and width of the centre that is cut out.
        channels: Channels that the model takes: 3 repeats a grey image, 1 weighs RGB by the luma of Rec. 601.
        mean: Subtracted from each channel, on the scale of the data (which is usually [0, 1]); one number for all, or
            one a channel.
        std: Divides each channel after that, on the same scale.
        scale: Multiplies what there is then: 255 for a model that takes 0 to 255 of data in [0, 1].
        uint8: Whether the values are rounded to whole numbers from 0 to 255 and passed on as ``torch.uint8``. Only for
            targets without gradients; a model that takes 0 to 255 works with ``scale`` alone as well.
        channels_last: Whether the model takes (N, H, W, C).

    Raises:
        InputError: If a size, number or combination makes no sense.

    Example:
        A model trained on RGB with ImageNet's normalisation, attacked through grey faces of 112 x 92, in YAML::

            model:
              target:
                class_path: mi_lightning.targets.TorchvisionModel
                init_args:
                  name: resnet18
                  weights: faces.pt
                  input_shape: [1, 112, 92]
                  preprocessing:
                    resize: [224, 184]
                    channels: 3
                    mean: [0.485, 0.456, 0.406]
                    std: [0.229, 0.224, 0.225]

        >>> bytes_first = Preprocessing(channels=3, scale=255.0, uint8=True, channels_last=True)
        >>> bytes_first(torch.full((2, 1, 4, 5), 0.5)).shape, bytes_first.shape_after((1, 4, 5))
        (torch.Size([2, 4, 5, 3]), (4, 5, 3))
    """

    def __init__(
        self,
        *,
        resize: tuple[int, int] | None = None,
        interpolation: Interpolation = "bilinear",
        crop: tuple[int, int] | None = None,
        channels: Literal[1, 3] | None = None,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        scale: float | None = None,
        uint8: bool = False,
        channels_last: bool = False,
    ) -> None:
        """Check the arguments."""
        super().__init__()
        if interpolation not in ("bilinear", "bicubic", "nearest"):
            raise InputError("interpolation bilinear, bicubic or nearest", interpolation, "interpolation")
        if channels not in (None, 1, 3):
            raise InputError("channels 1 or 3", channels, "channels")
        if scale is not None and not (math.isfinite(scale) and scale > 0):
            raise InputError("scale > 0", scale, "scale")
        self.resize, self.crop = _size(resize, "resize"), _size(crop, "crop")
        self.interpolation, self.channels, self.scale = interpolation, channels, scale
        self.uint8, self.channels_last = uint8, channels_last
        self.mean, self.std = _numbers(mean, channels, "mean"), _numbers(std, channels, "std")
        if self.std is not None and min(self.std) <= 0:
            raise InputError("std > 0 in each channel", list(self.std), "std")
        if self.resize and self.crop and (self.crop[0] > self.resize[0] or self.crop[1] > self.resize[1]):
            raise InputError(f"a crop within the resized {list(self.resize)}", list(self.crop), "crop")
        # buffers of no checkpoint: they move with the target and leave the digest of its weights alone
        for name, numbers in (("_mean", self.mean), ("_std", self.std)):
            values = None if numbers is None else torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the model takes, of images of shape (N, C, H, W).

        Raises:
            InputError: If they are no images, or have channels or a size that the arguments do not fit.
        """
        self.shape_after(tuple(x.shape[1:]))
        if self.resize is not None and self.resize != tuple(x.shape[-2:]):
            smooth = self.interpolation != "nearest"
            mode = self.interpolation if smooth else "nearest-exact"  # the one that agrees with PIL
            # half precision has no kernel for this on every device
            wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            x = interpolate(wide, size=list(self.resize), mode=mode, antialias=smooth).to(x.dtype)
        if self.crop is not None:
            height, width = self.crop
            # as torchvision's CenterCrop rounds
            top, left = (round((size - part) / 2) for size, part in zip(x.shape[-2:], self.crop, strict=True))
            x = x[..., top : top + height, left : left + width]
        if self.channels is not None:
            x = with_channels(x, self.channels)
        if self._mean is not None:
            x = x - self._mean.to(x)
        if self._std is not None:
            x = x / self._std.to(x)
        if self.scale is not None:
            x = x * self.scale
        if self.uint8:
            x = x.round().clamp(0, 255).to(torch.uint8)
        return x.permute(0, 2, 3, 1).contiguous() if self.channels_last else x

    def shape_after(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of what the model takes, without the batch, for an image of shape (C, H, W).

        Raises:
            InputError: As :meth:`forward`.
        """
        if len(shape) != 3:
            raise InputError("images of shape (N, C, H, W)", f"inputs of shape (N, {_listed(shape)})", "preprocessing")
        channels, height, width = shape
        if self.resize is not None:
            height, width = self.resize
        if self.crop is not None:
            if self.crop[0] > height or self.crop[1] > width:
                raise InputError(f"a crop within the image of {height} x {width}", list(self.crop), "crop")
            height, width = self.crop
        if self.channels is not None:
            if channels not in (1, 3):
                raise InputError("images of 1 or 3 channels to convert", f"{channels} channels", "channels")
            channels = self.channels
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if numbers is not None and len(numbers) not in (1, channels):
                raise InputError(f"{name} of 1 or {channels} numbers, as the image has channels", len(numbers), name)
        return (height, width, channels) if self.channels_last else (channels, height, width)

    def extra_repr(self) -> str:
        """Name what was given: a report says it."""
        given = {
            "resize": self.resize,
            "interpolation": None if self.resize is None else self.interpolation,
            "crop": self.crop,
            "channels": self.channels,
            "mean": self.mean,
            "std": self.std,
            "scale": self.scale,
            "uint8": self.uint8 or None,
            "channels_last": self.channels_last or None,
        }
        return ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)

    _mean: Tensor | None
    _std: Tensor | None


def shorter_edge(shape: Sequence[int], edge: int) -> tuple[int, int]:
    """Return the height and width of an image of shape (C, H, W) whose shorter edge is resized to ``edge``.

    As torchvision's ``Resize`` of one number.

    Example:
        >>> shorter_edge((1, 112, 92), 224)
        (272, 224)
    """
    height, width = shape[-2:]
    return (edge, edge * width // height) if height < width else (edge * height // width, edge)


def _size(size: Sequence[int] | None, field: str) -> tuple[int, int] | None:
    """Check a height and width."""
    if size is None:
        return None
    if isinstance(size, int) or len(size) != 2 or min(size) < 1:
        raise InputError(f"{field} [height, width] in pixels", size, field)
    return int(size[0]), int(size[1])


def _numbers(values: Sequence[float] | float | None, channels: int | None, field: str) -> tuple[float, ...] | None:
    """Check one number for all channels, or one for each."""
    if values is None:
        return None
    numbers = (float(values),) if isinstance(values, int | float) else tuple(map(float, values))
    if len(numbers) not in ({1, channels} if channels else range(1, 1 + len(numbers))):
        raise InputError(f"{field} of 1 or {channels or 'as many numbers as channels'}", list(numbers), field)
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"finite numbers as {field}", list(numbers), field)
    return numbers


def _listed(shape: Sequence[int]) -> str:
    return ", ".join(map(str, shape))
