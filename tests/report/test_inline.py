from __future__ import annotations

import base64
import importlib
import io
import wave

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.report.inline import sound_uri, webp_uri


def content(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


def test_a_sound_is_mp3_and_no_longer_than_two_seconds():
    soundfile = pytest.importorskip("soundfile", reason="the package soundfile of the extra speech is not installed")
    uri = sound_uri(torch.zeros(1, 1, 50000), 16000)
    assert uri.startswith("data:audio/mpeg;base64,")
    assert soundfile.info(io.BytesIO(content(uri))).frames == 32000


def test_a_rate_that_mp3_does_not_know_is_played_as_wav():
    uri = sound_uri(torch.zeros(500), 1000)
    assert uri.startswith("data:audio/wav;base64,")
    with wave.open(io.BytesIO(content(uri))) as file:
        assert (file.getnframes(), file.getframerate()) == (500, 1000)


def test_without_soundfile_a_sound_is_wav(monkeypatch):
    imported = importlib.import_module

    def missing(name, *rest):
        if name == "soundfile":
            raise ModuleNotFoundError("No module named 'soundfile'", name="soundfile")
        return imported(name, *rest)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert sound_uri(torch.zeros(100), 16000).startswith("data:audio/wav;base64,")


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_a_picture_is_small_and_nearly_the_same(shape):
    pixels = np.tile(np.linspace(0, 255, 30).astype(np.uint8)[None, :], (20, 1))
    pixels = pixels if len(shape) == 2 else np.repeat(pixels[..., None], 3, 2)
    uri = webp_uri(pixels)
    assert uri == webp_uri(pixels.copy())
    with Image.open(io.BytesIO(content(uri))) as image:
        assert (image.format, image.size) == ("WEBP", (30, 20))
        assert abs(np.asarray(image.convert("L")).astype(int) - np.linspace(0, 255, 30)).max() < 20
