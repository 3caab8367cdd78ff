"""What a command loads before it answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mi_lightning as mi

ROOT = Path(__file__).parents[2]


def loaded_by(*arguments: str) -> tuple[set[str], subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own: the modules that it imported, and what it said."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mi_lightning", *arguments],
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}, done


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--help"], 0, "usage: mi-lightning"),
        (["--version"], 0, f"mi-lightning {mi.__version__}"),
        (["invart"], 2, "expected invert, the nearest command, got invart"),
        (
            ["xyz"],
            2,
            "expected a command (fit, test, invert, audit, sweep, report, verify, erase, study, doctor)",
        ),
        ([], 2, "got none"),
    ],
)
def test_quick_answers_load_no_torch(arguments, status, words):
    loaded, done = loaded_by(*arguments)
    assert done.returncode == status
    assert words in done.stdout + done.stderr
    assert "mi_lightning.cli.main" in loaded or "mi_lightning.cli.text" in loaded
    assert not loaded & {"torch", "lightning", "sklearn", "numpy", "matplotlib", "jsonargparse"}


def test_the_help_of_a_command_loads_nothing_heavy_beside_torch_and_lightning():
    loaded, done = loaded_by("invert", "--help")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "--model.classifier_ckpt" in done.stdout
    assert {"torch", "lightning.pytorch", "mi_lightning.lightning.module"} <= loaded  # the list is a list
    heavy = {"sklearn", "cv2", "jinja2", "nimfa", "soundfile", "torchaudio", "dlib", "cma"}
    if "transformers" in loaded:  # where it is installed, torchmetrics imports it, and it imports jinja2
        heavy.remove("jinja2")
    assert not loaded & {*heavy, "matplotlib.backends.backend_agg"}
