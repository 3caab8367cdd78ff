"""`import mi_lightning as mi`: some names, loaded when they are asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import mi_lightning as mi
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.cli.text import COMMANDS
from mi_lightning.errors import InputError, MIError

ROOT = Path(__file__).parents[1]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_import_loads_nothing_and_changes_nothing():
    program = """
import json, os, sys
before = dict(os.environ)
import mi_lightning
heavy = [name for name in ("torch", "lightning", "sklearn", "numpy", "rich") if name in sys.modules]
print(json.dumps([heavy, dict(os.environ) == before]))
"""
    assert json.loads(python("-c", program).stdout) == [[], True]


def test_the_help_names_every_command():
    done = python("-m", "mi_lightning", "-h")
    for name, summary in COMMANDS.items():
        assert f"  {name}" in done.stdout
        assert summary in done.stdout


@pytest.mark.parametrize("name", mi.__all__)
def test_every_name_is_there(name):
    assert getattr(mi, name) is getattr(mi, name)
    assert name in dir(mi)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'invert'"):
        _ = mi.invert


def test_fit_trains_and_tests_quietly(faces, capfd):
    classifier = SoftmaxRegression(input_shape=faces.input_shape, num_classes=4, class_names=faces.class_names)
    before = classifier.head.weight.detach().clone()
    assert mi.fit(classifier, faces, max_epochs=30, accelerator="cpu") is classifier
    assert not classifier.training
    assert classifier.training_info["test_accuracy"] > 0.5
    assert not torch.equal(classifier.head.weight, before)
    out, err = capfd.readouterr()
    assert out == ""
    assert "GPU" not in err
    with pytest.raises(InputError, match=r"expected max_epochs >= 1, got 0 \(max_epochs\)"):
        mi.fit(classifier, faces, max_epochs=0)


def result(count: int, shape: tuple[int, ...] = (1, 8, 6)) -> mi.InversionResult:
    """What an attack with two restarts of each of these labels found; the second restart is better."""
    rows = 2 * count
    return mi.InversionResult(
        label=torch.arange(count).repeat_interleave(2),
        name=tuple(f"s{k + 1}" for k in range(count) for _ in range(2)),
        restart=torch.arange(2).repeat(count),
        candidate=torch.rand(rows, *shape),
        reconstruction=torch.rand(rows, *shape),
        cost=torch.tensor([2.0, 1.0]).repeat(count),
        confidence=torch.full((rows,), 0.5),
        iterations=torch.ones(rows, dtype=torch.int64),
        stop_reason=("max_iterations",) * rows,
        queries=torch.ones(rows, dtype=torch.int64),
        seconds=torch.zeros(rows),
    )


def test_plot(faces, tmp_path):
    found = result(3)
    alone = mi.plot(found)
    beside = mi.plot(found, faces, path=tmp_path / "sheet.png")
    assert beside.size[0] > alone.size[0]
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    means = torch.stack([faces.train_x[faces.train_y == person].mean(0) for person in range(4)])
    assert mi.plot(found, means).tobytes() == beside.tobytes()
    for wrong, words in (
        ({"result": result(2, (5,))}, r"\(1 or 3, height, width\), got \(5,\) \(result\)"),
        ({"result": found, "references": torch.zeros(4, 1, 2, 2)}, r"got \(1, 2, 2\) \(references\)"),
    ):
        with pytest.raises(InputError, match=words):
            mi.plot(**wrong)
    with pytest.raises(MIError, match=r"cannot write .*: .*sheet\.png is no folder"):
        mi.plot(found, path=tmp_path / "sheet.png" / "sheet.png")
