"""Pictures of reconstructions: grey levels for the screen, PNG, grids and the contact sheet."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mi_lightning.judging.likeness import into_range

Pixels = NDArray[np.uint8]

_INK, _FAINT, _PAPER = (28, 32, 40), (110, 118, 130), (255, 255, 255)
_GOOD, _BAD = (22, 120, 60), (176, 42, 48)
_VALUES = 2**22  # in the pictures that are worked on at a time
_EDGE = 128  # a picture on the contact sheet is scaled so that its longer side comes near this many pixels


def _at_a_time(images: Tensor | Pixels) -> int:
    """Pictures, shape (N, ...), that are worked on at a time: some copies of larger ones do not fit in memory."""
    return max(1, _VALUES // max(1, math.prod(images.shape[1:])))


def to_pixels(images: Tensor, input_range: tuple[float, float]) -> Pixels:
    """Turn inputs into what a screen shows: the input range becomes 0 to 255.

    An image that leaves the range is first brought into it as the judge does
    (:func:`mi_lightning.judging.likeness.into_range`): shown is what was judged.

    Args:
        images: Shape (N, C, H, W), C = 1 or 3; values that are not numbers count as 0, infinite ones as the ends of the
            range.
        input_range: Lowest and highest value of an input.

    Returns:
        Shape (N, H, W) for one channel, (N, H, W, 3) for three.
    """
    low, high = input_range
    if len(images) > (some := _at_a_time(images)):
        return np.concatenate([to_pixels(part, input_range) for part in images.split(some)])
    finite = images.detach().float().cpu().nan_to_num(nan=0.0, posinf=high, neginf=low)
    shown = into_range(finite, input_range)
    pixels: Pixels = ((shown - low) / (high - low) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def stretched(pixels: Pixels) -> Pixels:
    """Spread the grey levels of each picture (1st to 99th percentile) over black to white, to look at faint ones.

    Args:
        pixels: Shape (N, H, W) or (N, H, W, 3). A flat picture comes out black.
    """
    if len(pixels) > (some := _at_a_time(pixels)):
        return np.concatenate([stretched(pixels[at : at + some]) for at in range(0, len(pixels), some)])
    low, high = (level.reshape(-1, *[1] * (pixels.ndim - 1)) for level in _levels(pixels))
    spread: Pixels = ((pixels - low) / np.maximum(high - low, 1) * 255).round().clip(0, 255).astype(np.uint8)
    return spread


def faint(pixels: Pixels) -> bool:
    """Whether half of the pictures use less than half of the grey levels.

    Args:
        pixels: Shape (N, H, W) or (N, H, W, 3), N >= 1.
    """
    low, high = _levels(pixels)
    return bool(np.median(high - low) < 128)


def _levels(pixels: Pixels) -> NDArray[np.float64]:
    """1st and 99th percentile of the grey levels of each picture, shape (2, N)."""
    if len(pixels) > (some := _at_a_time(pixels)):
        return np.concatenate([_levels(pixels[at : at + some]) for at in range(0, len(pixels), some)], 1)
    levels: NDArray[np.float64] = np.percentile(pixels.reshape(len(pixels), -1), (1, 99), axis=1)
    return levels


def outside_range(images: Tensor, input_range: tuple[float, float]) -> float:
    """Share of values that lie outside the input range, beyond rounding.

    Example:
        >>> import torch
        >>> outside_range(torch.tensor([-1.0, 0.0, 0.5, 1.0]), (0.0, 1.0))
        0.25
    """
    low, high = input_range
    slack = 1e-6 * (high - low)
    if images.ndim > 1 and len(images) > (some := _at_a_time(images)):
        shares = [outside_range(part, input_range) * len(part) for part in images.split(some)]
        return math.fsum(shares) / len(images)
    return float(((images < low - slack) | (images > high + slack)).float().mean()) if images.numel() else 0.0


def png(pixels: Pixels) -> bytes:
    """Encode one picture, (H, W) or (H, W, 3), as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def data_uri(pixels: Pixels) -> str:
    """Encode one picture so that it can stand inside an HTML page."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")


def grid(pixels: Pixels, *, gap: int = 2, width_to_height: float = 1.6) -> Pixels:
    """Lay pictures side by side, row after row, on white.

    Args:
        pixels: Shape (N, H, W) or (N, H, W, 3), N >= 1.
        gap: Pixels between two pictures.
        width_to_height: Proportions of the whole to aim at.

    Returns:
        One picture, shape (H', W') or (H', W', 3).
    """
    count, height, width = pixels.shape[:3]
    columns = max(1, min(count, round(math.sqrt(count * width_to_height * height / width))))
    lines = math.ceil(count / columns)
    sheet = np.full(
        (lines * (height + gap) - gap, columns * (width + gap) - gap, *pixels.shape[3:]), 255, dtype=np.uint8
    )
    for index, picture in enumerate(pixels):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def contact_sheet(
    pictures: Sequence[Pixels],
    *,
    names: Sequence[str],
    captions: Sequence[str],
    right: Sequence[bool | None],
    heading: Sequence[str],
) -> bytes:
    """Draw all people on one sheet: their pictures side by side, name, caption.

    Args:
        pictures: What stands side by side for each person, one or more of shape (N, H, W) or (N, H, W, 3), N >= 1.
        names: Name of each person.
        captions: A few words under each name.
        right: Whether the evaluator names the person: the caption is green, red, or (None) grey.
        heading: Lines above the sheet.

    Returns:
        A PNG file.
    """
    height, width = pictures[0].shape[1:3]
    scale = _EDGE / max(height, width)
    scale = max(1, round(scale)) if scale > 1 else scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    bold, plain, small = (ImageFont.load_default(points) for points in (17, 13, 13))

    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    words = [max(ruler.textlength(n, plain), ruler.textlength(c, small)) for n, c in zip(names, captions, strict=True)]
    tile_width = max(len(pictures) * (size[0] + 4) - 4, math.ceil(max(words)))
    tile_height = size[1] + 42
    columns = max(1, min(len(names), 1240 // (tile_width + 24)))
    margin, top = 24, 24 + 22 * len(heading) + 14
    needed = max((ruler.textlength(line, bold) for line in heading), default=0)
    sheet = Image.new(
        "RGB",
        (
            max(2 * margin + columns * (tile_width + 24) - 24, math.ceil(needed) + 2 * margin),
            top + math.ceil(len(names) / columns) * (tile_height + 14) + margin - 14,
        ),
        _PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    for line, text in enumerate(heading):
        draw.text((margin, 20 + 22 * line), text, _INK if line == 0 else _FAINT, bold if line == 0 else plain)
    smooth = Image.Resampling.NEAREST if scale >= 2 else Image.Resampling.LANCZOS
    for index, name in enumerate(names):
        x = margin + index % columns * (tile_width + 24)
        y = top + index // columns * (tile_height + 14)
        for place, pixels in enumerate(pictures):
            picture = Image.fromarray(pixels[index]).convert("RGB")
            sheet.paste(picture.resize(size, smooth), (x + place * (size[0] + 4), y))
        colour = _FAINT if right[index] is None else _GOOD if right[index] else _BAD
        draw.text((x, y + size[1] + 4), name, _INK, plain)
        draw.text((x, y + size[1] + 21), captions[index], colour, small)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def stretch_style(pixels: Pixels) -> str:
    """CSS variables of a filter that spreads the picture's grey levels (1st to 99th percentile) over black to white.

    ``brightness(b) contrast(c)`` maps v to (b v - 1/2) c + 1/2, which takes low to 0 and high to 1 for these b and c.
    """
    low, high = (float(value) / 255 for value in np.percentile(pixels, (1, 99)))
    if high - low < 2 / 255:
        return ""
    return f"--b:{1 / (high + low):.3f};--c:{(high + low) / (high - low):.3f}"
