"""Gates of an audit as JUnit XML, which the servers of continuous integration show as tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.formats import show

_SUITE = "mi_lightning audit"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(document: Mapping[str, Any], outcomes: Sequence[Outcome] = ()) -> str:
    """Text of ``junit.xml``: one test suite, and a test case for each gate and run.

    A gate that fell is a failure; one that could not be measured is an error. Without gates each run is a test case
    that is skipped, and says what was measured.

    Args:
        document: Content of ``audit.json``.
        outcomes: What came of the gates.
    """
    cases = [_gate(outcome) for outcome in outcomes] or [_measured(run) for run in document["runs"]]
    counts = {
        "tests": len(cases),
        "failures": sum(case.find("failure") is not None for case in cases),
        "errors": sum(case.find("error") is not None for case in cases),
        "skipped": sum(case.find("skipped") is not None for case in cases),
    }
    seconds = sum(run["seconds"] or 0.0 for run in document["runs"])
    facts = {key: str(count) for key, count in counts.items()} | {"time": f"{seconds:.3f}"}
    suites = ET.Element("testsuites", {"name": _SUITE} | facts)
    suite = ET.SubElement(
        suites, "testsuite", {"name": _text(document["title"]), **facts, "timestamp": document["created"]}
    )
    suite.extend(cases)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _case(run: str, name: str) -> ET.Element:
    return ET.Element("testcase", {"classname": f"audit.{_text(run)}", "name": _text(name)})


def _gate(outcome: Outcome) -> ET.Element:
    case = _case(outcome.run, f"{outcome.run}: {outcome.gate}")
    line = _text(outcome.line)
    if outcome.passed:
        ET.SubElement(case, "system-out").text = line
    else:
        kind, cause = ("failure", "above the gate") if outcome.measured else ("error", "could not be measured")
        ET.SubElement(case, kind, {"message": line, "type": cause}).text = line
    return case


def _measured(run: Mapping[str, Any]) -> ET.Element:
    case = _case(run["name"], f"{run['name']}: recognised")
    case.set("time", f"{run['seconds'] or 0.0:.3f}")
    if run["recognised"] is None:
        ET.SubElement(case, "skipped", {"message": _text(f"could not be measured: {run['refused']}")})
    else:
        share, low, high = (show(run[key], "share") for key in ("recognised", "recognised_low", "recognised_high"))
        # no gate, no pass: a green test would say that something was held against a bound
        line = f"no gate was set; recognised {share} (95% interval {low} to {high})"
        ET.SubElement(case, "skipped", {"message": line})
    return case


def _text(value: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NO_XML.sub("\ufffd", value)
