"""What an audit found as SARIF 2.1.0, the format of code scanners."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mi_lightning import __version__
from mi_lightning.report.audit.headline import is_above_controls
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.formats import show
from mi_lightning.report.verification import unshown

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_MANY = 0.5  # a run that gives away half of the people or more is an error, fewer a warning

#: Rules, by their identifiers: the verdicts of which there is something to say, and the gates.
_RULES = {
    "recognised": (
        "People are recognised",
        "A recogniser that was trained on other people names people in what an attack reconstructed from the model.",
    ),
    "fools_model_only": (
        "Reconstructions fool the model only",
        "The model or the inside evaluator names people whom the recogniser does not see in the reconstructions.",
    ),
    "attack_failed": (
        "The attack failed",
        "The attack found nothing that can be judged: this says something about the attack, nothing about the model.",
    ),
    "not_judged": (
        "Nobody judged",
        "Who is recognised could not be measured. This is no finding about the model, good or bad.",
    ),
    "not_verified": (
        "The target was not shown to know the people",
        "A target that does not know the people looks like one that keeps them: no figure says that it is safe.",
    ),
    "gate": ("A gate fell", "A figure of the audit is not what was asked for, or could not be measured."),
}


def sarif(document: Mapping[str, Any], outcomes: Sequence[Outcome] = ()) -> str:
    """Text of ``audit.sarif``: a result for each run that recognises somebody, and for each gate that fell.

    Paths are relative to the folder of the audit. ``partialFingerprints`` stay the same from audit to audit, so that a
    code scanner knows a finding again.

    Args:
        document: Content of ``audit.json``.
        outcomes: What came of the gates.
    """
    folders = {run["name"]: run["folder"] for run in document["runs"]}
    results = [result for run in document["runs"] for result in _results(run)]
    for outcome in outcomes:
        if not outcome.passed:
            folder = folders.get(outcome.run)
            results.append(_result("gate", outcome.run, folder, outcome.line, "error", key=outcome.gate))
    run = {
        "tool": {
            "driver": {
                "name": "mi_lightning",
                "version": __version__,
                "rules": [
                    {
                        "id": name,
                        "shortDescription": {"text": title},
                        "fullDescription": {"text": text},
                        "defaultConfiguration": {"level": "error" if name == "gate" else "warning"},
                    }
                    for name, (title, text) in _RULES.items()
                ],
            }
        },
        "invocations": [{"executionSuccessful": True, "endTimeUtc": document["created"].replace("+00:00", "Z")}],
        "columnKind": "utf16CodeUnits",
        "results": results,
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _results(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Results of a run: whom it recognises; that it could not be measured."""
    name, folder = run["name"], run["folder"]
    if run["recognised"] is None:
        return [_result("not_judged", name, folder, f"{name} could not be measured: {run['refused']}", None)]
    found = []
    if reason := unshown([run]):
        found.append(_result("not_verified", name, folder, f"{name}: {reason}.", None))
    if run["recognised"]:
        share, low, high = (show(run[key], "share") for key in ("recognised", "recognised_low", "recognised_high"))
        above = is_above_controls(run)
        text = f"{name}: {share} of the people are recognised (95% interval {low} to {high})"
        text += "." if above else ", which guessing and the controls explain."
        level = "note" if not above else "error" if run["recognised"] >= _MANY else "warning"
        found.append(_result("recognised", name, folder, text, level))
    for verdict, level in (("fools_model_only", "note"), ("attack_failed", "note")):
        if run[verdict]:
            text = f"{name}: {verdict.replace('_', ' ')} for {show(run[verdict], 'share')} of the people."
            found.append(_result(verdict, name, folder, text, level))
    return found


def _result(rule: str, run: str, folder: str | None, text: str, level: str | None, *, key: str = "") -> dict[str, Any]:
    """A result; one without a level is open: nobody could say."""
    result: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": list(_RULES).index(rule),
        "kind": "open" if level is None else "fail",
        "level": level or "none",
        "message": {"text": text},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(f"{folder}/results.json" if folder else "audit.json")}
                }
            }
        ],
        "partialFingerprints": {
            "finding/v1": hashlib.sha256(json.dumps([rule, run, key]).encode()).hexdigest(),
        },
    }
    return result
