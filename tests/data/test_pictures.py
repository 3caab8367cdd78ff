"""Pictures in files: formats, EXIF, transparency, depth, and what is cut short."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mi_lightning.data.pictures import DamagedPictureError, fitted, read_picture


def smooth(height: int = 40, width: int = 30) -> np.ndarray:
    """A picture that every format keeps: brighter to the right and, in another colour, downwards."""
    y, x = np.mgrid[:height, :width]
    return np.stack((x * 255 // width, y * 255 // height, np.full_like(x, 90)), -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("ending", "tolerance"), [("png", 0), ("bmp", 0), ("ppm", 0), ("webp", 0), ("jpg", 12), ("JPEG", 12)]
)
def test_colours_of_each_format(tmp_path, ending, tolerance):
    file, levels = tmp_path / f"a.{ending}", smooth()
    Image.fromarray(levels).save(file, **({"lossless": True} if ending == "webp" else {}))
    found = read_picture(file, 3)
    assert (found.shape, found.dtype) == ((40, 30, 3), np.uint8)
    assert np.abs(found.astype(int) - levels).max() <= tolerance


def test_grey_is_the_luma_of_rec_601_and_colours_are_grey_repeated(tmp_path):
    levels = smooth()
    Image.fromarray(levels).save(tmp_path / "a.png")
    luma = levels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(read_picture(tmp_path / "a.png", 1) - luma).max() <= 0.51
    Image.fromarray(levels[..., 0]).save(tmp_path / "grey.png")
    found = read_picture(tmp_path / "grey.png", 3)
    assert all(np.array_equal(found[..., channel], levels[..., 0]) for channel in range(3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    """The orientations of the EXIF standard, 0x0112: how the stored picture has to be turned to be upright."""
    upright = smooth()[..., 0]
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    image, exif = Image.fromarray(np.ascontiguousarray(stored)), Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "a.png", 1), upright)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_dropped_and_not_laid_over_a_colour(tmp_path, mode):
    levels = smooth()[..., : 3 if mode == "RGBA" else 1]
    hidden = np.concatenate((levels, np.zeros((40, 30, 1), np.uint8)), -1)
    Image.merge(mode, [Image.fromarray(np.ascontiguousarray(plane)) for plane in hidden.transpose(2, 0, 1)]).save(
        tmp_path / "a.png"
    )
    found = read_picture(tmp_path / "a.png", len(levels[0, 0]))
    assert np.array_equal(found.reshape(levels.shape), levels)


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.array([[0, 257 * 100, 65535], [128, 129, 257 * 7]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    (tmp_path / "b.pgm").write_bytes(b"P5\n3 2\n65535\n" + deep.astype(">u2").tobytes())
    (tmp_path / "c.pgm").write_bytes(b"P5\n3 1\n1000\n" + np.array([0, 500, 1000], ">u2").tobytes())
    for name in ("a.png", "b.pgm"):
        assert read_picture(tmp_path / name, 1).tolist() == [[0, 100, 255], [0, 1, 7]]
    assert np.abs(read_picture(tmp_path / "c.pgm", 1).astype(int) - [[0, 128, 255]]).max() <= 1


def test_palettes_and_print_colours(tmp_path):
    levels = smooth()
    Image.fromarray(levels).quantize(64).save(tmp_path / "a.png")
    Image.fromarray(levels).convert("CMYK").save(tmp_path / "b.jpg", quality=95)
    for name, tolerance in (("a.png", 40), ("b.jpg", 20)):
        assert np.abs(read_picture(tmp_path / name, 3).astype(int) - levels).mean() < tolerance / 2


def test_what_a_copy_as_text_has_torn_is_mended(tmp_path):
    levels = np.arange(110, dtype=np.uint8).reshape(11, 10)  # holds one line feed
    torn = b"P5\n10 11\n255\n" + levels.tobytes()
    (tmp_path / "a.pgm").write_bytes(torn.replace(b"\n", b"\r\n"))
    assert np.array_equal(read_picture(tmp_path / "a.pgm", 1), levels)


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "pgm", "webp", "jpg"])
@pytest.mark.parametrize("share", [0.95, 0.5, 0.02])
def test_cut_short(tmp_path, ending, share):
    noise = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise[..., 0] if ending == "pgm" else noise).save(
        buffer, {"jpg": "JPEG", "pgm": "PPM"}.get(ending, ending)
    )
    file = tmp_path / f"a.{ending}"
    file.write_bytes(buffer.getvalue()[: int(share * len(buffer.getvalue()))])
    with pytest.raises(DamagedPictureError):
        read_picture(file, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"hello, world", "no picture that can be read"), (b"GIF89a" + bytes(40), "no picture that can")],
)
def test_no_picture(tmp_path, content, message):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DamagedPictureError, match=message):
        read_picture(tmp_path / "a.jpg", 1)


def test_fitting_cuts_the_ends_and_stretches_nothing():
    levels = smooth(40, 30)
    assert fitted(levels, (40, 30)) is levels
    square = np.zeros((30, 90), np.uint8)
    square[:, 30:60] = 200  # the middle third
    assert fitted(square, (10, 10)).min() > 180
    assert fitted(levels, (7, 21)).shape == (7, 21, 3)
