"""Pictures of one size, number of channels and range as pictures of another."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from mi_lightning.errors import InputError

_LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601


def is_picture(shape: Sequence[int]) -> bool:
    """Whether an input of a shape is a picture: (1 or 3 channels, height, width).

    Example:
        >>> is_picture((3, 64, 64)), is_picture((64, 64, 3)), is_picture((300,))
        (True, False, False)
    """
    return len(shape) == 3 and shape[0] in (1, 3) and min(shape) > 0


def with_channels(x: Tensor, channels: int) -> Tensor:
    """Make grey of colour by the luma of ITU-R BT.601, as PIL does, and colour of grey by repeating it.

    Args:
        x: Pictures, shape (N, 1 or 3, height, width); those that fit stay as they are.
        channels: 1 or 3.
    """
    if channels == 1 and x.shape[1] == 3:
        red, green, blue = _LUMA  # numbers, not a tensor, which each question would copy to the device
        return x[:, :1] * red + x[:, 1:2] * green + x[:, 2:] * blue
    return x.expand(-1, channels, -1, -1) if channels != x.shape[1] else x


def fit_pictures(
    x: Tensor,
    shape: Sequence[int],
    *,
    value_range: tuple[float, float] | None = None,
    wanted_range: tuple[float, float] | None = None,
) -> Tensor:
    """Bring pictures to another size, number of channels and range; those that fit stay as they are.

    Grey becomes colour by repeating, colour grey by the luma of ITU-R BT.601. Sizes are changed linearly, with a filter
    against aliasing where pictures become smaller.

    Args:
        x: Shape (N, 1 or 3, height, width).
        shape: Channels, height and width that are wanted.
        value_range: Least and greatest value of ``x``; together with ``wanted_range``.
        wanted_range: What these become; values stay as they are if either is None.

    Raises:
        InputError: If these are no pictures.
    """
    shape = tuple(shape)
    if tuple(x.shape[1:]) != shape:
        if not is_picture(x.shape[1:]) or not is_picture(shape):
            raise InputError(f"pictures to bring to shape {shape}", tuple(x.shape[1:]))
        grey = min(x.shape[1], shape[0])  # fewer channels are resized
        x = with_channels(x, grey)
        if tuple(x.shape[-2:]) != shape[1:]:
            x = functional.interpolate(x, shape[1:], mode="bilinear", align_corners=False, antialias=True)
        x = with_channels(x, shape[0])
    if value_range is not None and wanted_range is not None and tuple(value_range) != tuple(wanted_range):
        (low, high), (least, most) = value_range, wanted_range
        x = (x - low) * ((most - least) / (high - low)) + least
    return x
