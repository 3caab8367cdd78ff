"""SARIF 2.1.0: its structure, written down here, and what becomes a result."""

from __future__ import annotations

import json
import re

import pytest

from mi_lightning.report.audit.document import audit_document
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.audit.sarif import sarif
from tests.report.audit.conftest import hits_of, make_document, make_run

FELL = Outcome("recognised at most 5%", "cnn", "recognised", "cnn: above 5%", passed=False)
HELD = Outcome("recognised at most 90%", "cnn", "recognised", "cnn: not above 90%", passed=True)

#: What SARIF 2.1.0 requires of the objects that are used, and the values that it allows (sections 3.13 to 3.52).
_TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "minLength": 1}}}
_RULE = {
    "type": "object",
    "required": ["id", "shortDescription", "fullDescription", "defaultConfiguration"],
    "properties": {
        "id": {"type": "string"},
        "shortDescription": _TEXT,
        "fullDescription": _TEXT,
        "defaultConfiguration": {"properties": {"level": {"enum": ["none", "note", "warning", "error"]}}},
    },
    "additionalProperties": False,
}
_RESULT = {
    "type": "object",
    "required": ["message", "ruleId", "ruleIndex", "kind", "level", "locations", "partialFingerprints"],
    "properties": {
        "message": _TEXT,
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "kind": {"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "locations": {
            "type": "array",
            "minItems": 1,
            "items": {
                "required": ["physicalLocation"],
                "properties": {
                    "physicalLocation": {
                        "required": ["artifactLocation"],
                        "properties": {
                            "artifactLocation": {"required": ["uri"], "properties": {"uri": {"type": "string"}}}
                        },
                    }
                },
            },
        },
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "additionalProperties": False,
    # 3.27.10: a result of another kind than "fail" has the level "none"
    "if": {"properties": {"kind": {"const": "fail"}}},
    "then": {"properties": {"level": {"enum": ["note", "warning", "error"]}}},
    "else": {"properties": {"level": {"const": "none"}}},
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "properties": {
                    "tool": {
                        "required": ["driver"],
                        "properties": {
                            "driver": {
                                "required": ["name", "rules"],
                                "properties": {"rules": {"type": "array", "uniqueItems": True, "items": _RULE}},
                            }
                        },
                    },
                    "invocations": {"items": {"required": ["executionSuccessful"]}},
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {"type": "array", "items": _RESULT},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}


def results_of(document, outcomes=()):
    return json.loads(sarif(document, outcomes))["runs"][0]["results"]


def test_it_has_the_structure_of_the_standard(document):
    jsonschema = pytest.importorskip("jsonschema", reason="the extra `test` brings it")
    log = json.loads(sarif(document, [FELL, HELD]))
    jsonschema.validate(log, SARIF)
    log["runs"][0]["results"][0].pop("message")
    with pytest.raises(jsonschema.ValidationError, match="'message' is a required property"):  # the check can fail
        jsonschema.validate(log, SARIF)


def test_every_result_is_of_a_rule_and_has_a_place_and_a_fingerprint(document):
    log = json.loads(sarif(document, [FELL, HELD]))
    assert log["version"] == "2.1.0"
    [run] = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(set(rules)) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert (result["kind"] == "fail") == (result["level"] != "none")
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith(".json")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", run["invocations"][0]["endTimeUtc"])


@pytest.mark.parametrize(
    ("hits", "level"),
    [(1, "note"), (3, "note"), (12, "warning"), (19, "warning"), (20, "error"), (40, "error")],
)
def test_the_level_follows_the_share(tmp_path, hits, level):
    found = results_of(make_document(tmp_path, a=hits_of(hits)))
    assert [(result["ruleId"], result["level"]) for result in found][:1] == [("recognised", level)]


def test_a_run_in_which_nobody_is_recognised_is_no_finding(tmp_path):
    run = make_run(tmp_path / "a", hits_of(0), verdicts=["not_reconstructed"] * 40)
    assert results_of(audit_document("t", ["a"], [run], folder=tmp_path)) == []


def test_an_attack_that_failed_is_told(tmp_path):
    run = make_run(tmp_path / "a", hits_of(0), verdicts=["attack_failed"] * 10 + ["not_reconstructed"] * 30)
    [result] = results_of(audit_document("t", ["a"], [run], folder=tmp_path))
    assert (result["ruleId"], result["level"]) == ("attack_failed", "note")
    assert result["message"]["text"] == "a: attack failed for 25% of the people."


def test_what_could_not_be_measured_is_open(document):
    [result] = [result for result in results_of(document) if result["ruleId"] == "not_judged"]
    assert (result["kind"], result["level"]) == ("open", "none")
    assert "pip install" in result["message"]["text"]


def test_gates_that_fell_are_errors_and_those_that_held_are_none(document):
    gates = [result for result in results_of(document, [FELL, HELD]) if result["ruleId"] == "gate"]
    assert [(gate["level"], gate["message"]["text"]) for gate in gates] == [("error", "cnn: above 5%")]
    assert gates[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "cnn/version_1/results.json"


def test_a_gate_about_a_run_that_is_gone_lies_in_the_audit(document):
    gone = Outcome("recognised no worse than before", "mlp", "recognised", "gone", passed=False, measured=False)
    uri = results_of(document, [gone])[-1]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "audit.json"


def test_findings_are_known_again_and_told_apart(tmp_path):
    first, second = (
        results_of(make_document(tmp_path / place, a=hits_of(hits), b=hits_of(12)), [FELL])
        for place, hits in (("x", 20), ("y", 22))
    )
    prints = [result["partialFingerprints"]["finding/v1"] for result in first]
    assert prints == [result["partialFingerprints"]["finding/v1"] for result in second]
    assert len(set(prints)) == len(prints)


def test_paths_are_relative_and_whole(tmp_path):
    run = make_run(tmp_path / "a run" / "version_0", hits_of(20))
    text = sarif(audit_document("t", ["a run"], [run], folder=tmp_path))
    assert "a%20run/version_0/results.json" in text
    assert str(tmp_path) not in text
