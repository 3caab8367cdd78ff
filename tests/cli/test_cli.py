"""The command line: what it writes, and one clear line for each thing that is wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
import torch

from mi_lightning.classifiers import FaceCNN
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.cli.main import main
from mi_lightning.commands.fit import what_was_fitted

ROOT = Path(__file__).parents[2]
FIT = "classifier/victim.yaml"
SHARD = ("--trainer.strategy", "row_shard")
PIXELS = ("--model.space", "mi_lightning.attacks.spaces.PixelSpace")
PICTURE = ("--model.space.init_args.initializer.init_args.path", "absent.png")
INVERT = ("--config", "target/soft.yaml", "--config", "attack/steps.yaml")
RUN = "lightning_logs/invert/soft_steps"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; return exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def command(*args: str) -> tuple[int, str, str]:
        code = 0
        capsys.readouterr()
        try:
            main(list(args))
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return command


def invert(run, *more: str):
    return run("invert", *INVERT, *more)


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("mi-lightning: ")
    assert "Traceback" not in err
    return lines[0]


# ------------------------------------------------------------------------------------------------ what works


def test_fit_test_and_invert(run, study):
    classifier = load_classifier("checkpoints/victim.ckpt")
    assert classifier.training_info["data"]["split_seed"] == 0
    accuracy = classifier.training_info["test_accuracy"]
    code, out, _ = run("test", "--config", FIT, "--checkpoint", "checkpoints/victim.ckpt")
    assert code == 0
    assert f"test error {1 - accuracy:.2%}" in out
    assert not (study / "config.yaml").exists()

    code, out, err = invert(run, "--model.max_iterations", "30")
    assert code == 0, err
    assert "recognised" in out
    folder = study / "lightning_logs/invert/soft_steps/version_0"
    names = {path.name for path in folder.iterdir()}
    assert {"results.json", "config.yaml", "per_label.csv", "reconstructions.npz", "reconstructions.png"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    results = json.loads((folder / "results.json").read_text())
    assert results["schema_version"] == 2
    assert results["summary"]["rows"] == 4
    assert results["attack"]["max_iterations"] == 30
    assert results["target"]["test_accuracy"] == pytest.approx(accuracy)
    with np.load(folder / "reconstructions.npz", allow_pickle=False) as arrays:
        assert arrays["reconstruction"].shape == (4, 1, 8, 6)
    with (folder / "per_label.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["s1", "s2", "s3", "s4"]


def test_the_saved_configuration_repeats_the_run(run, study):
    assert invert(run, "--model.max_iterations", "20", "--model.labels", "s2,s4")[0] == 0
    first = study / "lightning_logs/invert/soft_steps/version_0"
    code, _, err = run("invert", "--config", str(first / "config.yaml"))
    assert code == 0, err
    second = study / "lightning_logs/invert/soft_steps/version_1"
    with np.load(first / "reconstructions.npz") as a, np.load(second / "reconstructions.npz") as b:
        np.testing.assert_array_equal(a["reconstruction"], b["reconstruction"])
        assert a["label"].tolist() == [1, 3]


@pytest.mark.parametrize("command", ["", "fit", "test", "invert", "audit", "report", "verify"])
def test_help(run, command):
    code, out, _ = run(*([command] if command else []), "--help")
    assert code == 0
    assert "usage: mi-lightning" in out


def test_help_of_invert_teaches(run):
    _, out, _ = run("invert", "--help")
    for words in ("alpha of [F15]", "Target cost", "Window of the stagnation rule", "people to reconstruct"):
        assert words.lower() in " ".join(out.lower().split())


def test_print_config_can_be_run(run, study):
    code, out, _ = invert(run, "--model.max_iterations", "5", "--print_config")
    assert code == 0
    (study / "mine.yaml").write_text(out)
    code, _, err = run("invert", "--config", "mine.yaml")
    assert code == 0, err


def test_without_data_and_evaluator_the_attack_still_runs(run, study):
    code, _, err = run(
        *("invert", "--model.classifier_ckpt", "checkpoints/victim.ckpt", "--model.max_iterations", "10"),
        *("--model.labels", "[0, s3]"),
    )
    assert code == 0, err
    results = json.loads((study / "lightning_logs/invert/default/version_0/results.json").read_text())
    assert results["summary"]["evaluator_top1"] is None
    assert [row["label"] for row in results["per_label"]] == [0, 2]


def test_two_processes_from_the_command_line(study):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mi_lightning", "invert", *INVERT, "--model.max_iterations", "20"),
            *("--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "row_shard"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=study,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads((study / "lightning_logs/invert/soft_steps/version_0/results.json").read_text())
    assert [row["name"] for row in results["per_label"]] == ["s1", "s2", "s3", "s4"]


def test_ctrl_c_keeps_what_was_found(study):
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "mi_lightning", "invert", *INVERT, "--model.max_iterations", "100000000"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        cwd=study,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    run_folder = study / "lightning_logs/invert/soft_steps/version_0"
    deadline = time.monotonic() + 120
    while not list(run_folder.glob("config.yaml")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)  # from the saved configuration to the first iterations
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err[-3000:]
    results = json.loads((run_folder / "results.json").read_text())
    assert {row["stop_reason"] for row in results["per_label"]} == {"interrupted"}
    assert (run_folder / "reconstructions.png").is_file()
    assert "Traceback" not in err


# ------------------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--model.labels", "s9"], ["s1..s4", "got s9", "--model.labels"]),
        (["--model.labels", "4"], ["0-3", "got 4", "--model.labels"]),
        (["--model.beta", "0"], ["beta >= 1", "got 0", "--model.beta"]),
        (["--model.max_iterations", "0"], ["max_iterations >= 1", "got 0", "--model.max_iterations"]),
        (["--model.gamma", "1"], ["gamma in [0, 1)", "got 1", "--model.gamma"]),
        (["--model.gamma", "-0.5"], ["gamma in [0, 1)", "got -0.5", "--model.gamma"]),
        (["--model.beta", "many"], ["model.beta", "many"]),
        (["--model.classifier_ckpt", "absent.ckpt"], ["no checkpoint at absent.ckpt"]),
        (["--evaluator_ckpt", "absent.ckpt"], ["no checkpoint at absent.ckpt"]),
        (["--evaluator_ckpt", "checkpoints/victim.ckpt"], ["independent", "--evaluator_ckpt"]),
        (["--data.split_seed", "7"], ["split_seed", "got 7", "--data.init_args.split_seed"]),
        (["--data.root", "empty"], ["empty"]),
        (["--model.nonsense", "1"], ["nonsense"]),
        (["--trainer.logger.init_args.save_dir", "a_file/logs"], ["can be written", "a_file"]),
        (["--trainer.devices", "2", "--trainer.accelerator", "tpu"], ["torch_xla"]),
        (["--trainer.accelerator", "cpu", "--trainer.devices", "2"], ["row_shard", "got ddp", "--trainer.strategy"]),
        (
            ["--trainer.accelerator", "cpu", "--trainer.devices", "9", *SHARD],
            ["at most 4", "got 9", "--trainer.devices"],
        ),
        (["--trainer.strategy", "row_shrad"], ["row_shrad"]),
        (["--seed_everything", "-1"], ["-1"]),
        (
            ["--trainer.precision", "bf16-mixed"],
            ["32-true or 64-true", "16 bits cannot tell apart", "got bf16-mixed", "--trainer.precision"],
        ),
        (["--trainer.precision", "16-true"], ["32-true", "got 16-true", "--trainer.precision"]),
        (["--trainer.gradient_clip_val", "1"], ["whose gradient_filter", "got 1", "--trainer.gradient_clip_val"]),
        (["--trainer.accelerator", "gpu"], ["gpu"]),
        (["--model.optimizer.init_args.lr", "-1"], ["learning rate", "--model.optimizer"]),
        (["--model.optimizer", "torch.optim.LBFGS"], ["needs no closure", "LBFGS", "--model.optimizer"]),
        (
            [*PIXELS, "--model.space.init_args.initializer", "mi_lightning.attacks.initializers.GivenImage", *PICTURE],
            ["absent.png", "--model.space.init_args.initializer.init_args.path"],
        ),
    ],
)
def test_wrong_flags_of_invert(run, study, flags, expected):
    (study / "a_file").touch()
    (study / "empty").mkdir()
    before = set(study.rglob("*"))
    code, _, err = invert(run, *flags)
    line = one_line(err)
    assert code == 2
    for words in expected:
        assert words.lower() in line.lower()
    assert set(study.rglob("*")) == before  # nothing half-written


def test_damaged_checkpoints(run, study):
    whole = Path("checkpoints/victim.ckpt").read_bytes()
    Path("cut.ckpt").write_bytes(whole[: len(whole) // 2])
    torch.save({"state_dict": {}}, "other.ckpt")
    Path("text.ckpt").write_text("hello")
    for name in ("cut", "other", "text"):
        code, _, err = invert(run, "--model.classifier_ckpt", f"{name}.ckpt")
        assert code == 2
        assert f"{name}.ckpt" in one_line(err)


def test_a_checkpoint_of_another_class_or_shape(run, study, write_pgm):
    save_classifier(FaceCNN(input_shape=(1, 16, 16), num_classes=4), "checkpoints/cnn.ckpt")
    code, _, err = run("test", "--config", FIT, "--checkpoint", "checkpoints/cnn.ckpt")
    assert code == 2
    assert "expected a checkpoint of SoftmaxRegression, got one of FaceCNN" in one_line(err)
    for person in range(1, 5):
        for image in range(1, 6):
            pixels = np.full((9, 6), 20 * person + image, dtype=np.uint8)
            write_pgm(study / "tall" / f"s{person}" / f"{image}.pgm", pixels)
    other = ["--data.root", "tall"]
    code, _, err = run("test", "--config", FIT, "--checkpoint", "checkpoints/victim.ckpt", *other)
    assert code == 2
    assert "input of shape (1, 9, 6)" in one_line(err)
    code, _, err = invert(run, *other)
    assert code == 2
    assert "expected the target's input shape, (1, 8, 6), got (1, 9, 6) (--data)" in one_line(err)


def test_the_split_of_the_checkpoint_is_kept_to(run, study):
    code, _, err = run(*("test", "--config", FIT, "--checkpoint", "checkpoints/victim.ckpt", "--data.split_seed", "5"))
    assert code == 2
    assert "expected the target's training split_seed, 0, got 5 (--data.init_args.split_seed)" in one_line(err)


@pytest.mark.parametrize("limit", [("limit_train_batches", "1"), ("max_steps", "1"), ("fast_dev_run", "true")])
def test_a_limit_of_the_trainer_keeps_what_was_found(run, study, limit):
    code, _, err = invert(run, "--model.report_every", "5", f"--trainer.{limit[0]}", limit[1])
    assert code == 0, err
    found = list(study.rglob("results.json"))
    if limit[0] != "fast_dev_run":  # which switches the loggers off, and writes to the working folder
        rows = json.loads(found[0].read_text())["per_label"]
        assert {(row["stop_reason"], row["iterations"]) for row in rows} == {("interrupted", 5)}


def test_fit_to_a_folder(run, study):
    (study / "folder.ckpt").mkdir()
    code, _, err = run("fit", "--config", FIT, "--checkpoint", "folder.ckpt")
    assert code == 2
    assert "expected a file to write, got folder.ckpt, a folder (--checkpoint)" in one_line(err)


def test_fit_with_a_damaged_folder_trains_nothing(run, study):
    (study / "faces/s2/3.pgm").write_bytes(b"P5\n6 8\n255\n")
    code, _, err = run("fit", "--config", FIT, "--data.root", "faces", "--checkpoint", "new/x.ckpt")
    assert code == 2
    assert "s2" in one_line(err)
    assert not (study / "new").exists()


def test_fit_to_a_checkpoint_that_cannot_be_written(run, study):
    (study / "a_file").touch()
    code, _, err = run(
        *("fit", "--config", FIT),
        *("--checkpoint", "a_file/x.ckpt", "--trainer.max_epochs", "1"),
    )
    assert code == 2
    assert "--checkpoint" in one_line(err)


def test_a_configuration_that_is_not_there(run):
    code, _, err = run("invert", "--config", "absent.yaml")
    assert code == 2
    assert "absent.yaml" in one_line(err)


def test_an_unknown_command(run):
    code, _, err = run("invart")
    assert code == 2
    assert "invart" in one_line(err)


API = """
import torch

asked = 0

def good(x: torch.Tensor) -> torch.Tensor:
    return (8 * x.flatten(1)[:, :4]).softmax(1)

def fails_in_the_middle(x: torch.Tensor) -> torch.Tensor:
    global asked
    asked += 1
    if asked > 30:
        raise ConnectionError("the server\\nis gone")
    return good(x)

def fails_at_once(x: torch.Tensor) -> torch.Tensor:
    raise ConnectionError("no server")

def misses_a_class(x: torch.Tensor) -> torch.Tensor:
    return good(x)[:, :3]

def not_a_number(x: torch.Tensor) -> torch.Tensor:
    return good(x).index_fill(0, torch.tensor(1), torch.nan)

def negative(x: torch.Tensor) -> torch.Tensor:
    return good(x).index_fill(0, torch.tensor(2), -0.25)

def unnormalised(x: torch.Tensor) -> torch.Tensor:
    return 2 * good(x)
"""


@pytest.fixture
def query(run, tmp_path):
    """Attack a function of the user's own by queries; what it found lies in logs/x/version_0."""
    name = f"api_{abs(hash(str(tmp_path)))}"  # imported once a process, so each test has a module of its own
    (tmp_path / f"{name}.py").write_text(API)  # in the working folder

    def command(function: str, *more: str) -> tuple[int, str, str]:
        return run(
            *("invert", "--import", name),
            *("--model.target", "mi_lightning.targets.BlackBox", "--model.target.function"),
            *(f"{name}.{function}", "--model.target.input_shape", "[1, 8, 6]", "--model.target.num_classes", "4"),
            *("--model.estimator", "mi_lightning.attacks.estimators.SPSA", "--model.estimator.pairs", "8"),
            *("--model.max_iterations", "40", "--trainer.enable_progress_bar", "false"),
            *("--trainer.logger.init_args.save_dir", "logs", "--trainer.logger.init_args.name", "x", *more),
        )

    return command


def test_what_was_found_before_a_target_failed_is_shown(query, tmp_path):
    code, out, err = query("fails_in_the_middle")
    assert code == 2
    assert "the target failed at query " in one_line(err)
    assert "ConnectionError: the server is gone" in err
    assert "version_0" in out
    assert "recognised" in out
    assert "results: logs/x/version_0" in out
    results = json.loads((tmp_path / "logs/x/version_0/results.json").read_text())
    assert results["summary"]["stop_reasons"] == {"target_error": 4}
    assert 0 < results["summary"]["iterations_mean"] < 40
    assert (tmp_path / "logs/x/version_0/reconstructions.png").is_file()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("fails_at_once", "the target failed at query 4: ConnectionError: no server"),
        ("misses_a_class", "expected confidences of shape (4, 4), got (4, 3)"),
        ("not_a_number", "expected confidences, got NaN in row 1 of 4"),
        ("negative", "expected confidences >= 0, got -0.25 in row 2 of 4"),
        ("unnormalised", "expected confidences that sum to 1, got 2 in row 0 of 4"),
    ],
)
def test_a_target_of_ones_own_that_gives_no_confidences(query, function, words):
    code, out, err = query(function)
    assert code == 2
    assert words in one_line(err)
    assert "results:" not in out  # there are none


@pytest.mark.parametrize(
    ("defense", "argument", "value", "words"),
    [
        ("Rounding", "r", "-0.1", "expected r in [0, 1], got -0.1"),
        ("Rounding", "r", "1.5", "expected r in [0, 1], got 1.5"),
        ("GaussianNoise", "sigma", "-0.1", "expected sigma in [0, 1], got -0.1"),
        ("GaussianNoise", "sigma", "1.5", "expected sigma in [0, 1], got 1.5"),
        ("TopK", "k", "5", "expected k of at most 4, the number of classes, got 5"),
        ("TopK", "k", "0", "expected k >= 1, got 0"),
    ],
)
def test_a_defense_that_cannot_be(query, defense, argument, value, words):
    one = json.dumps(
        [{"class_path": f"mi_lightning.targets.defenses.{defense}", "init_args": {argument: float(value)}}]
    )
    code, _, err = query("good", "--model.defenses", one.replace(".0}", "}"))
    assert code == 2
    assert f"{words} (--model.defenses.0.init_args.{argument})" in one_line(err)


def test_a_step_of_nothing(query):
    code, _, err = query("good", "--model.estimator.delta", "0")
    assert code == 2
    assert "expected delta > 0, got 0.0 (--model.estimator.init_args.delta)" in one_line(err)


def test_what_was_fitted_is_plain_whatever_a_configuration_holds(tmp_path):
    """A path or an enum of a user's own part must not cost the trained classifier its checkpoint."""

    class Kind(Enum):
        SMALL = 1

    parsed = {
        "seed_everything": 3,
        "model": {"init_args": {"sizes": (2, 3), "kind": Kind.SMALL, "rate": 0.1}},
        "data": {"init_args": {"root": tmp_path}},
        "trainer": {"max_epochs": 4, "logger": False},
        "checkpoint": "a.ckpt",
    }
    kept = what_was_fitted(parsed)
    assert kept["model"]["init_args"] == {"sizes": [2, 3], "kind": "Kind.SMALL", "rate": 0.1}
    assert kept["data"]["init_args"]["root"] == str(tmp_path)
    assert kept["trainer"]["max_epochs"] == 4
    assert "checkpoint" not in kept
    torch.save(kept, tmp_path / "kept.pt")
    assert torch.load(tmp_path / "kept.pt", weights_only=True) == kept
