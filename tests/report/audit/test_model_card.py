"""The section of a model card: its table, its limits, and text that Markdown leaves alone."""

from __future__ import annotations

import re

from mi_lightning.report.audit.model_card import model_card
from mi_lightning.report.audit.outcomes import Outcome
from tests.report.audit.conftest import hits_of, make_document


def rows_of(text):
    """Cells of the table."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]


def test_a_line_of_the_table_for_each_run(document):
    head, rule, *rows = rows_of(model_card(document))
    assert all(len(row) == len(head) for row in rows)
    assert len(rule[0].split("|")) == len(head)
    assert rows[0] == [
        *("softmax", "white box", "40", "70% (53.5% to 83.4%)", "87.5%", "2.5%", r"2.5% (mean face)", "70%"),
    ]
    assert rows[2][3] == "–"


def test_it_says_what_could_not_be_measured_and_what_it_does_not_show(document):
    text = model_card(document)
    assert document["headline"]["sentence"] in text
    assert "- voices could not be measured" in text
    assert "Release: internal" in text
    assert "Recogniser: DlibFaces, trained on 3 million faces of others; it names 1%" in text
    assert "An attack that failed says nothing about the model" in text
    assert not re.search(r"\bsafe\b", text)


def test_gates_are_listed(document):
    outcomes = [
        Outcome("g", "softmax", "recognised", "softmax: held", passed=True),
        Outcome("g", "cnn", "recognised", "cnn: fell", passed=False),
    ]
    text = model_card(document, outcomes)
    assert "- held: softmax: held\n- FELL: cnn: fell" in text
    assert "Gates:" not in model_card(document)


def test_names_do_not_break_the_table(tmp_path):
    document = make_document(tmp_path, a=hits_of(20))
    document["runs"][0]["name"] = "a|b_c\n<script>"
    head, _, row = rows_of(model_card(document))
    assert row[0] == r"a\|b\_c \<script\>"
    assert len(row) == len(head)
