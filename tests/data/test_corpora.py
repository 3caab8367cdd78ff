"""TIMIT and LibriSpeech, as trees of files that are laid out like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mi_lightning.data import LibriSpeech, Timit
from mi_lightning.errors import InputError
from tests.data.recordings import SMALL, frequency, soundfile, tone, write


def timit(root: Path, *, upper: bool) -> Path:
    """A tree of TIMIT with two speakers to train and one to test, NIST headers and all."""
    case = str.upper if upper else str.lower
    for part, dialect, speaker in (("train", "dr1", "fcjf0"), ("train", "dr7", "madd0"), ("test", "dr2", "mabw0")):
        for number, sentence in enumerate(("sa1", "sa2", "si648", "si1027", "si1657", "sx37", "sx127", "sx217")):
            parts = [case(name) for name in (part, dialect, speaker, f"{sentence}.wav")]
            path = write(root.joinpath(*parts), tone(hz=500 + 100 * number), format="NIST", subtype="PCM_16")
            path.with_suffix(case(".phn")).write_text("0 100 h#\n")
    return root


@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("inside", ["", "TIMIT", "timit"])
def test_timit(tmp_path, upper, inside):
    timit(tmp_path / "corpus" / inside, upper=upper)
    data = Timit(str(tmp_path / "corpus"), **SMALL)
    assert data.class_names == ("fcjf0", "madd0")
    assert data.sexes == ("F", "M")
    assert data.dialects == ("dr1", "dr7")
    assert [segment.name for segment in data.segments("train")][:3] == ["fcjf0/sx37", "fcjf0/sx127", "fcjf0/sx217"]
    assert [segment.name for segment in data.segments("test")][3:] == ["madd0/si648", "madd0/si1027", "madd0/si1657"]
    assert frequency(data.utterances("train")[0][1][:, :4000]) == pytest.approx(1000, abs=3)
    assert data.describe()["split"] == "sx_si"


def test_timit_parts(tmp_path):
    root = str(timit(tmp_path, upper=False))
    assert Timit(root, "all", **SMALL).class_names == ("fcjf0", "mabw0", "madd0")
    with pytest.raises(InputError, match="two speakers or more, got one speaker only, mabw0"):
        Timit(root, "test", **SMALL).setup()
    with pytest.raises(InputError, match="speakers train, test or all, got dev"):
        Timit(root, "dev", **SMALL)


def test_timit_takes_one_of_two_copies(tmp_path):
    root = timit(tmp_path, upper=True)
    for path in list(root.rglob("*.WAV")):
        write(path.with_name(path.name + ".wav"), soundfile.read(path)[0])
    assert len(Timit(str(root), **SMALL).segments("train")) == 6


def test_timit_without_its_folders(tmp_path):
    with pytest.raises(InputError, match=r"a folder TRAIN of TIMIT, got none in .* \(root\)"):
        Timit(str(tmp_path), **SMALL).setup()


def test_timit_speaker_without_test_sentences(tmp_path):
    root = timit(tmp_path, upper=False)
    for path in (root / "train/dr1/fcjf0").glob("si*.wav"):
        path.unlink()
    with pytest.raises(InputError, match="utterances of fcjf0 to train and to test, got none to test"):
        Timit(str(root), **SMALL).setup()


@pytest.fixture
def librispeech(tmp_path: Path) -> Path:
    for speaker in (19, 103, 7):
        for number in range(3):
            name = f"{speaker}-55-{number:04}.flac"
            write(tmp_path / "dev-clean" / str(speaker) / "55" / name, tone(hz=300 + speaker), format="FLAC")
    (tmp_path / "SPEAKERS.TXT").write_text(
        "; comment | F |\n19 | F | dev-clean | 5 | A\n7  | M | dev-clean | 5 | B|C\n"
    )
    return tmp_path


def test_librispeech(librispeech):
    data = LibriSpeech(str(librispeech), "dev-clean", **SMALL)
    assert data.class_names == ("7", "19", "103")
    assert data.sexes == ("M", "F", "?")
    assert len(data.utterances("train")) == 6
    assert data.segments("train")[0].name.startswith("7/55/7-55-000")
    assert data.describe()["subset"] == "dev-clean"


def test_librispeech_by_the_environment(librispeech, monkeypatch):
    monkeypatch.setenv("LIBRISPEECH", str(librispeech))
    assert LibriSpeech(subset="dev-clean", **SMALL).num_classes == 3
    monkeypatch.delenv("LIBRISPEECH")
    with pytest.raises(InputError, match=r"a folder that holds SPEAKERS.* variable LIBRISPEECH, got neither \(root\)"):
        LibriSpeech(subset="dev-clean")


def test_librispeech_without_speakers_txt(librispeech):
    (librispeech / "SPEAKERS.TXT").unlink()
    assert LibriSpeech(str(librispeech), "dev-clean", **SMALL).sexes == ("?", "?", "?")


def test_librispeech_without_the_subset(librispeech):
    with pytest.raises(InputError, match=r"a subset of LibriSpeech in .* \(dev-clean\), got test-other \(subset\)"):
        LibriSpeech(str(librispeech), "test-other").setup()
