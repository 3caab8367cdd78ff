"""JUnit XML: what a server of continuous integration counts."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from mi_lightning.report.audit.junit import junit_xml
from mi_lightning.report.audit.outcomes import Outcome

OUTCOMES = (
    Outcome("recognised at most 90%", "softmax", "recognised", "softmax: 70%: not above 90%", passed=True),
    Outcome("recognised at most 5%", "cnn", "recognised", "cnn: 7.5%: above 5%", passed=False),
    Outcome("recognised at most 5%", "voices", "recognised", "voices: not judged", passed=False, measured=False),
)


def parsed(text):
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    [suite] = root
    assert suite.tag == "testsuite"
    return root, suite, suite.findall("testcase")


def check_counts(root, suite, cases):
    """The numbers of a suite are those of its test cases, as servers trust the one or the other."""
    for element in (root, suite):
        assert int(element.get("tests")) == len(cases)
        for plural, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.get(plural)) == sum(case.find(tag) is not None for case in cases)


def test_a_gate_and_a_run_are_a_test_case(document):
    root, suite, cases = parsed(junit_xml(document, OUTCOMES))
    check_counts(root, suite, cases)
    assert [[child.tag for child in case] for case in cases] == [["system-out"], ["failure"], ["error"]]
    assert cases[1].get("name") == "cnn: recognised at most 5%"
    assert cases[1].get("classname") == "audit.cnn"
    assert cases[1].find("failure").get("message") == cases[1].find("failure").text == "cnn: 7.5%: above 5%"
    assert cases[2].find("error").get("type") == "could not be measured"


def test_without_gates_it_says_what_was_measured(document):
    root, suite, cases = parsed(junit_xml(document))
    check_counts(root, suite, cases)
    assert [[child.tag for child in case] for case in cases] == [["skipped"]] * 3  # no gate, no pass
    said = cases[0].find("skipped").get("message")
    assert said == "no gate was set; recognised 70% (95% interval 53.5% to 83.4%)"
    assert "pip install" in cases[2].find("skipped").get("message")


def test_times_are_of_the_attacks(document):
    root, suite, cases = parsed(junit_xml(document))
    assert float(root.get("time")) == pytest.approx(60)  # three runs of 40 people, half a second each
    assert float(cases[0].get("time")) == pytest.approx(20)
    assert suite.get("timestamp") == document["created"]


def test_names_may_hold_anything(document):
    document["title"] = 'a "quoted" <title> & \x00 more'
    text = junit_xml(document, [Outcome("g", 'r<un>"&', "recognised", "a\x1bb ✓", passed=False)])
    _, suite, [case] = parsed(text)
    assert suite.get("name") == 'a "quoted" <title> & \ufffd more'
    assert case.get("classname") == 'audit.r<un>"&'
    assert case.find("failure").text == "a\ufffdb ✓"
