"""What terminal, page, headline, gates and files say of a target that was not shown to know the people."""

from __future__ import annotations

import json

import pytest

from mi_lightning.commands.gates import parse_gates
from mi_lightning.report.audit import audit_document
from mi_lightning.report.audit.model_card import model_card
from mi_lightning.report.audit.sarif import sarif
from mi_lightning.report.page import render_report
from mi_lightning.report.results import read_results
from mi_lightning.report.verification import verification_of
from tests.report.audit.conftest import hits_of, make_run
from tests.report.conftest import VERIFIED
from tests.report.pages import Page, edit

FAILED = VERIFIED | {
    "status": "unverified",
    "reason": "names 2.5% of 120 test samples right (guessing: 2.5%, p = 0.58)",
    "hint": "98.3% under another order of the labels: class_names: [s1, s10]",
    "accuracy": 0.025,
    "p_value": 0.58,
}
UNASKED = VERIFIED | {
    "status": "not_verified",
    "reason": "no references were given to ask it about",
    "accuracy": None,
    "n": 0,
    "samples": None,
    "chance": None,
    "p_value": None,
    "verification_queries": 0,
}
SAFE = "This target was not shown to know these people: no figure here says that it is safe."


def of(verification, recognised, **facts):
    run = make_run("run", recognised, **facts)
    run.data["verification"] = verification
    return run


def document_of(folder, **runs):
    return audit_document("t", list(runs), list(runs.values()), folder=folder)


@pytest.mark.parametrize(
    ("found", "title", "words", "shown"),
    [
        (VERIFIED, "Verified.", "names 97.5% of 120 real test samples right (guessing: 2.5%).", True),
        (VERIFIED | {"names": "data"}, "Verified.", "Its classes had no names and took those of the data", True),
        (VERIFIED | {"names": "reordered"}, "Verified.", "put into the order of the data, by their names", True),
        (VERIFIED | {"status": "warned", "hint": "look there"}, "with a warning", "recorded 95%. Look there.", True),
        (FAILED, "Not shown to know these people.", f"{SAFE} The target, without its defenses, names 2.5%", False),
        (FAILED, "Not shown", "98.3% under another order of the labels: class_names: [s1, s10].", False),
        (UNASKED, "Not verified.", "could not be asked: no references were given to ask it about.", False),
        (VERIFIED | {"status": "not_verified", "reason": "too few"}, "Not verified.", "2.5%). Too few.", False),
        (VERIFIED | {"status": "exempt"}, "Control.", "It is a control, which is not to know these people.", True),
        (VERIFIED | {"samples": "train"}, "Verified.", "real training samples", True),
        (None, "Not verified.", "Nobody asked the target", False),
    ],
)  # fmt: skip
def test_words(found, title, words, shown):
    said = verification_of(found)
    assert title in said.title
    assert words in said.text
    assert said.shown is shown


def test_a_target_that_may_not_know_them_gives_no_headline_of_safety(tmp_path):
    found = document_of(tmp_path, soft=of(FAILED, hits_of(0)))["headline"]
    assert (found["figure"], found["run"]) == (None, None)
    assert found["refused"] == "this target was not shown to know these people: no figure here says that it is safe"
    assert found["sentence"] == f"The headline is refused: {found['refused']}."
    both = document_of(tmp_path, soft=of(FAILED, hits_of(0)), other=of(VERIFIED, hits_of(1)))["headline"]
    assert both["run"] == "other"
    assert both["sentence"].endswith("; 1 run could not be measured.")


def test_whom_an_attack_finds_is_found_all_the_same(tmp_path):
    found = document_of(tmp_path, soft=of(FAILED, hits_of(28)))["headline"]
    assert (found["figure"], found["run"]) == (0.7, "soft")
    assert found["sentence"].endswith(
        f"Others may be given away, too: {SAFE[0].lower()}{SAFE[1:]}"
    )  # fmt: skip


def test_runs_of_earlier_versions_keep_their_headline(tmp_path):
    now, then = (document_of(tmp_path, soft=of(each, hits_of(0)))["headline"] for each in (VERIFIED, None))
    assert now == then
    assert "no leak was shown" in then["sentence"]


@pytest.mark.parametrize(
    ("verification", "passed", "reason"),
    [
        (VERIFIED, True, ""),
        (VERIFIED | {"status": "warned"}, True, ""),
        (VERIFIED | {"status": "exempt"}, True, ""),
        (FAILED, False, "this target was not shown to know these people: no figure here says that it is safe"),
        (UNASKED, False, "the target could not be asked whether it knows these people"),
        (None, False, "nobody asked the target whether it knows these people"),
    ],
)
@pytest.mark.parametrize("figure", ["recognised=0.2", "inside_top1=1"])
def test_no_gate_holds_for_a_target_that_may_not_know_them(tmp_path, verification, passed, reason, figure):
    run = of(verification, hits_of(0))
    [outcome] = parse_gates([figure], names=["soft"]).check(document_of(tmp_path, soft=run), [run])
    assert (outcome.passed, outcome.measured) == (passed, passed)
    if reason:
        assert outcome.line == f"soft: {figure.partition('=')[0]} could not be measured ({reason})"


def test_a_gate_that_falls_falls_whatever_was_asked(tmp_path):
    run = of(FAILED, hits_of(30))
    [outcome] = parse_gates(["recognised=0.2"], names=["soft"]).check(document_of(tmp_path, soft=run), [run])
    assert (outcome.passed, outcome.measured) == (False, True)
    [time] = parse_gates(["seconds=99"], names=["soft"]).check(document_of(tmp_path, soft=run), [run])
    assert time.passed  # no figure about people


def test_no_worse_than_before_is_not_said_of_it(tmp_path):
    before = document_of(tmp_path, soft=of(VERIFIED, hits_of(28)))
    (tmp_path / "audit.json").write_text(json.dumps(before))
    run = of(FAILED, hits_of(0))
    [outcome] = parse_gates(None, str(tmp_path), names=["soft"]).check(document_of(tmp_path, soft=run), [run])
    assert (outcome.passed, outcome.measured) == (False, False)
    assert "recognised could not be measured (this target was not shown" in outcome.line


def test_files_for_servers_and_the_model_card_say_it(tmp_path):
    document = document_of(tmp_path, soft=of(FAILED, hits_of(0)), fine=of(VERIFIED, hits_of(0)))
    results = json.loads(sarif(document))["runs"][0]["results"]
    found = [each for each in results if each["ruleId"] == "not_verified"]
    assert [each["message"]["text"] for each in found] == [f"soft: {SAFE[0].lower()}{SAFE[1:]}"]
    assert (found[0]["level"], found[0]["kind"]) == ("none", "open")
    card = model_card(document)
    assert f"- soft: Not shown to know these people. {SAFE}" in card
    assert "fine: Verified" not in card


@pytest.mark.parametrize(
    ("verification", "style", "alarm"),
    [(FAILED, "bad", True), (UNASKED, "grey", False), (None, "grey", False),
     (VERIFIED | {"status": "warned", "hint": "odd"}, "note", False), (VERIFIED, "", False)],
)  # fmt: skip
def test_the_page_says_it_in_words_and_in_red(run_folder, verification, style, alarm):
    def change(data):
        data["verification"] = verification

    run = read_results(edit(run_folder(), change))
    text = render_report(["run"], [run], title="t", audit=None, made="now")
    page = Page(text)
    boxes = [tag for tag, attributes in page.tags if tag == "section" and attributes.get("class") == "alarm"]
    assert len(boxes) == alarm
    if alarm:
        assert text.index('class="alarm"') < text.index('id="headline"')
        assert page.text.count(SAFE) == 3  # at the top, by the run, in the annex
    assert (f'class="warning {style}"' in text) == bool(style)
    said = verification_of(verification)
    assert "Was the target shown to know the people?" in page.text
    assert said.text in page.text
    if verification is VERIFIED:  # by the run, where it is seen, and not in the annex alone
        assert page.text.index(said.text) < page.text.index("The bars as a table")
