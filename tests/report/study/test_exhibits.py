from __future__ import annotations

import base64
import io
import json
import wave

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.errors import MIError
from mi_lightning.report import read_results
from mi_lightning.report.pictures import stretched
from mi_lightning.report.study.exhibits import exhibits
from tests.report.study.conftest import RATE, write_run


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.partition("base64,")[2])


def pixels(uri: str):
    return np.asarray(Image.open(io.BytesIO(decoded(uri))))


def change(folder, **arrays):
    """Replace arrays of a run; None takes one away."""
    path = folder / "reconstructions.npz"
    with np.load(path) as content:
        kept = {name: content[name] for name in content.files} | arrays
    np.savez(path, **{name: array for name, array in kept.items() if array is not None})
    return read_results(folder)


def test_pictures_are_the_runs_own(tmp_path):
    run = read_results(write_run(tmp_path / "run"))
    shown = exhibits(run, "run")
    assert shown.name == [f"p{label}" for label in range(12)]
    assert shown.label == shown.index == list(range(12))
    assert not shown.stretched
    for place in range(12):
        assert (pixels(shown.real[place]) == run.arrays["reference_best"][place]).all()
        expected = run.arrays["reconstruction"][place, 0] * 255
        assert np.abs(pixels(shown.found[place]) - expected).max() <= 0.5


def test_faint_pictures_are_stretched(tmp_path):
    folder = write_run(tmp_path / "run")
    faint = read_results(folder).arrays["reconstruction"] * 0.2 + 0.4
    shown = exhibits(change(folder, reconstruction=faint), "run")
    assert shown.stretched
    expected = stretched((torch.from_numpy(faint[:1, 0]) * 255).round().byte().numpy())[0]
    assert (pixels(shown.found[0]) == expected).all()


def test_voices_are_equally_loud(tmp_path):
    run = read_results(write_run(tmp_path / "run", voices=True))
    shown = exhibits(run, "run")
    for uri in (*shown.found, *shown.real):
        with wave.open(io.BytesIO(decoded(uri))) as file:
            assert file.getframerate() == RATE
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        assert len(samples) == RATE // 4
        assert np.abs(samples.astype(int)).max() == pytest.approx(0.9 * 32767, abs=2)


def test_what_diverged_is_left_out(tmp_path):
    shown = exhibits(read_results(write_run(tmp_path / "run", diverged=2)), "run")
    assert shown.left_out == ["p10", "p11"]
    assert len(shown.found) == len(shown.real) == len(shown.label) == 10


def test_of_several_restarts_the_best_is_shown(tmp_path):
    folder = write_run(tmp_path / "run")
    path = folder / "results.json"
    data = json.loads(path.read_text())
    for row in data["per_label"]:
        row["best"] = row["label"] % 2 == 1
    path.write_text(json.dumps(data))
    assert exhibits(read_results(folder), "run").index == [1, 3, 5, 7, 9, 11]


def test_nothing_to_show(tmp_path):
    folder = write_run(tmp_path / "run")
    with pytest.raises(
        MIError, match=r"mine has no real samples of the people \(reference_best\): run the attack again"
    ):
        exhibits(change(folder, reference_best=None), "mine")
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"input_shape": [30]}))
    with pytest.raises(MIError, match="mine has nothing that people can see or hear"):
        exhibits(read_results(folder), "mine")
