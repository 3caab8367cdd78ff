"""Recordings of speakers: what is found, decoded, divided and cut, and what is refused."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mi_lightning.audio import prepare_audio
from mi_lightning.data import SpeakerFolder
from mi_lightning.data.speech import ChunkSet, Segment
from mi_lightning.errors import InputError, MIError
from tests.data.recordings import RATE, SMALL, frequency, tone, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three speakers with four utterances each; the number of the utterance is in its frequency."""
    for index, speaker in enumerate(("anna", "10", "2")):
        for utterance in range(4):
            write(tmp_path / "speech" / speaker / f"{utterance}.wav", tone(hz=500 + 700 * index + 100 * utterance))
    return tmp_path / "speech"


def make(root: Path, **arguments) -> SpeakerFolder:
    return SpeakerFolder(str(root), **SMALL | arguments)


# ------------------------------------------------------------------------------------------------ what is found


def test_known_before_anything_is_decoded(folder):
    data = make(folder)
    assert data.class_names == ("2", "10", "anna")  # numbers in their order
    assert (data.input_shape, data.input_range, data.num_classes) == ((1, 400), (-1.0, 1.0), 3)
    assert data.sexes == ("?", "?", "?")
    assert not list(Path(data.root).parent.glob("cache/*"))


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.flac", {"format": "FLAC"}),
        ("a.FLAC", {"format": "FLAC"}),
        ("a.sph", {"format": "NIST", "subtype": "PCM_16"}),
        ("A.WAV", {"format": "NIST", "subtype": "PCM_16"}),
        ("deeper/a.wav", {"format": "WAV"}),
    ],
)
def test_formats(folder, name, form):
    write(folder / "new" / name, tone(0.8, 1234), **form)
    data = make(folder, normalise=False, trim_db=None)
    label = data.class_names.index("new")
    (train,) = [x for y, x in data.utterances("train") if y == label]
    (test,) = [x for y, x in data.utterances("test") if y == label]
    found = torch.cat((train, test), 1)[0].numpy()
    np.testing.assert_allclose(found, tone(0.8, 1234), atol=1e-4)


def test_other_rate_is_resampled_and_said(folder):
    write(folder / "new" / "a.wav", tone(1.0, 1000, rate=4000), rate=4000)
    data = make(folder)
    with pytest.warns(UserWarning, match="rate of 4000 Hz and are resampled to 8000 Hz"):
        data.setup()
    x = next(x for y, x in data.utterances("train") if data.class_names[y] == "new")
    assert x.shape[1] == pytest.approx(0.8 * RATE, abs=160)
    assert frequency(x[:, :4000]) == pytest.approx(1000, abs=3)


def test_higher_rate_is_resampled_without_a_word(folder):
    write(folder / "new" / "a.wav", tone(1.0, 1000, rate=22050) + tone(1.0, 9000, rate=22050), rate=22050)
    x = next(x for y, x in make(folder, normalise=False).utterances("train") if y == 2)
    x = next(x for y, x in make(folder, normalise=False).utterances("train") if x.shape[1] > 5000)
    assert frequency(x[:, :4000]) == pytest.approx(1000, abs=3)
    assert x[:, 100:-100].abs().max() == pytest.approx(0.5, abs=0.02)  # nothing folded back from above 4000 Hz


def test_stereo_is_averaged_and_said(folder):
    write(folder / "new" / "a.wav", np.stack([tone(1.0), 0 * tone(1.0)], 1))
    data = make(folder, normalise=False)
    with pytest.warns(UserWarning, match="1 recordings have several channels, which are averaged"):
        data.setup()
    x = next(x for y, x in data.utterances("train") if data.class_names[y] == "new")
    assert x.abs().max() == pytest.approx(0.25, abs=1e-3)


def test_ends_are_trimmed_and_pauses_stay():
    quiet = 0.0005 * np.ones(RATE)
    samples = np.concatenate([quiet, tone(), quiet, tone(), quiet])[:, None]
    trimmed = prepare_audio(samples, RATE, sample_rate=RATE, trim_db=40, normalise=True)
    assert len(trimmed) == pytest.approx(2 * RATE, abs=0.04 * RATE)
    assert np.abs(trimmed).max() == 1
    untouched = prepare_audio(samples, RATE, sample_rate=RATE, trim_db=None, normalise=False)
    np.testing.assert_array_equal(untouched, samples[:, 0])


# ------------------------------------------------------------------------------------------------ decoded once


def test_decoded_once(folder, tmp_path, monkeypatch):
    first = make(folder, cache_dir=str(tmp_path / "cache"))
    expected = first.utterances("train")
    monkeypatch.setattr(SpeakerFolder, "read", lambda self, recording: pytest.fail("decoded again"))
    again = make(folder, cache_dir=str(tmp_path / "cache"))
    for (label, x), (same, y) in zip(expected, again.utterances("train"), strict=True):
        assert label == same
        assert torch.equal(x, y)
    assert again.describe() == first.describe()
    assert isinstance(again._audio, np.memmap)


@pytest.mark.parametrize("change", ["file", "new file", "setting"])
def test_decoded_again_when_something_changed(folder, tmp_path, change):
    cache = str(tmp_path / "cache")
    before = make(folder, cache_dir=cache).describe()["sha256"]
    if change == "file":
        write(folder / "anna" / "0.wav", tone(0.4))
    elif change == "new file":
        write(folder / "anna" / "9.wav", tone(0.4))
    after = make(folder, cache_dir=cache, trim_db=20.0 if change == "setting" else 40.0)
    assert after.describe()["sha256"] != before or change == "setting"
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_damaged_cache_is_made_anew(folder, tmp_path):
    cache = tmp_path / "cache"
    before = make(folder, cache_dir=str(cache)).describe()
    (entry,) = cache.iterdir()
    (entry / "table.json").write_text("{")
    assert make(folder, cache_dir=str(cache)).describe() == before
    assert json.loads((entry / "table.json").read_text())["sha256"] == before["sha256"]


def test_cache_that_cannot_be_written_is_done_without(folder, tmp_path):
    (tmp_path / "file").write_text("")
    data = make(folder, cache_dir=str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match=r"decoded audio is not kept.*\(cache_dir\)"):
        assert len(data.utterances("train")) == 9


def test_on_a_full_disk_audio_is_not_kept_and_nothing_is_left(folder, tmp_path, monkeypatch):
    def full(path, audio):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mi_lightning.data.speech.cache.np.save", full)
    data = make(folder, cache_dir=str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match=r"not kept.*: cannot write .*: No space left on device \(cache_dir\)"):
        assert len(data.utterances("train")) == 9
    assert list((tmp_path / "cache").iterdir()) == []


def test_cache_folder_of_the_user(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    make(folder).setup()
    assert len(list((tmp_path / "home" / "mi_lightning").iterdir())) == 1


# ------------------------------------------------------------------------------------------------ division


def names(data: SpeakerFolder, part: str) -> set[str]:
    return {segment.name for segment in data.segments(part)}


def test_split_by_utterance(folder):
    data = make(folder, test_fraction=0.25)
    train, test = names(data, "train"), names(data, "test")
    assert len(train) == 9
    assert len(test) == 3
    assert not train & test
    assert {segment.label for segment in data.segments("test")} == {0, 1, 2}
    assert names(make(folder, test_fraction=0.25), "test") == test
    others = {frozenset(names(make(folder, test_fraction=0.25, split_seed=seed), "test")) for seed in range(6)}
    assert len(others) > 2
    first = make(folder, test_fraction=0.5, split="first")
    assert names(first, "test") == {f"{who}/{number}.wav" for who in ("anna", "2", "10") for number in (2, 3)}


def test_global_random_state_is_left_alone(folder):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    next(iter(make(folder).train_dataloader()))
    assert torch.equal(torch.rand(1), expected)


def test_only_utterance_is_divided_by_time(folder):
    write(folder / "one" / "a.wav", np.concatenate([tone(0.8, 1000), tone(0.2, 3000)]))
    data = make(folder)
    label = data.class_names.index("one")
    (train,) = [x for y, x in data.utterances("train") if y == label]
    (test,) = [x for y, x in data.utterances("test") if y == label]
    assert (train.shape, test.shape) == ((1, 6400), (1, 1600))
    assert frequency(train) == pytest.approx(1000, abs=3)
    assert frequency(test) == pytest.approx(3000, abs=6)


def test_labels_are_those_of_the_speakers(folder):
    data = make(folder)
    expected = {"2": 1900, "10": 1200, "anna": 500}
    for part in ("train", "test"):
        for label, x in data.utterances(part):
            assert 0 <= frequency(x[:, :4000]) - expected[data.class_names[label]] <= 303


# ------------------------------------------------------------------------------------------------ chunks


def test_all_chunks_of_the_test_utterances(folder):
    data = make(folder)
    x, y = data.chunks("test", 0.01)
    expected = [
        (label, utterance[:, first : first + 400])
        for label, utterance in data.utterances("test")
        for first in range(0, utterance.shape[1] - 399, 80)
    ]
    assert torch.equal(x, torch.stack([chunk for _, chunk in expected]))
    assert y.tolist() == [label for label, _ in expected]
    assert torch.equal(data.test_x, data.chunks("test", 0.05)[0])
    assert len(data.train_y) == len(data.train_x) == 9 * 10


def test_training_chunks_are_parts_of_training_utterances(folder):
    data = make(folder, gain=0.0, batches_per_epoch=8, batch_size=16)
    data.setup()
    audio = {label: [] for label in range(3)}
    for label, utterance in data.utterances("train"):
        audio[label].append(utterance.unfold(1, 400, 1)[0])
    batches = list(data.train_dataloader())
    assert [tuple(x.shape) for x, _ in batches] == [(16, 1, 400)] * 8
    for x, y in batches:
        for chunk, label in zip(x, y.tolist(), strict=True):
            assert any((places == chunk).all(1).any() for places in audio[label])


def test_every_place_is_drawn_equally_often_and_every_speaker():
    """Speaker 0 has two utterances with 3 and 1 places for a chunk of two samples, speaker 1 one with 2 places."""
    audio = np.arange(100, dtype=np.int16)
    segments = [Segment(1, "c", 20, 23), Segment(0, "a", 0, 4), Segment(0, "b", 10, 12)]
    chunks = ChunkSet(audio, segments, length=2, count=1, gain=0.0, seed=0)
    x, y = chunks.__getitems__(range(24000))
    first = (x[:, 0, 0] * 32767).round().long()
    assert torch.equal((x[:, 0, 1] * 32767).round().long(), first + 1)
    counts = {place: (first == place).sum().item() for place in first.unique().tolist()}
    assert set(counts) == {0, 1, 2, 10, 20, 21}
    assert all(counts[place] == pytest.approx(3000, rel=0.08) for place in (0, 1, 2, 10))
    assert all(counts[place] == pytest.approx(6000, rel=0.08) for place in (20, 21))
    assert ((first < 20) == (y == 0)).all()


def test_gain_is_drawn_between_its_limits():
    audio = np.full(100, 32767, dtype=np.int16)
    chunks = ChunkSet(audio, [Segment(0, "a", 0, 100)], length=5, count=1, gain=0.2, seed=0)
    x, _ = chunks.__getitems__(range(2000))
    assert (x == x[:, :, :1]).all()
    assert x.min() == pytest.approx(0.8, abs=0.005)
    assert x.max() == pytest.approx(1.2, abs=0.005)
    assert x.mean() == pytest.approx(1.0, abs=0.01)


def test_chunks_come_from_their_seed(folder):
    first, same, other = (next(iter(make(folder, order_seed=seed).train_dataloader()))[0] for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_longer_chunks_to_train(folder):
    x, _ = next(iter(make(folder, train_seconds=0.25).train_dataloader()))
    assert x.shape == (4, 1, 2000)
    with pytest.raises(InputError, match=r"an utterance of 2 of train_seconds, got 3 s"):
        make(folder, train_seconds=3.0).train_dataloader()


def test_batches_of_an_epoch_are_as_long_as_the_recordings(folder):
    assert len(make(folder).train_dataloader()) == round(9 * 0.5 / (0.05 * 4))


def test_test_batches_are_whole_utterances(folder):
    data = make(folder)
    data.setup()
    batches = list(data.test_dataloader())
    assert [(y.item(), x.shape) for x, y in batches] == [(label, (1, *x.shape)) for label, x in data.utterances("test")]


def test_description_is_plain(folder):
    said = make(folder).describe()
    assert json.loads(json.dumps(said)) == said
    assert said["class_path"] == "mi_lightning.data.SpeakerFolder"
    assert (said["people"], said["train_utterances"], said["test_utterances"]) == (3, 9, 3)
    assert said["train_duration"] == pytest.approx(4.5)


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"test_fraction": 1.0}, r"0 < test_fraction < 1, got 1\.0 \(test_fraction\)"),
        ({"chunk_seconds": 0.0}, r"chunk_seconds of at least one sample, got 0\.0"),
        ({"chunk_seconds": math.nan}, r"chunk_seconds of at least one sample, got nan"),
        ({"train_seconds": 0.01}, r"train_seconds >= chunk_seconds \(0\.05\), got 0\.01"),
        ({"sample_rate": 0}, r"sample_rate >= 1000"),
        ({"gain": 1.0}, r"0 <= gain < 1, got 1\.0"),
        ({"trim_db": 0.0}, r"trim_db > 0"),
        ({"batches_per_epoch": 0}, r"batches_per_epoch >= 1"),
        ({"batch_size": 0}, r"batch_size >= 1"),
    ],
)
def test_bad_arguments(folder, arguments, words):
    with pytest.raises(InputError, match=words):
        make(folder, **arguments)


def test_shift_below_a_sample(folder):
    with pytest.raises(InputError, match="shift_seconds of at least one sample, got 0"):
        make(folder).chunks("test", 0)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"a folder with one folder of recordings per speaker, got .*none, no folder"):
        make(tmp_path / "none").setup()


def test_folder_without_audio(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "notes.txt").write_text("no sound")
    with pytest.raises(InputError, match=r"recordings of two speakers or more, got no recording in .* \(root\)"):
        make(tmp_path).setup()


def test_one_speaker_only(tmp_path):
    write(tmp_path / "anna" / "a.wav", tone())
    with pytest.raises(InputError, match="two speakers or more, got one speaker only, anna in"):
        make(tmp_path).setup()


def test_shorter_than_a_chunk(folder):
    write(folder / "anna" / "short.wav", tone(0.03))
    words = r"of 0\.05 s \(a chunk\) or more without silent ends, got anna/short\.wav \(0\.03 s\) \(root\)"
    for _ in range(2):  # decoded, and from the cache
        with pytest.raises(InputError, match=words):
            make(folder).setup()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("name", "samples", "form", "words"),
    [
        ("empty.wav", np.zeros(0), {}, r"empty\.wav \(no samples\)"),
        ("quiet.wav", np.zeros(4000), {}, r"quiet\.wav \(nothing but silence\)"),
        ("nan.wav", tone() * np.nan, {"subtype": "FLOAT"}, r"nan\.wav \(samples that are no numbers\)"),
    ],
)
def test_recordings_that_cannot_be_used(folder, name, samples, form, words):
    write(folder / "anna" / name, samples, **form)
    with pytest.raises(InputError, match=rf"13 recordings in .*, got damaged: anna/{words} \(root\)"):
        make(folder).setup()


def test_truncated_flac(folder):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 30000)
    truncate(write(folder / "anna" / "cut.flac", noise))
    with pytest.raises(InputError, match=r"damaged: anna/cut\.flac \("):
        make(folder).setup()


def test_no_sound_at_all(folder):
    (folder / "anna" / "text.wav").write_text("not a recording")
    (folder / "anna" / "nothing.flac").write_text("")
    with pytest.raises(
        InputError, match=r"damaged: anna/nothing\.flac \(.+\), anna/text\.wav \(.+\) \(root\)"
    ) as caught:
        make(folder).setup()
    assert "\n" not in str(caught.value)


def test_many_damaged_files_are_counted(folder):
    for number in range(4, 10):
        (folder / "anna" / f"{number}.wav").write_text("")
    with pytest.raises(InputError, match=r"anna/6\.wav \([^)]*\) and 3 more \(root\)"):
        make(folder).setup()


def test_only_utterance_too_short_to_be_divided(folder):
    write(folder / "one" / "a.wav", tone(0.2))
    with pytest.raises(InputError, match=r"only utterance of one .* 0\.2 to test of 0\.05 s or more, got 0\.20 s"):
        make(folder).setup()


def test_without_soundfile(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MIError, match=r'package soundfile, which .*; pip install "mi-lightning\[speech\]"'):
        make(folder).setup()
