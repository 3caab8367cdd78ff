"""One sentence for a whole audit: what it says, and what it must never say."""

from __future__ import annotations

import re

import pytest

from mi_lightning.report.audit.document import audit_document
from tests.report.audit.conftest import MISSING, hits_of, make_document, make_run


def headline_of(folder, *runs):
    return audit_document("t", [run.folder.name for run in runs], runs, folder=folder)["headline"]


def test_the_greatest_share_is_the_figure(tmp_path, document):
    found = document["headline"]
    assert (found["figure"], found["run"], found["refused"]) == (0.7, "softmax", None)
    assert found["low"] < 0.7 < found["high"]
    assert found["sentence"] == (
        "A recogniser that was trained on other people names 70% of the people in what softmax reconstructed, more "
        "than guessing and the controls explain; no other attack reaches more; 1 run could not be measured."
    )


@pytest.mark.parametrize("count", [1, 3])
def test_no_more_than_guessing_is_no_leak_that_was_shown(tmp_path, count):
    sentence = make_document(tmp_path, a=hits_of(count))["headline"]["sentence"]
    assert "cannot be told from guessing and the controls" in sentence
    assert sentence.endswith("which does not show that there is none.")


def test_a_share_of_some_says_of_how_many(tmp_path):
    sentence = make_document(tmp_path, a=hits_of(9, 12) + [None] * 28)["headline"]["sentence"]
    assert "names 75%" in sentence
    assert sentence.endswith("; 28 of its 40 people could not be judged and are left out.")


def test_a_control_that_does_as_well_is_no_leak_either(tmp_path):
    run = make_run("a", hits_of(20), controls={"prior_alone": 0.5})
    assert "no leak was shown" in headline_of(tmp_path, run)["sentence"]


def test_nobody_recognised_is_not_nobody_recognisable(tmp_path):
    found = make_document(tmp_path, a=hits_of(0))["headline"]
    assert found["figure"] == 0
    assert found["sentence"].endswith("no leak was shown, which does not show that there is none.")


def test_a_failed_attack_says_nothing_about_the_model(tmp_path):
    run = make_run("a", hits_of(0), verdicts=["attack_failed"] * 40)
    sentence = headline_of(tmp_path, run)["sentence"]
    assert sentence.startswith("Every attack failed for every person")
    assert "nothing about the models" in sentence


def test_without_a_recogniser_it_says_what_to_install(tmp_path):
    found = headline_of(tmp_path, make_run("a", [None] * 40, missing=MISSING))
    assert found["figure"] is found["run"] is None
    assert found["refused"] == MISSING
    assert found["sentence"] == f"The headline is missing: {MISSING}."


def test_few_people_are_refused_a_headline(tmp_path):
    found = headline_of(tmp_path, make_run("a", hits_of(3, 3)))
    assert found["figure"] is None
    assert found["sentence"] == (
        "The headline is refused: 3 people are too few for a share of all: 10 or more are needed."
    )


@pytest.mark.parametrize("hits", [hits_of(0), hits_of(1), hits_of(40), [None] * 40, hits_of(0, 3)])
def test_it_never_says_that_a_model_is_safe_and_gives_one_figure(tmp_path, hits):
    sentence = make_document(tmp_path, a=hits, b=hits)["headline"]["sentence"]
    assert not re.search(r"\b(safe|secure|private|protected)\b", sentence)
    assert len(re.findall(r"[\d.]+%", sentence)) == (1 if len(hits) == 40 and hits[0] is not None else 0)
    assert sentence.count(". ") == 0
    assert sentence.endswith(".")
