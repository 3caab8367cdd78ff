"""Audits on stand-in faces: one command from nothing to a report, checkpoints reused the second time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from mi_lightning.cli.main import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def study(tmp_path, monkeypatch, face_folder):
    """Configurations of a small audit in an empty folder: target, evaluator, one attack."""
    monkeypatch.chdir(tmp_path)
    data = {"root": str(face_folder), "test_per_person": 2, "batch_size": 4}
    for name, lr in (("target", 0.2), ("evaluator", 0.1)):
        config = yaml.safe_load((ROOT / "configs/fit/att_softmax.yaml").read_text())
        config["checkpoint"] = f"checkpoints/{name}.ckpt"
        config["data"]["init_args"] = data
        config["model"]["init_args"]["optimizer"]["init_args"]["lr"] = lr
        config["trainer"]["max_epochs"] = 40
        Path(f"{name}.yaml").write_text(yaml.safe_dump(config))
    config = yaml.safe_load((ROOT / "configs/invert/att_softmax.yaml").read_text())
    config["model"].update(classifier_ckpt="checkpoints/target.ckpt", max_iterations=30)
    config["evaluator_ckpt"] = "checkpoints/evaluator.ckpt"
    config["data"]["init_args"] = data
    Path("attack.yaml").write_text(yaml.safe_dump(config))
    audit = {"title": "A small audit", "output": "out"}
    audit |= {"fit": ["target.yaml", "evaluator.yaml"], "invert": ["attack.yaml"]}
    Path("audit.yaml").write_text(yaml.safe_dump(audit))
    return tmp_path


def test_from_nothing_to_a_report_and_again(study, capsys):
    main(["audit", "--config", "audit.yaml"])
    first = capsys.readouterr().out
    assert "reusing" not in first
    assert "guessing" in first  # the table has the chance level
    assert "out/report.html" in first
    page = (study / "out/report.html").read_text()
    assert "A small audit" in page
    for name in ("s1", "s2", "s3", "s4", "shuffled"):
        assert name in page
    assert not re.search(r"""(src|href)=["']https?://""", page)  # self-contained
    results = json.loads((study / "out/attack/version_0/results.json").read_text())
    assert results["summary"]["rows"] == 4

    before = (study / "checkpoints/target.ckpt").stat().st_mtime_ns
    main(["audit", "--config", "audit.yaml"])
    second = capsys.readouterr().out
    assert second.count("reusing checkpoints/") == 2
    assert (study / "checkpoints/target.ckpt").stat().st_mtime_ns == before
    again = json.loads((study / "out/attack/version_1/results.json").read_text())
    assert again["summary"]["ssim_mean"] == pytest.approx(results["summary"]["ssim_mean"])


def test_refit(study, capsys):
    main(["audit", "--config", "audit.yaml"])
    before = (study / "checkpoints/target.ckpt").stat().st_mtime_ns
    main(["audit", "--config", "audit.yaml", "--refit", "true"])
    assert "reusing" not in capsys.readouterr().out
    assert (study / "checkpoints/target.ckpt").stat().st_mtime_ns > before


def test_says_where_a_checkpoint_is_of_another_configuration(study, capsys):
    main(["audit", "--config", "audit.yaml"])
    capsys.readouterr()
    main(["audit", "--config", "audit.yaml"])
    assert "other values" not in capsys.readouterr().out
    config = yaml.safe_load(Path("target.yaml").read_text())
    config["trainer"]["max_epochs"] = 41
    config["model"]["init_args"]["optimizer"]["init_args"]["lr"] = 0.3
    Path("target.yaml").write_text(yaml.safe_dump(config))
    main(["audit", "--config", "audit.yaml"])
    out = capsys.readouterr().out
    assert "trained with other values of model.init_args.optimizer.init_args.lr, trainer.max_epochs" in out
    assert out.count("other values") == 1  # the evaluator is as it was


def test_a_wrong_attack_is_told_before_anything_is_trained(study, capsys):
    config = yaml.safe_load(Path("attack.yaml").read_text())
    config["model"]["beta"] = 0
    Path("attack.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit):
        main(["audit", "--config", "audit.yaml"])
    err = capsys.readouterr().err
    assert "expected beta >= 1, got 0" in err
    assert "attack.yaml" in err
    assert not (study / "checkpoints").exists()


def test_report_of_finished_runs(study, capsys):
    main(["audit", "--config", "audit.yaml"])
    main(["report", "--runs", "[out/attack/version_0]", "--output", "mine.html", "--title", "Mine"])
    assert "mine.html" in capsys.readouterr().out
    assert "Mine" in (study / "mine.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["audit", "--config", "audit.yaml", "--fit", "[absent.yaml]"], ["absent.yaml", "--fit"]),
        (["audit", "--config", "audit.yaml", "--invert", "[absent.yaml]"], ["absent.yaml", "--invert"]),
        (["audit", "--config", "audit.yaml", "--fit", "[attack.yaml]"], ["checkpoint", "attack.yaml", "--fit"]),
        (["audit", "--config", "audit.yaml", "--invert", "[]"], ["at least one attack", "--invert"]),
        (["audit", "--config", "audit.yaml", "--output", "a_file/out"], ["a_file", "--output"]),
        (["report", "--runs", "[]"], ["at least one run", "--runs"]),
        (["report", "--runs", "[nowhere]"], ["nowhere"]),
    ],
)
def test_wrong_arguments(study, capsys, arguments, expected):
    (study / "a_file").touch()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1
    for words in expected:
        assert words in err
    assert not (study / "checkpoints").exists()  # told before anything is trained
