"""Control runs of audits: who is missing, what is used again, what is told of those that could not be run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.cli.main import main
from mi_lightning.cli.runner import CommandLine
from mi_lightning.commands.controls import checked_controls, run_controls
from mi_lightning.errors import InputError
from mi_lightning.report.control_runs import Control, merged_control, read_controls
from mi_lightning.report.results import read_results
from tests.study import write

PEOPLE = ["s1", "s2", "s3", "s4"]


@pytest.fixture
def audit(study):
    """A small audit: target, evaluator, one attack."""
    content = {"title": "A small audit", "output": "out"}
    content["classifiers"] = ["classifier/victim.yaml", "classifier/evaluator.yaml"]
    content |= {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(study / "audit.yaml", content)
    return study


def run_audit(*more):
    main(["audit", "--config", "audit.yaml", *more])


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def times(folder: Path) -> dict[str, int]:
    """When each finished run below a folder was finished."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("run.json"))}


def test_every_audit_attacks_an_untrained_target(audit, capsys):
    run_audit()
    assert "soft_steps: untrained" in capsys.readouterr().out
    (control,) = read_controls(audit / "out")["soft_steps"]
    assert (control.name, control.reason) == ("untrained", "")
    assert control.folders == (audit / "out/controls/soft_steps_untrained/version_0",)
    attacked, real = results_of(control.folders[0]), results_of(audit / "out/soft_steps/version_0")
    assert attacked["target"]["training"]["untrained"] is True
    assert attacked["target"]["test_accuracy"] is None
    assert attacked["target"]["fingerprint"] != real["target"]["fingerprint"]
    for same in ("attack", "evaluator", "data"):  # the same attack before the same judges
        assert attacked[same] == real[same]
    # the attack works: it makes the target sure, and shows nobody
    assert attacked["summary"]["confidence_mean"] > 0.5
    assert real["summary"]["ssim_mean"] > attacked["summary"]["ssim_mean"] + 0.2
    assert [row["name"] for row in control.rows()] == PEOPLE
    assert control.summary()["identification_top1"] == attacked["summary"]["identification_top1"]
    assert control.summary()["recognised"] is None  # nobody asked a recogniser


def test_without_the_person_everybody_has_a_control_of_a_target_that_never_met_them(audit):
    run_audit("--controls", "[untrained, without_person]")
    untrained, without = read_controls(audit / "out")["soft_steps"]
    assert (untrained.name, without.name, without.reason) == ("untrained", "without_person", "")
    assert [folder.parent.name for folder in without.folders] == [
        "soft_steps_without_person_0",
        "soft_steps_without_person_1",
    ]
    left_out = [set(results_of(run)["target"]["training"]["data"]["without"]["people"]) for run in without.folders]
    assert left_out[0] | left_out[1] == set(PEOPLE)
    assert not left_out[0] & left_out[1]
    rows = without.rows()
    assert [(row["label"], row["name"]) for row in rows] == list(enumerate(PEOPLE))
    for row in rows:
        assert row["name"] in left_out[row["run"]]
        (own,) = (each for each in results_of(without.folders[row["run"]])["per_label"] if each["name"] == row["name"])
        assert row["identification_top1"] == own["identification_top1"]
    # judged by the same references: people's own photographs
    real = results_of(audit / "out/soft_steps/version_0")
    assert results_of(without.folders[0])["data"] == real["data"]
    assert without.summary()["identification_top1"] < real["summary"]["identification_top1"]
    assert merged_control(without.folders[::-1])[0]["run"] == 1 - rows[0]["run"]


def test_finished_controls_are_used_again_while_nothing_changes(audit, capsys):
    run_audit("--controls", "[untrained, without_person]")
    before, trained = times(audit / "out/controls"), list((audit / "out/controls").glob("*.ckpt"))
    assert len(before) == len(trained) == 3
    written = {path: path.stat().st_mtime_ns for path in trained if "without" in path.name}
    capsys.readouterr()
    run_audit("--controls", "[untrained, without_person]")
    out = capsys.readouterr().out
    assert out.count("is finished already") == 3
    assert "without half" not in out
    assert times(audit / "out/controls") == before
    assert {path: path.stat().st_mtime_ns for path in written} == written

    attack = yaml.safe_load(Path("attack/steps.yaml").read_text())
    attack["model"]["max_iterations"] = 21
    write(Path("attack/steps.yaml"), attack)
    run_audit()
    assert {path.split("/")[-2] for path in times(audit / "out/controls/soft_steps_untrained")} == {
        "version_0",
        "version_1",
    }
    (control,) = read_controls(audit / "out")["soft_steps"]
    assert control.folders[0].name == "version_1"

    classifier = yaml.safe_load(Path("classifier/victim.yaml").read_text())
    classifier["trainer"]["max_epochs"] = 41
    write(Path("classifier/victim.yaml"), classifier)
    capsys.readouterr()
    run_audit("--controls", "[without_person]")
    assert capsys.readouterr().out.count("without half of the people") == 2


def test_no_controls(audit):
    run_audit("--controls", "[]")
    assert read_controls(audit / "out") == {"soft_steps": []}
    assert [path.name for path in (audit / "out/controls").iterdir()] == ["controls.json"]
    assert read_controls(audit) == {}


def test_attacks_that_know_other_people_have_the_prior_alone_as_their_control(audit, write_pgm):
    picture = (255 * load_faces(audit)[0]).byte().numpy()
    write_pgm(audit / "public.pgm", picture)
    attack = yaml.safe_load(Path("attack/steps.yaml").read_text())
    given = {"class_path": "mi_lightning.attacks.initializers.GivenImage", "init_args": {"path": "public.pgm"}}
    attack["model"]["space"] = {
        "class_path": "mi_lightning.attacks.spaces.PixelSpace",
        "init_args": {"initializer": given},
    }
    write(Path("attack/steps.yaml"), attack)
    run_audit()
    (control,) = read_controls(audit / "out")["soft_steps"]
    assert control.name == "prior_alone"
    assert control.folders == (audit / "out/controls/soft_steps_prior_alone/version_0",)


def load_faces(folder: Path):
    from mi_lightning.data import AttFaces

    root = yaml.safe_load((folder / "data/faces.yaml").read_text())["init_args"]["root"]
    data = AttFaces(root=root, test_per_person=2)
    data.setup()
    return data.train_x[:, 0]


def test_what_could_not_be_run_is_named_with_its_reason(audit, capsys):
    run_audit("--classifiers", "[classifier/evaluator.yaml]", "--controls", "[without_person, untrained]")
    without, untrained = read_controls(audit / "out")["soft_steps"]
    assert without.folders == ()
    assert "no configuration under classifiers trains checkpoints/victim.ckpt" in without.reason
    assert without.rows() == []
    assert set(without.summary().values()) == {None}
    assert untrained.folders
    assert "could not be run" in capsys.readouterr().out


def test_a_target_that_is_no_checkpoint_has_no_control(audit):
    run_audit("--controls", "[]")
    target = yaml.safe_load(Path("target/soft.yaml").read_text())
    model = {"target": {"class_path": "tests.commands.test_controls.Own", "init_args": {}}}
    write(Path("target/soft.yaml"), target | {"model": model})
    (control,) = run_controls(
        CommandLine(),
        "own_steps",
        ["attack/steps.yaml"],
        audit / "out/soft_steps/version_0",
        ["untrained"],
        output=audit / "out",
        checkpoints={},
    )
    assert isinstance(control, Control)
    assert "not made from a checkpoint" in control.reason
    assert control.folders == ()


def test_the_untrained_checkpoint_can_be_loaded(audit):
    run_audit()
    (path,) = (audit / "out/controls").glob("*_untrained.ckpt")
    classifier = load_classifier(path)
    assert classifier.training_info["untrained"] is True
    assert classifier.class_names == tuple(PEOPLE)


@pytest.mark.parametrize(
    ("controls", "words"),
    [
        (["random"], r"expected controls of untrained, without_person, got random \(controls\)"),
        (["untrained", "untrained"], "expected different controls"),
    ],
)
def test_wrong_controls(controls, words):
    with pytest.raises(InputError, match=words):
        checked_controls(controls)


def test_a_wrong_control_is_told_before_anything_is_trained(audit, capsys):
    with pytest.raises(SystemExit) as stop:
        run_audit("--controls", "[prior_alone]", "--output", "elsewhere")
    assert stop.value.code == 2
    assert "untrained, without_person, got prior_alone (--controls)" in capsys.readouterr().err
    assert not (audit / "elsewhere").exists()


def test_names_of_controls():
    assert checked_controls(None) == ("untrained",)
    assert checked_controls([]) == ()
    assert checked_controls(["without_person"]) == ("without_person",)


def test_the_original_run_is_not_a_control(audit):
    run_audit()
    assert read_results(audit / "out/soft_steps/version_0").data["attack"].get("public") is None
