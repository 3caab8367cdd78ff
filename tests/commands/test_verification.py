"""The sanity pass by the command line: before a file is written, through audits, controls, sweeps and verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.cli.main import main
from mi_lightning.report.results import read_results
from tests.study import change, write

INVERT = ["invert", "--config", "target/soft.yaml", "--config", "attack/steps.yaml"]
RUN = Path("lightning_logs/invert/soft_steps/version_0")


def roll(path, shift=1):
    """Move everybody's weights to the next label: no answer is right."""
    classifier = load_classifier(path)
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(parameter.roll(shift, 0))
    save_classifier(classifier, path)


@pytest.fixture
def rolled(study):
    roll("checkpoints/victim.ckpt")
    return study


def failing(capsys, *arguments, status=2):
    with pytest.raises(SystemExit) as caught:
        main([*arguments])
    assert caught.value.code == status
    return capsys.readouterr().err


def test_an_attack_on_a_target_that_knows_the_people(study, capsys):
    main(INVERT)
    said = "Verified. The target, without its defenses, names 100% of 8 real test samples right (guessing: 25%)."
    assert said in capsys.readouterr().out
    found = read_results(RUN).data
    assert found["verification"] | {"p_value": None} == {
        "status": "verified",
        "reason": "",
        "hint": "",
        "accuracy": 1.0,
        "chance": 0.25,
        "n": 8,
        "samples": "test",
        "p_value": None,
        "recorded_accuracy": 1.0,
        "verification_queries": 8,
        "names": "target",
    }
    # the queries of the attack are those of its rows alone
    assert found["summary"]["queries_total"] == sum(row["queries"] for row in found["per_label"])


def test_labels_in_another_order_are_an_error_before_a_file_is_written(rolled, capsys):
    error = failing(capsys, *INVERT)
    assert error.startswith(
        "mi-lightning: expected a target that knows the people of the data (or unverified: true, which the report says "
        "in red), got one that names 0.0% of 8 test samples right (guessing: 25.0%, p = 1): 100.0% under another order "
        "of the labels, one later, as of labels that begin with 1: class_names: [s4, s1, s2, s3]"
    )
    assert error.endswith("(--unverified)\n")
    assert error.count("\n") == 1
    assert not Path("lightning_logs/invert").exists()


def test_unverified_goes_on_and_the_page_says_it_in_red(rolled, capsys):
    main([*INVERT, "--unverified", "true"])
    said = capsys.readouterr().out
    assert "Not shown to know these people. This target was not shown to know these people: no figure here" in said
    assert read_results(RUN).data["verification"]["status"] == "unverified"
    main(["verify", str(RUN)])
    main(["report", "--runs", str(RUN), "--output", "report.html"])
    page = Path("report.html").read_text()
    assert page.index('class="alarm"') < page.index('id="headline"')
    assert "no figure here says that it is safe" in page


def test_samples_for_verification_are_a_number(study, capsys):
    main([*INVERT, "--verification_samples", "5"])
    assert "of 5 real test samples right" in capsys.readouterr().out
    assert "--verification_samples" in failing(capsys, *INVERT, "--verification_samples", "0")


def test_an_audit_stops_too_and_its_controls_are_exempt(rolled, capsys):
    targets = {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(Path("audit.yaml"), {"output": "out", **targets})
    assert "names 0.0% of 8 test samples right" in failing(capsys, "audit", "--config", "audit.yaml")
    assert not list(Path("out").rglob("results.json"))
    main(["audit", "--config", "audit.yaml", "--unverified", "true"])
    found = json.loads(Path("out/audit.json").read_text())["runs"][0]
    assert found["verification"]["status"] == "unverified"
    control = read_results("out/controls/soft_steps_untrained/version_0").data
    assert (control["verification"]["status"], control["config"]) == ("exempt", "config.yaml")
    config = yaml.safe_load(Path("out/controls/soft_steps_untrained/version_0/config.yaml").read_text())
    assert config["unverified"] is False  # by what its checkpoint says, not by the user
    main(["verify", "out"])
    gate = failing(
        capsys, "audit", "--config", "audit.yaml", "--unverified", "true", "--fail-above", "leak=0.9", status=3
    )
    assert "could not be measured" in gate


def test_without_person_is_exempt(study):
    classifiers = ["classifier/victim.yaml", "classifier/evaluator.yaml"]
    targets = {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(Path("audit.yaml"), {"output": "out", "classifiers": classifiers, "controls": ["without_person"], **targets})
    main(["audit", "--config", "audit.yaml"])
    for half in (0, 1):
        run = read_results(f"out/controls/soft_steps_without_person_{half}/version_0")
        assert run.data["verification"]["status"] == "exempt"


def test_without_data_nothing_is_verified(study, capsys):
    change("target/soft.yaml", evaluator_ckpt=None, data=None)
    main(INVERT)
    assert "Not verified. The target could not be asked: no references were given" in capsys.readouterr().out
    assert read_results(RUN).data["verification"]["status"] == "not_verified"


def test_an_evaluator_that_is_wrong_on_everything(study, capsys):
    roll("checkpoints/evaluator.ckpt")
    error = failing(capsys, *INVERT)
    assert (
        "expected an evaluator that knows the people of the data, got checkpoints/evaluator.ckpt, which names 0.0%"
        in error
    )
    assert error.endswith("(--evaluator_ckpt)\n")


def test_a_sweep_says_it_of_every_point(rolled, capsys, jobs_here):
    attacks = {"steps": {"target": "target/soft.yaml", "attack": "attack/steps.yaml"}}
    grid = {"model.max_iterations": [5, 10]}
    write(Path("sweep.yaml"), {"attacks": attacks, "grid": grid, "output": "swept"})
    assert "names 0.0% of 8 test samples right" in failing(capsys, "sweep", "--config", "sweep.yaml")
    main(["sweep", "--config", "sweep.yaml", "--unverified", "true"])
    [line] = json.loads(Path("swept/sweep.json").read_text())["series"]
    assert line["unshown"].startswith("this target was not shown to know these people")
    assert "This target was not shown to know these people" in Path("swept/sweep.html").read_text()


def test_names_of_the_data_are_taken_over_and_noted(study, capsys):
    classifier = load_classifier("checkpoints/victim.ckpt")
    classifier.class_names = ("0", "1", "2", "3")
    save_classifier(classifier, "checkpoints/victim.ckpt")
    main([*INVERT, "--model.labels", "s2"])
    assert "Its classes had no names and took those of the data, in their order." in capsys.readouterr().out
    found = read_results(RUN).data
    assert (found["verification"]["names"], [row["name"] for row in found["per_label"]]) == ("data", ["s2"])


def test_names_in_another_order_are_put_into_that_of_the_data(study, capsys):
    main(INVERT)
    classifier = load_classifier("checkpoints/victim.ckpt")
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.copy_(parameter.roll(1, 0))
    classifier.class_names = ("s4", "s1", "s2", "s3")
    save_classifier(classifier, "checkpoints/victim.ckpt")
    main(INVERT)
    first, second = (read_results(RUN.with_name(f"version_{n}")).data for n in (0, 1))
    assert second["verification"]["names"] == "reordered"
    assert [row["cost"] for row in second["per_label"]] == pytest.approx(
        [row["cost"] for row in first["per_label"]], rel=1e-4
    )
