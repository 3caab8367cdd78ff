"""Classes of one's own by the command line: in every command, twice, and in the processes of a sweep."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml

from mi_lightning.cli.imports import take
from mi_lightning.cli.main import main
from mi_lightning.cli.runner import CommandLine
from mi_lightning.errors import InputError
from mi_lightning.imports import VARIABLE, active
from tests.study import change, write

OWN = """
import torch
from torch import nn

from mi_lightning.attacks.costs import NegativeLogConfidence
from mi_lightning.classifiers import Classifier
from mi_lightning.data import AttFaces


class Net(Classifier):
    def __init__(self, input_shape, num_classes, class_names=None, input_range=(0.0, 1.0), optimizer=None):
        super().__init__(
            input_shape=input_shape, num_classes=num_classes, class_names=class_names, input_range=input_range
        )
        self.optimizer = optimizer or (lambda parameters: torch.optim.SGD(parameters, lr=0.2))
        self.head = nn.Linear(torch.Size(self.input_shape).numel(), num_classes)
        self.remember()

    def features(self, x):
        return x.flatten(1)


class Cost(NegativeLogConfidence):
    pass


class Faces(AttFaces):
    pass
"""


def fresh() -> None:
    """Forget the module, as the process of the next command would have."""
    for name in ("mynet", "mynet.nets"):
        sys.modules.pop(name, None)


@pytest.fixture
def own(study, monkeypatch):
    """A study whose target, data and cost are of a module in the working folder."""
    monkeypatch.delenv(VARIABLE, raising=False)
    (study / "mynet.py").write_text(OWN)
    change("data/faces.yaml", class_path="mynet.Faces")
    for name in ("victim", "evaluator"):
        change(f"classifier/{name}.yaml", checkpoint=f"own/{name}.ckpt")
    change("classifier/victim.yaml", model={"class_path": "mynet.Net"}, trainer__logger=False)
    change("classifier/evaluator.yaml", trainer__logger=False)
    change("target/soft.yaml", model__classifier_ckpt="own/victim.ckpt", evaluator_ckpt="own/evaluator.ckpt")
    change("attack/steps.yaml", model__cost="mynet.Cost")
    fresh()
    yield study
    fresh()


def run(*arguments: str) -> int:
    fresh()
    try:
        main(list(arguments))
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


INVERT = ("invert", "--config", "target/soft.yaml", "--config", "attack/steps.yaml")


def test_every_command_takes_classes_of_ones_own(own, capsys):
    for name in ("victim", "evaluator"):
        assert run("--import", "mynet", "fit", "--config", f"classifier/{name}.yaml") == 0
    victim = ("--config", "classifier/victim.yaml", "--checkpoint", "own/victim.ckpt")
    assert run("test", *victim, "--import=mynet") == 0
    for version in (0, 1):  # twice
        assert run(*INVERT, "--import", "mynet") == 0
        folder = own / f"lightning_logs/invert/soft_steps/version_{version}"
        config = yaml.safe_load((folder / "config.yaml").read_text())
        assert config["imports"] == ["mynet"]
    results = json.loads((folder / "results.json").read_text())
    assert results["target"]["class"] == "mynet.Net"
    assert "Cost" in json.dumps(results["attack"]["cost"])
    assert run("verify", str(folder), "--import", "mynet") == 0  # every command takes the flag
    # the configuration of a run repeats it by itself
    assert run("invert", "--config", str(folder / "config.yaml")) == 0
    # and what was written is read without the module
    (own / "mynet.py").rename(own / "elsewhere.txt")
    assert run("verify", str(folder)) == 0
    assert run("report", "--runs", str(folder)) == 0
    assert "mynet" not in sys.modules
    capsys.readouterr()
    assert active() == ()


def test_audits_and_sweeps_in_their_processes_take_them_twice(own, capsys):
    both = ["classifier/victim.yaml", "classifier/evaluator.yaml"]
    pair = {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(Path("audit.yaml"), {"classifiers": both, **pair, "output": "out", "controls": [], "imports": ["mynet"]})
    assert run("audit", "--config", "audit.yaml") == 0
    assert run("audit", "--config", "audit.yaml") == 0
    out = capsys.readouterr().out
    assert out.count("is finished already") == 1
    attack = {"target": "target/soft.yaml", "attack": "attack/steps.yaml"}
    grid = {"model.max_iterations": [5]}
    write(Path("sweep.yaml"), {"classifiers": both, "attacks": {"own": attack}, "grid": grid, "output": "swept"})
    flags = ("sweep", "--config", "sweep.yaml", "--jobs", "1")
    assert run(*flags, "--import", "mynet") == 0
    assert len(list(own.glob("swept/runs/*/run.json"))) == 1
    capsys.readouterr()
    assert run(*flags, "--import", "mynet") == 0
    assert "1 of 1 runs are finished already" in capsys.readouterr().out


def test_the_environment_and_a_package_whose_parts_are_imported_later(own, capsys, monkeypatch):
    (own / "mynet.py").unlink()
    (own / "mynet").mkdir()
    (own / "mynet/__init__.py").touch()
    (own / "mynet/nets.py").write_text(OWN)
    change("classifier/victim.yaml", model={"class_path": "mynet.nets.Net"}, data="../data/plain.yaml")
    plain = yaml.safe_load(Path("data/faces.yaml").read_text()) | {"class_path": "mi_lightning.data.AttFaces"}
    write(Path("data/plain.yaml"), plain)
    change("target/soft.yaml", evaluator_ckpt="checkpoints/evaluator.ckpt", data="../data/plain.yaml")
    change("attack/steps.yaml", model__cost="mi_lightning.attacks.costs.NegativeLogConfidence")
    monkeypatch.setenv(VARIABLE, "mynet")
    assert run("fit", "--config", "classifier/victim.yaml") == 0
    assert run(*INVERT) == 0  # the checkpoint names mynet.nets, which nothing but it names
    monkeypatch.delenv(VARIABLE)
    assert run(*INVERT) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "a mynet.nets.Net, which is unknown: import its module first: on the command line --import mynet" in told


def test_what_is_not_asked_for_is_not_imported(own, capsys):
    (own / "mynet.py").write_text("raise AssertionError('nobody asked')\n")
    assert run("fit", "--config", "classifier/victim.yaml") == 2
    assert "that was asked for (--import mynet), got mynet.Faces (--data)" in capsys.readouterr().err


SYSTEM = "os.system"


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--model.optimizer", SYSTEM], "got os.system (--model.optimizer)"),
        (["--model.optimizer.class_path", SYSTEM], "got os.system (--model.optimizer)"),
        (["--model.optimizer", "mi_lightning.io.os.system"], "got posix.system (--model.optimizer)"),
        (["--model.optimizer", "lightning.fabric.utilities.cloud_io._load"], "got lightning.fabric.utilities.cloud_io"),
        (["--model.optimizer", "torch.load"], "got torch.load (--model.optimizer)"),
        (["--model.optimizer", "lightning.pytorch.loggers.CSVLogger"], "subclass of <class 'Optimizer'>"),
        (["--model.space", "mynet.Space"], "(--import mynet), got mynet.Space (--model.space)"),
        (["--recogniser.class_path", "subprocess.Popen"], "got subprocess.Popen (--recogniser)"),
        (["--data", "absent.yaml"], "a file that exists, got absent.yaml (--data)"),
        (["--import"], "the name of a module, got none (--import)"),
        (["--import", "toy_absent"], "a module that exists, got toy_absent"),
        (["--imports", "{a: 1}"], "a list of names of modules, got {'a': 1} (--imports)"),
    ],
)
def test_what_may_not_be_named(study, capsys, flags, expected):
    before = set(study.rglob("*"))
    assert run(*INVERT, *flags) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert len(told.splitlines()) == 1
    assert set(study.rglob("*")) == before


def test_a_network_by_its_name_is_held_to_the_same_rule(study, capsys):
    recogniser = {"class_path": "mi_lightning.recognisers.Embedder", "init_args": {"network": "os:system"}}
    change("target/soft.yaml", recogniser=recogniser)
    assert run(*INVERT) == 2
    assert "got os (--recogniser.init_args.network)" in capsys.readouterr().err
    change("target/soft.yaml", recogniser__init_args__network="mi_lightning.io:os.system")
    assert run(*INVERT) == 2
    assert "got posix.system (--recogniser.init_args.network)" in capsys.readouterr().err


def test_flags_are_taken_out_wherever_they_stand():
    found = take(["fit", "--import", "a", "--imports=[b, c]", "--imports+=d", "--x", "1"])
    assert found == (["a", "b", "c", "d"], ["fit", "--x", "1"])
    with pytest.raises(InputError, match=r"the name of a module, got --x"):
        take(["fit", "--import", "--x"])


def test_configurations_that_are_completed_name_modules_too(own):
    change("data/faces.yaml", class_path="mi_lightning.data.AttFaces")
    change("attack/steps.yaml", imports="mynet")
    runner = CommandLine()
    found = runner.complete("invert", ["attack/steps.yaml"])
    assert found["imports"] == ["mynet"]
    fresh()
    assert runner.complete("invert", found, check=True)["model"]["cost"]["class_path"] == "mynet.Cost"
    assert active() == ()
