"""Voices made on the spot: who speaks, that it is speech, and that it is the same every time."""

from __future__ import annotations

import re
import sys
import time

import numpy as np
import pytest
import torch

from mi_lightning.data import SyntheticVoices
from mi_lightning.data.speech import voices as module
from mi_lightning.data.speech.voices import SENTENCES, VOICES, speak
from mi_lightning.errors import InputError, MIError

pytest.importorskip("espeakng_loader", reason="synthetic voices are spoken by espeakng-loader, of the extra speech")


def make(**arguments) -> SyntheticVoices:
    return SyntheticVoices(**{"voices": 4, "sentences": 3, "batch_size": 4} | arguments)


def test_women_and_men_take_turns():
    assert list(VOICES.values()) == ["F", "M"] * 10
    assert len(SyntheticVoices().class_names) == 20
    data = make()
    assert data.class_names == tuple(sorted(list(VOICES)[:4]))
    assert sorted(data.sexes) == ["F", "F", "M", "M"]


def test_every_voice_speaks_otherwise():
    """No voice is missing: espeak-ng gives its default voice where a variant is unknown."""
    spoken = {voice: speak("Rather.", voice)[0] for voice in VOICES}
    spoken["none"] = speak("Rather.", "en-us+nosuchvoice")[0]
    assert all(len(samples) > 3000 for samples in spoken.values())
    assert len({samples.tobytes() for samples in spoken.values()}) == 21


def pitch(samples: np.ndarray, rate: int) -> float:
    """Median over loud frames of the strongest periodicity between 60 and 400 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(float), 1024)[::512]
    frames = frames[frames.std(1) > 0.5 * frames.std(1).max()]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(1024), 4096)) ** 2
    correlation = np.fft.irfft(spectrum)[:, rate // 400 : rate // 60]
    return float(np.median(rate / (rate // 400 + correlation.argmax(1))))


def test_women_speak_higher():
    pitches = {voice: pitch(*speak(SENTENCES[0], voice)) for voice in VOICES}
    women, men = ([pitches[voice] for voice in VOICES if VOICES[voice] == sex] for sex in ("F", "M"))
    assert np.median(women) > 1.3 * np.median(men)


def test_rate_and_pitch_are_those_asked_for():
    slow, rate = speak(SENTENCES[0], "en-us+m1", rate=140)
    fast, _ = speak(SENTENCES[0], "en-us+m1", rate=210)
    assert len(slow) / len(fast) == pytest.approx(1.5, rel=0.2)
    low, high = (pitch(speak(SENTENCES[0], "en-us+m1", pitch=value)[0], rate) for value in (30, 70))
    assert high > 1.15 * low


def test_the_same_every_time(tmp_path):
    first = make(cache_dir=str(tmp_path / "a")).describe()
    speak("Something in between.", "en-us+f3", rate=90, pitch=99)
    assert make(cache_dir=str(tmp_path / "b")).describe()["sha256"] == first["sha256"]
    assert make(cache_dir=str(tmp_path / "b"), variation=0.2).describe()["sha256"] != first["sha256"]


def test_a_voice_is_the_same_whoever_spoke_before_it(tmp_path):
    """espeak-ng remembers what it spoke."""
    first = [
        next(x for y, x in data.utterances("train") if data.class_names[y] == "en-gb-scotland+f2")
        for data in (make(sentences=count, split="first", cache_dir=str(tmp_path)) for count in (2, 4))
    ]
    assert torch.equal(*first)


def test_a_voice_made_of_random_numbers_is_the_same_every_time():
    voices = ("en-us+f3", "en-us+caleb")
    first = [speak("A breathy voice.", voice)[0] for voice in voices]
    time.sleep(1.1)  # the clock, in seconds, seeds one of them
    for voice, samples in zip(voices, first, strict=True):
        assert np.array_equal(speak("A breathy voice.", voice)[0], samples)


def test_sentences_are_divided():
    data = make(sentences=5)
    assert len(data.utterances("train")) == 16
    assert len(data.utterances("test")) == 4
    for label, x in data.utterances("test"):
        assert 0 <= label < 4
        assert 1.5 * 16000 < x.shape[1] < 8 * 16000
        assert x.abs().max() == pytest.approx(1, abs=1e-3)
    x, y = next(iter(data.train_dataloader()))
    assert x.shape == (4, 1, 3200)
    assert y.dtype == torch.int64


def test_sentences_are_all_different_and_plain():
    assert len(set(SENTENCES)) == 24
    assert all(re.fullmatch(r"[A-Z][A-Za-z',? ]+[.?]", sentence) for sentence in SENTENCES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"voices": 21}, r"2 <= voices <= 20, got 21 \(voices\)"),
        ({"sentences": 1}, r"2 <= sentences <= 24, got 1"),
        ({"variation": 0.6}, r"0 <= variation <= 0\.5, got 0\.6"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(InputError, match=words):
        make(**arguments)


def test_unknown_language():
    with pytest.raises(MIError, match="espeak-ng has no voice zz-nowhere; pip install"):
        speak("Hello.", "zz-nowhere")


def test_without_the_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(MIError, match=r"spoken by the package espeakng-loader, which .*, or use recordings"):
        make(cache_dir=str(tmp_path)).setup()


def test_library_that_does_not_load(monkeypatch, tmp_path):
    broken = type("Package", (), {"get_library_path": lambda: str(tmp_path / "none.so"), "get_data_path": lambda: ""})
    monkeypatch.setattr(module, "load_espeakng", lambda: broken)
    with pytest.raises(MIError, match=r"espeak-ng cannot be loaded: .*none\.so"):
        speak("Hello.", "en-us")
