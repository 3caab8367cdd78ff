from __future__ import annotations

import io

import pytest
import torch

from mi_lightning.audio.compressed import MP3_RATES, mp3
from mi_lightning.audio.files import wav

soundfile = pytest.importorskip("soundfile", reason="the package soundfile of the extra speech is not installed")


def tone(rate: int, seconds: float = 0.5) -> torch.Tensor:
    return 0.5 * torch.sin(2 * torch.pi * 440 * torch.arange(round(rate * seconds)) / rate)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_what_is_played_is_what_went_in(rate):
    samples, found = soundfile.read(io.BytesIO(mp3(tone(rate), rate)), dtype="float32")
    assert found == rate
    assert samples.shape == (rate // 2,)  # the padding of the encoder is not heard
    inner = slice(rate // 10, -rate // 10)
    off = (torch.from_numpy(samples)[inner] - tone(rate)[inner]).square().mean().sqrt()
    assert off < 0.1 * tone(rate)[inner].square().mean().sqrt()


def test_the_same_sound_gives_the_same_bytes_a_fraction_of_a_wav_file():
    noise = torch.rand(1, 16000, generator=torch.Generator().manual_seed(0)) - 0.5
    assert mp3(noise, 16000) == mp3(noise.clone(), 16000)
    assert len(mp3(noise, 16000)) < len(wav(noise, 16000)) / 5


def test_what_is_beyond_full_scale_is_cut_off_and_nan_is_silence():
    inside = tone(8000).clamp(-0.25, 0.25) * 4
    assert mp3(tone(8000) * 4, 8000) == mp3(inside, 8000)
    beyond = torch.where(inside == 1, float("inf"), inside)
    beyond[100:200], inside[100:200] = float("nan"), 0.0
    assert mp3(beyond, 8000) == mp3(inside, 8000)


def test_a_rate_that_mp3_does_not_know():
    assert 16000 in MP3_RATES
    with pytest.raises(ValueError, match=r"expected a rate of 8000, .* Hz, got 10000"):
        mp3(tone(10000), 10000)
