"""What samples are: told by data, or by a shape, and written down in plain values."""

from __future__ import annotations

import json

import pytest

from mi_lightning.data import Modality, modality_of
from mi_lightning.errors import InputError


@pytest.mark.parametrize(
    ("shape", "kind", "axes"),
    [
        ((1, 112, 92), "picture", ("channel", "height", "width")),
        ((3, 64, 64), "picture", ("channel", "height", "width")),
        ((1, 3200), "sound", ("channel", "time")),
        ((300,), "other", ()),
        ((2, 64, 64), "other", ()),  # no screen shows two channels
        ((2, 3200), "other", ()),
        ((1, 0), "other", ()),
        ((1, 4, 0), "other", ()),
        ((), "other", ()),
    ],
)
def test_kinds_by_shape(shape, kind, axes):
    found = modality_of(shape, (-1, 1), sample_rate=8000)
    assert (found.kind, found.axes, found.shape, found.value_range) == (kind, axes, shape, (-1.0, 1.0))
    assert found.sample_rate == (8000 if kind == "sound" else None)


def test_sound_of_unknown_rate_is_taken_for_speech():
    assert modality_of((1, 3200), (-1.0, 1.0)).sample_rate == 16000


@pytest.mark.parametrize("shape", [(1, 112, 92), (1, 3200), (300,)])
def test_plain_values_and_back(shape):
    modality = modality_of(shape, (0.0, 1.0), 22050)
    plain = json.loads(json.dumps(modality.as_dict()))
    assert plain == modality.as_dict()
    assert Modality.from_dict(plain) == modality


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("video", (3, 4, 4), (0.0, 1.0)), r"a kind of picture, sound, other, got video \(kind\)"),
        (
            ("picture", (1, 3200), (0.0, 1.0)),
            r"the shape of a picture: channel, height, width, got \(1, 3200\)",
        ),
        (("sound", (1, 4, 4), (0.0, 1.0), 8000), r"the shape of a sound: channel, time"),
        (("picture", (1, 4, 4), (1.0, 1.0)), r"a least value below the greatest, got \(1\.0, 1\.0\) \(value_range\)"),
        (("sound", (1, 4), (0.0, 1.0)), r"sample_rate >= 1 \(Hz\) of a sound, got None \(sample_rate\)"),
        (("sound", (1, 4), (0.0, 1.0), 0), r"sample_rate >= 1 \(Hz\) of a sound, got 0"),
        (("picture", (1, 4, 4), (0.0, 1.0), 8000), r"no sample_rate of what is no sound \(picture\), got 8000"),
    ],
)
def test_facts_that_contradict_each_other(given, words):
    with pytest.raises(InputError, match=words):
        Modality(*given)


@pytest.mark.parametrize("plain", [{}, {"kind": "picture", "shape": 3, "value_range": [0, 1], "sample_rate": None}])
def test_what_is_no_modality(plain):
    with pytest.raises(InputError, match=r"a modality: kind, shape, value_range, sample_rate, got \{"):
        Modality.from_dict(plain)
