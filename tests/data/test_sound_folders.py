"""Folders of recordings as people have them: many formats, rates and channels, and files that nothing reads."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from mi_lightning.data import SpeakerFolder
from mi_lightning.errors import InputError

soundfile = pytest.importorskip("soundfile", reason="recordings are read by soundfile, of the extra speech")

RATE = 8000
FORMS = {".mp3": ("MP3", "MPEG_LAYER_III"), ".ogg": ("OGG", "VORBIS"), ".opus": ("OGG", "OPUS")}


def write(path: Path, hz: float, *, rate: int = 48000, seconds: float = 1.0, channels: int = 2) -> None:
    """A tone: in stereo louder on the left."""
    tone = 0.4 * np.sin(2 * math.pi * hz * np.arange(round(rate * seconds)) / rate)
    form, subtype = FORMS.get(path.suffix, (None, None))
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.stack((tone, 0.5 * tone), 1) if channels == 2 else tone
    soundfile.write(path, samples, rate, format=form, subtype=subtype)


def make(root: Path, **arguments) -> SpeakerFolder:
    return SpeakerFolder(str(root), **{"sample_rate": RATE, "chunk_seconds": 0.05, "batch_size": 4} | arguments)


def loudest(wave: torch.Tensor) -> float:
    """Frequency with the most power, Hz."""
    spectrum = torch.fft.rfft(wave.flatten() * torch.hann_window(wave.numel())).abs()
    return float(spectrum.argmax()) * RATE / wave.numel()


@pytest.mark.filterwarnings("ignore:.*recordings have several channels")
def test_48_khz_stereo_for_a_model_of_8_khz_and_a_speaker_in_mp3(tmp_path):
    """Right pitch, right length, one channel, nobody gone."""
    for hz, name in ((500, "anna/1.wav"), (900, "bob/1.mp3"), (1300, "cleo/1.opus"), (1700, "dora/1.ogg")):
        write(tmp_path / name, hz)
    data = make(tmp_path)
    assert data.class_names == ("anna", "bob", "cleo", "dora")
    for label, wave in data.utterances("train"):
        assert loudest(wave) == pytest.approx(500 + 400 * label, abs=20)
        assert wave.shape[-1] == pytest.approx(0.8 * RATE, abs=0.05 * RATE)
        assert float(wave.abs().max()) == pytest.approx(1.0, abs=0.05)


def test_what_is_left_out_is_named(tmp_path):
    for name in ("anna/1.wav", "bob/1.wav"):
        write(tmp_path / name, 500, rate=RATE, channels=1)
    (tmp_path / "anna" / "2.m4a").write_bytes(b"")
    (tmp_path / "bob" / "notes.txt").write_text("")
    (tmp_path / "bob" / "._1.wav").write_text("")
    (tmp_path / "README.md").write_text("")  # of the folder, nobody's
    with pytest.warns(
        UserWarning,
        match=r"3 files are left out: anna/2.m4a, bob/._1.wav, bob/notes.txt; 1 are sound: ffmpeg -i 2.m4a 2.flac",
    ):
        make(tmp_path).setup()


def test_a_speaker_of_whom_nothing_can_be_read_is_an_error(tmp_path):
    for name in ("anna/1.wav", "bob/1.wav"):
        write(tmp_path / name, 500, rate=RATE, channels=1)
    (tmp_path / "cleo").mkdir()
    (tmp_path / "cleo" / "voice memo.m4a").write_bytes(b"")
    with pytest.raises(
        InputError,
        match=r"convert with ffmpeg -i 'voice memo.m4a' 'voice memo.flac', got none of cleo \(voice memo.m4a\)",
    ):
        _ = make(tmp_path).class_names


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus", ".wav"])
def test_files_that_are_cut_short_are_named(tmp_path, suffix, capfd):
    for name in ("anna/1.wav", "bob/1.wav"):
        write(tmp_path / name, 500, rate=RATE, channels=1)
    cut = tmp_path / "anna" / f"2{suffix}"
    write(cut, 500, seconds=3.0)
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size * 2 // 3])
    with pytest.raises(InputError, match=rf"got damaged: anna/2\{suffix} \(truncated: "):
        make(tmp_path).setup()


# ------------------------------------------------------------------------------------------------ what is told


def two_speakers(root: Path, rate: int) -> Path:
    for speaker in ("a", "b"):
        for each in range(2):
            (root / speaker).mkdir(parents=True, exist_ok=True)
            wave = np.random.default_rng(each).uniform(-0.5, 0.5, rate)
            soundfile.write(str(root / speaker / f"{each}.wav"), wave, rate)
    return root


def warned(root: Path, tmp_path: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SpeakerFolder(str(root), sample_rate=8000, cache_dir=str(tmp_path / "cache")).setup()
    return [str(each.message) for each in caught]


def test_a_lower_rate_is_told_in_every_run(tmp_path):
    root = two_speakers(tmp_path / "speakers", 4000)
    first, second = warned(root, tmp_path), warned(root, tmp_path)
    assert len(first) == 1
    assert "a rate of 4000 Hz" in first[0]
    assert second == first


def test_a_folder_that_is_nobodys_is_named(tmp_path):
    root = two_speakers(tmp_path / "speakers", 8000)
    (root / "empty").mkdir()
    assert warned(root, tmp_path) == [f"{root}: 1 folders without a recording are nobody's: empty"]


@pytest.mark.parametrize(("link", "to"), [("a/lost.wav", "nowhere.wav"), ("a/loop", "."), ("lost", "nowhere")])
def test_links_that_are_not_followed_are_named(tmp_path, link, to):
    root = two_speakers(tmp_path / "speakers", 8000)
    (root / link).symlink_to(to)
    assert warned(root, tmp_path) == [f"{root}: 1 files are left out: {link}"]
