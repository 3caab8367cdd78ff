"""The benchmarks run, and what they race does the same work."""

from __future__ import annotations

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from mi_lightning.classifiers import StackedDAE
from mi_lightning.classifiers.loading import save_classifier
from mi_lightning.lightning.callbacks import ProcessDAE

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    """Import a benchmark."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def race() -> ModuleType:
    return script("race_white_box")


@pytest.fixture
def lightning_log_level():
    """Put the level of Lightning's log back, which a race lowers."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize(
    ("alpha", "beta", "gamma", "rate"),
    [(30, 100, None, 0.5), (200, 3, 0.2, 0.5), (60, 2, None, 40.0), (40, None, 0.3, 0.5)],
)
def test_bare_loop_and_invert_do_the_same(race, tiny_softmax, alpha, beta, gamma, rate, clamp):
    parameters = race.Parameters(alpha, beta, gamma, rate, report_every=7, clamp=clamp)
    bare = torch.nn.Sequential(torch.nn.Flatten(), tiny_softmax.head)
    images, iterations = race.bare_loop(bare, tiny_softmax.input_shape, tiny_softmax.num_classes, parameters)
    found, taken = race.project(tiny_softmax, parameters, None)
    assert iterations == taken
    torch.testing.assert_close(images, found, rtol=0, atol=1e-5)
    assert images.abs().max() > 0  # something moved


def test_race_prints_a_table_and_appends_it(race, tiny_softmax, tmp_path, monkeypatch, capsys, lightning_log_level):
    save_classifier(tiny_softmax, tmp_path / "tiny.ckpt")
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n", encoding="utf-8")
    monkeypatch.setattr(sys.modules["common"], "RESULTS", results)
    flags = "--skip-art --alpha 20 --beta 5 --iterations 5 --repeats 1 --threads 1 --write --checkpoint"
    monkeypatch.setattr(sys, "argv", ["race_white_box.py", *flags.split(), str(tmp_path / "tiny.ckpt")])
    race.main()
    assert "invert / bare loop" in capsys.readouterr().out
    written = results.read_text(encoding="utf-8")
    assert written.count("| bare PyTorch loop |") == 2
    assert "largest difference, to the end" in written


def test_race_says_how_to_get_the_toolbox(race, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["race_white_box.py"])
    with pytest.raises(SystemExit, match="pip install adversarial-robustness-toolbox"):
        race.main()


def test_race_refuses_another_class(race, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["common"], "load_classifier", lambda path: torch.nn.Identity())
    (tmp_path / "other.ckpt").touch()
    with pytest.raises(SystemExit, match=r"expected a checkpoint of SoftmaxRegression, got Identity: .*other\.ckpt"):
        race.trained_softmax(tmp_path / "other.ckpt")


def test_process_dae_is_timed(tmp_path, monkeypatch, capsys, lightning_log_level):
    """Only the runs that say so project, as often as they say."""
    benchmark = script("process_dae")
    classifier = StackedDAE(input_shape=(1, 28, 24), num_classes=3, hidden=(8, 5)).eval()
    projections = []
    project = ProcessDAE.apply
    monkeypatch.setattr(ProcessDAE, "apply", lambda self, *args: projections.append(self.every) or project(self, *args))
    benchmark.compare(classifier, every=2, projections=3, repeats=2)
    assert projections == [2] * 6
    save_classifier(classifier, tmp_path / "tiny.ckpt")
    monkeypatch.setattr(sys, "argv", ["process_dae.py", "--repeats", "1", "--checkpoint", str(tmp_path / "tiny.ckpt")])
    benchmark.main()
    shown = capsys.readouterr().out
    assert "every 512" in shown
    assert "every 1: ms a row" in shown
