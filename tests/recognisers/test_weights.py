"""Weights inside packages: found without an import, and none but those that were tried."""

from __future__ import annotations

import sys

import pytest

from mi_lightning.checkpoint import file_digest
from mi_lightning.errors import MIError
from mi_lightning.recognisers import DlibFaces, GE2EVoices, MissingRecogniserError
from mi_lightning.recognisers.weights import PackagedWeights


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that cannot be imported, with a file in it."""
    folder = tmp_path / "unimportable_weights"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise ImportError('never import this')")
    (folder / "models" / "some.dat").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def weights(sha256, package="unimportable_weights", name="some.dat"):
    return PackagedWeights(package, ("models", name), sha256, "somebody is recognised by the file", "pip install it")


def test_file_of_the_expected_digest(package):
    path = package / "models" / "some.dat"
    found = weights(file_digest(path))
    assert found.checked() == path
    assert found.name == "some.dat"
    assert "unimportable_weights" not in sys.modules


def test_file_of_another_digest(package):
    expected = "0" * 64
    found = file_digest(package / "models" / "some.dat")
    with pytest.raises(MIError, match=r"some\.dat is not the file .* 0{12}\.\.\. expected, " + found[:12]) as caught:
        weights(expected).checked()
    assert str(caught.value).endswith("install the package unimportable-weights anew (pip install it)")
    assert not isinstance(caught.value, MissingRecogniserError)


@pytest.mark.parametrize("where", [{"package": "no_such_weights"}, {"name": "absent.dat"}])
def test_file_that_is_not_there(package, where):
    with pytest.raises(MissingRecogniserError, match=r"recognised by the file .* not installed: pip install it"):
        weights("0" * 64, **where).find()


@pytest.mark.parametrize(
    ("recogniser", "missing", "words"),
    [
        (DlibFaces, "dlib", r"faces are found by the package dlib-bin.*pip install \"mi-lightning\[judges\]\""),
        (DlibFaces, "face_recognition_models", r"(dlib-bin|face-recognition-models), which is not installed"),
        (
            GE2EVoices,
            "resemblyzer",
            r"resemblyzer, which is not installed: .*--no-deps \"Resemblyzer==0.1.4\"",
        ),
    ],
)
def test_recogniser_whose_package_is_missing(monkeypatch, recogniser, missing, words):
    monkeypatch.setitem(sys.modules, missing, None)
    for ask in (recogniser().check, recogniser().describe):
        with pytest.raises(MissingRecogniserError, match=words) as caught:
            ask()
        assert "\n" not in str(caught.value)
