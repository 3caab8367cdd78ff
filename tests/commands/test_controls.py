"""Control runs of audits: who is missing, what is used again, what is told of those that could not be run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.cli.main import main
from mi_lightning.cli.runner import CommandLine
from mi_lightning.commands.controls import checked_controls, run_controls
from mi_lightning.data import AttFaces
from mi_lightning.errors import InputError, MIError
from mi_lightning.report.control_runs import Control, control_results, merged_control, read_controls, write_controls
from tests.study import change, write

PEOPLE = ["s1", "s2", "s3", "s4"]


def write_audit(folder: Path):
    """Write a small audit: target, evaluator, one attack."""
    content = {"title": "A small audit", "output": "out"}
    content["classifiers"] = ["classifier/victim.yaml", "classifier/evaluator.yaml"]
    content |= {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(folder / "audit.yaml", content)


@pytest.fixture
def audit(study):
    """The study with an audit that has not run."""
    write_audit(study)
    return study


@pytest.fixture(scope="module")
def with_all_controls(trained_study, tmp_path_factory):
    """The study with an audit that has run, with all controls; nobody changes it."""
    folder = tmp_path_factory.mktemp("audit")
    shutil.copytree(trained_study, folder, dirs_exist_ok=True)
    write_audit(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_audit("--controls", "[untrained, without_person]")
    return folder


@pytest.fixture
def finished(with_all_controls, tmp_path, monkeypatch):
    """A copy of the audit that has run, which is the working folder."""
    shutil.copytree(with_all_controls, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_audit(*more):
    main(["audit", "--config", "audit.yaml", *more])


def results_of(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())


def times(folder: Path) -> dict[str, int]:
    """When each finished run below a folder was finished."""
    return {str(path): path.stat().st_mtime_ns for path in sorted(folder.rglob("run.json"))}


def test_the_same_attack_is_run_on_an_untrained_target(finished):
    control, _ = read_controls(finished / "out")["soft_steps"]
    assert (control.name, control.reason) == ("untrained", "")
    assert control.folders == (finished / "out/controls/soft_steps_untrained/version_0",)
    attacked, real = results_of(control.folders[0]), results_of(finished / "out/soft_steps/version_0")
    assert attacked["target"]["training"]["untrained"] is True
    assert attacked["target"]["test_accuracy"] is None
    assert attacked["target"]["checkpoint_sha256"] != real["target"]["checkpoint_sha256"]
    for same in ("attack", "evaluator", "data"):  # the same attack before the same judges
        assert attacked[same] == real[same]
    # the attack works: it makes the target sure, and shows nobody
    assert attacked["summary"]["confidence_mean"] > 0.5
    assert real["summary"]["ssim_mean"] > attacked["summary"]["ssim_mean"] + 0.2
    assert [row["name"] for row in control.rows()] == PEOPLE
    assert control.summary()["identification_top1"] == attacked["summary"]["identification_top1"]
    assert control.summary()["recognised"] is None  # nobody asked a recogniser


def test_without_the_person_everybody_has_a_control_of_a_target_that_never_met_them(finished):
    untrained, without = read_controls(finished / "out")["soft_steps"]
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
    real = results_of(finished / "out/soft_steps/version_0")
    assert results_of(without.folders[0])["data"] == real["data"]
    assert without.summary()["identification_top1"] < real["summary"]["identification_top1"]
    assert merged_control(without.folders[::-1])[0]["run"] == 1 - rows[0]["run"]
    runs = control_results({"soft_steps": [untrained, without]})["soft_steps"]
    assert [row["name"] for row in runs["without_person"]] == list(PEOPLE)  # as the figures of an audit take them
    assert len(runs["untrained"]) == 4
    with pytest.raises(MIError, match=r"has the control of s\d, as another run has"):
        merged_control([without.folders[0], untrained.folders[0]])
    with pytest.raises(MIError, match="it is the run of no control"):
        merged_control([finished / "out/soft_steps/version_0"])


def test_finished_controls_are_used_again_while_nothing_changes(finished, capsys):
    controls = finished / "out/controls"
    before, trained = times(controls), [path for path in controls.glob("*.ckpt") if "without" in path.name]
    assert (len(before), len(trained)) == (3, 2)
    written = {path: path.stat().st_mtime_ns for path in trained}
    run_audit("--controls", "[untrained, without_person]")
    out = capsys.readouterr().out
    assert out.count("is finished already") == 4  # the run itself, too
    assert "without half" not in out
    assert times(controls) == before
    assert {path: path.stat().st_mtime_ns for path in written} == written

    change("attack/steps.yaml", model__max_iterations=21)
    change("classifier/victim.yaml", trainer__max_epochs=41)
    run_audit("--controls", "[untrained, without_person]")
    out = capsys.readouterr().out
    assert out.count("without half of the people") == 2
    assert "is finished already" not in out
    assert len(times(controls)) == 6
    for control in read_controls(finished / "out")["soft_steps"]:
        assert {folder.name for folder in control.folders} == {"version_1"}


def test_an_untrained_target_is_attacked_unless_it_is_switched_off(audit):
    run_audit("--controls", "[]")
    assert read_controls(audit / "out") == {"soft_steps": []}
    assert [path.name for path in (audit / "out/controls").iterdir()] == ["controls.json"]
    assert read_controls(audit) == {}
    assert checked_controls(None) == ("untrained",)


def test_attacks_that_know_other_people_have_the_prior_alone_as_their_control(audit, write_pgm):
    picture = (255 * load_faces(audit)[0]).byte().numpy()
    write_pgm(audit / "public.pgm", picture)
    given = {"class_path": "mi_lightning.attacks.initializers.GivenImage", "init_args": {"path": "public.pgm"}}
    space = {"class_path": "mi_lightning.attacks.spaces.PixelSpace", "init_args": {"initializer": given}}
    change("attack/steps.yaml", model__space=space)
    run_audit()
    (control,) = read_controls(audit / "out")["soft_steps"]
    assert control.name == "prior_alone"
    assert control.folders == (audit / "out/controls/soft_steps_prior_alone/version_0",)


def load_faces(folder: Path):
    """Pictures of the study."""
    root = yaml.safe_load((folder / "data/faces.yaml").read_text())["init_args"]["root"]
    data = AttFaces(root=root, test_per_person=2)
    data.setup()
    return data.train_x[:, 0]


def controls_of(folder: Path, controls: list[str], configs: tuple[str, ...]) -> list[Control]:
    """Controls of the finished run by other configurations, where nobody knows how the target was trained."""
    run = folder / "out/soft_steps/version_0"
    return run_controls(CommandLine(), "mine", configs, run, controls, output=folder / "mine", checkpoints={})


def test_what_could_not_be_run_is_named_with_its_reason(finished, capsys):
    controls = controls_of(finished, ["without_person", "untrained"], ("target/soft.yaml", "attack/steps.yaml"))
    without, untrained = controls
    assert without.folders == ()
    assert "no configuration under classifiers trains checkpoints/victim.ckpt" in without.reason
    assert without.rows() == []
    assert set(without.summary().values()) == {None}
    assert untrained.folders == (Path(finished / "mine/controls/mine_untrained/version_0"),)
    out = " ".join(capsys.readouterr().out.split())
    assert "could not be run: no configuration" in out
    assert control_results({"mine": controls})["mine"].keys() == {"untrained"}


def test_a_target_that_is_no_checkpoint_has_no_control(finished):
    change("target/soft.yaml", model={"target": None})
    (control,) = controls_of(finished, ["untrained"], ("target/soft.yaml", "attack/steps.yaml"))
    assert "not made from a checkpoint" in control.reason
    assert control.folders == ()
    assert not (finished / "mine/controls").exists()


def test_the_untrained_checkpoint_can_be_loaded(finished):
    (path,) = (finished / "out/controls").glob("*_untrained.ckpt")
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


def test_the_list_of_controls_is_read_as_it_was_written(tmp_path):
    listed = {
        "a": [Control("untrained", (tmp_path / "controls/a_untrained/version_3",)), Control("without_person", (), "no")]
    }
    write_controls(tmp_path, listed)
    assert read_controls(tmp_path) == listed
    assert str(tmp_path) not in (tmp_path / "controls/controls.json").read_text()  # the folder can be moved
    (tmp_path / "controls/controls.json").write_text('{"a": [{"name": "untrained"}]}')
    with pytest.raises(MIError, match="lists no controls: run the audit again"):
        read_controls(tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"model.classifer_ckpt": "x"},
            "got model.classifer_ckpt; near it are model.classifier_ckpt",
        ),
        ({"model.max_iterations": 0}, "expected max_iterations >= 1, got 0"),
        ({"model.max_iterations": "many"}, "many"),
    ],
)
def test_changes_that_are_wrong(audit, changes, words):
    with pytest.raises(MIError, match=words):
        CommandLine().complete("invert", ["target/soft.yaml", "attack/steps.yaml"], check=True, changes=changes)


def test_changes_leave_all_else_as_it_is(audit):
    configs, line = ["target/soft.yaml", "attack/steps.yaml"], CommandLine()
    before, after = (line.complete("invert", configs, changes=new) for new in (None, {"model.max_iterations": 7}))
    assert (before["model"].pop("max_iterations"), after["model"].pop("max_iterations")) == (20, 7)
    assert before == after


def test_the_control_of_a_target_made_of_a_file(audit):
    """It leaves the file's weights out; who was not there while it was trained, nobody can repeat."""
    module = {"class_path": "mi_lightning.classifiers.SoftmaxRegression"}
    module["init_args"] = {"input_shape": [1, 8, 6], "num_classes": 4}
    (checkpoint,) = (path for path in audit.rglob("*.ckpt") if "victim" in path.stem)
    own = {"class_path": "mi_lightning.targets.TorchModule"}
    own["init_args"] = {"module": module, "weights": str(checkpoint), "input_shape": [1, 8, 6], "class_names": PEOPLE}
    write(audit / "target/own.yaml", {"data": "../data/faces.yaml", "model": {"target": own}})
    flags = ["--output", "own", "--controls", "[untrained, without_person]"]
    main(["audit", "--targets", "[target/own.yaml]", "--attacks", "[attack/steps.yaml]", *flags])
    first, second = read_controls(audit / "own")["own_steps"]
    assert (first.name, first.reason) == ("untrained", "")
    assert "whose weights are a file of their own" in second.reason
    (folder,) = first.folders
    said = results_of(folder)["target"]
    assert (said["training"], said["weights"]) == ({"untrained": True}, None)
