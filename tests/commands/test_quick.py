"""Quick audits: everything says that they are no evidence, and nothing of them is taken for a real one."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from mi_lightning.cli.main import main
from mi_lightning.commands.quick import ITERATIONS, PEOPLE, hasty_fit, quick_attack
from mi_lightning.report import build_report, read_results
from mi_lightning.report.notes import NO_EVIDENCE, QUICK
from mi_lightning.report.schema.audit import AUDIT_SCHEMA
from mi_lightning.report.schema.check import problem
from tests.study import change, write

QUICKLY = ["audit", "--config", "audit.yaml", "--quick"]


@pytest.fixture
def audit(study):
    """A small audit: target, evaluator, one attack; the target has no checkpoint yet."""
    content = {"title": "A small audit", "output": "out", "controls": ["untrained"]}
    content["classifiers"] = ["classifier/victim.yaml", "classifier/evaluator.yaml"]
    content |= {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(study / "audit.yaml", content)
    (study / "checkpoints/victim.ckpt").unlink()
    return study


def status(*arguments):
    """Exit status of a command."""
    try:
        main([*arguments])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_everything_says_that_it_is_no_evidence(audit, capsys):
    assert status(*QUICKLY, "--fail-above", "people=100", "--fail-above", "recognised=1") == 3
    said = capsys.readouterr()
    assert "quick: no evidence" in said.out
    assert "not run: the controls untrained" in said.out
    assert said.err.count("could not be measured (a quick audit is no evidence") == 2  # whatever the bound

    folder = audit / "out_quick"
    document = json.loads((folder / "audit.json").read_text())
    assert document["quick"] is True
    assert problem(document, AUDIT_SCHEMA) is None
    assert document["title"] == "Quick, no evidence: A small audit"
    assert document["headline"]["figure"] is None
    assert document["headline"]["refused"] == QUICK
    assert all(run["refused"] == QUICK and run["recognised"] is None for run in document["runs"])
    assert not any(gate["passed"] or gate["measured"] for gate in document["gates"])
    page = (folder / "report.html").read_text()
    assert '<p class="no-evidence" role="note"><b>Quick: no evidence.</b>' in page
    assert NO_EVIDENCE in page
    cases = list(ET.fromstring((folder / "junit.xml").read_text()).iter("testcase"))  # our own file
    assert cases
    assert all(case.find("error") is not None for case in cases)
    found = json.loads((folder / "audit.sarif").read_text())["runs"][0]["results"]
    assert any(QUICK in result["message"]["text"] for result in found)
    assert QUICK in (folder / "model_card.md").read_text()
    assert status("verify", "out_quick") == 0

    run = read_results(folder / "soft_steps/version_0")
    assert run.quick
    assert run.summary["rows"] == PEOPLE
    assert run.data["attack"]["max_iterations"] == ITERATIONS
    alone = build_report([run.folder], audit / "alone.html").read_text()
    assert NO_EVIDENCE in alone  # also on a page that knows no audit


def test_nothing_of_it_is_taken_for_a_real_audit(audit, capsys):
    assert status(*QUICKLY) == 0
    assert not (audit / "out").exists()
    assert not (audit / "checkpoints/victim.ckpt").exists()
    assert len(list((audit / "out_quick/checkpoints").glob("victim-*.ckpt"))) == 1
    assert not (audit / "lightning_logs/fit").exists()
    capsys.readouterr()
    assert status(*QUICKLY) == 0
    again = capsys.readouterr().out
    assert "is finished already" in again
    assert "hastily" not in again

    # the same settings, in the folder of the quick one: still another run
    change("attack/steps.yaml", model__max_iterations=ITERATIONS, model__report_every=ITERATIONS, model__people=PEOPLE)
    real = ["audit", "--config", "audit.yaml", "--output", "out_quick", "--controls", "[]"]
    change("target/soft.yaml", recogniser=None)
    assert status(*real) == 0
    assert "is finished already" not in capsys.readouterr().out
    assert "quick" not in json.loads((audit / "out_quick/audit.json").read_text())
    assert status(*QUICKLY) == 2  # what is real is not overwritten
    assert "expected an output beside which no audit lies, got out_quick" in capsys.readouterr().err


def test_it_is_no_baseline(audit, capsys):
    assert status(*QUICKLY) == 0
    assert status("audit", "--config", "audit.yaml", "--baseline", "out_quick") == 2
    assert "of a quick audit, which is no evidence (--baseline)" in capsys.readouterr().err


def test_it_does_not_train_again_what_is_real(audit, capsys):
    assert status(*QUICKLY, "--refit", "true") == 2
    assert "expected either --quick or --refit, got both" in capsys.readouterr().err
    assert not (audit / "out_quick").exists()


def test_what_is_cut():
    config = {
        "model": {"init_args": {"layers": [{"epochs": 60}], "head": {"epochs": 0}}},
        "trainer": {"max_epochs": -1},
    }
    changes = hasty_fit(config, checkpoint="new.ckpt")
    assert changes["model.init_args.layers.0.epochs"] == 1
    assert changes["model.init_args.head.epochs"] == 0
    assert changes["trainer.logger"] is False
    assert changes["checkpoint"] == "new.ckpt"
    assert "trainer.max_epochs" not in changes  # its phases end it
    model = {"max_iterations": 3, "report_every": 50, "initial_candidates": 1, "classifier_ckpt": "a.ckpt"}
    changed = quick_attack({"model": model, "evaluator_ckpt": "b.ckpt"}, {})
    assert changed["model.max_iterations"] == 3  # never more than there were
    assert changed["unverified"] is True
