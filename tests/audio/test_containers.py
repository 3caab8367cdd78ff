"""Files of sound that are cut short: noticed in every format that says how long it is."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mi_lightning.audio import DamagedAudioError, read_audio
from mi_lightning.audio.containers import what_is_missing

soundfile = pytest.importorskip("soundfile", reason="the package soundfile of the extra speech is not installed")

FORMS = {
    "a.wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "a.aiff": ("AIFF", "PCM_16"),
    "a.sph": ("NIST", "PCM_16"),
    "a.flac": ("FLAC", "PCM_16"),
    "a.ogg": ("OGG", "VORBIS"),
    "a.opus": ("OGG", "OPUS"),
    "a.mp3": ("MP3", "MPEG_LAYER_III"),
}


def write(path: Path, seconds: float = 3.0, rate: int = 48000) -> np.ndarray:
    """Two channels, a tone each, and noise that no encoder does away with."""
    time = np.arange(round(seconds * rate)) / rate
    tones = np.stack((0.4 * np.sin(2 * np.pi * 440 * time), 0.2 * np.sin(2 * np.pi * 1000 * time)), 1)
    samples = tones + 0.02 * np.random.default_rng(0).standard_normal(tones.shape)
    form, subtype = FORMS[path.name]
    soundfile.write(path, samples, rate, format=form, subtype=subtype)
    return samples


@pytest.mark.parametrize("name", FORMS)
def test_whole_files_are_read(tmp_path, name):
    written = write(tmp_path / name)
    assert what_is_missing(tmp_path / name) is None
    samples, rate = read_audio(tmp_path / name)
    assert (rate, samples.shape) == (48000, written.shape)
    inner = slice(4800, -4800)
    error = np.sqrt(((samples - written)[inner] ** 2).mean() / (written[inner] ** 2).mean())
    assert error < (0.001 if FORMS[name][0] not in ("OGG", "MP3") else 0.15)


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("share", [0.97, 0.6, 0.2, 0.001])
def test_cut_short(tmp_path, name, share, capfd):
    write(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(DamagedAudioError):
        read_audio(tmp_path / name)


def test_what_is_said_of_a_file_that_is_cut_short(tmp_path):
    write(tmp_path / "a.wav", seconds=1.0)
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(content[:-1000])
    assert what_is_missing(tmp_path / "a.wav") == "truncated: 191000 of 192000 bytes of sound"
    write(tmp_path / "a.ogg")
    (tmp_path / "a.ogg").write_bytes((tmp_path / "a.ogg").read_bytes()[:-1])
    assert what_is_missing(tmp_path / "a.ogg") == "truncated: its last page is missing"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_file_from_a_pipe_does_not_say_how_long_it_is(tmp_path, size):
    write(tmp_path / "a.wav", seconds=0.5)
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(content[:place] + struct.pack("<I", size) + content[place + 4 : -500])
    assert what_is_missing(tmp_path / "a.wav") is None


def test_chunks_before_the_samples_are_passed_over(tmp_path):
    write(tmp_path / "a.wav", seconds=0.1)
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data")
    odd = b"note" + struct.pack("<I", 3) + b"abc\0"
    (tmp_path / "a.wav").write_bytes(content[:place] + odd + content[place:])
    assert what_is_missing(tmp_path / "a.wav") is None
    (tmp_path / "a.wav").write_bytes(content[:place] + odd)
    assert what_is_missing(tmp_path / "a.wav") == "truncated: no samples"


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "."), (b"RIFF", "truncated: no samples"), (b"words, words, words", ".")]
)
def test_no_sound(tmp_path, content, message):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DamagedAudioError, match=message):
        read_audio(tmp_path / "a.wav")


def test_no_samples_and_no_numbers(tmp_path):
    soundfile.write(tmp_path / "none.wav", np.zeros((0, 1)), 8000)
    with pytest.raises(DamagedAudioError, match="no samples"):
        read_audio(tmp_path / "none.wav")
    soundfile.write(tmp_path / "nan.wav", np.array([0.1, np.nan]), 8000, subtype="FLOAT")
    with pytest.raises(DamagedAudioError, match="samples that are no numbers"):
        read_audio(tmp_path / "nan.wav")
