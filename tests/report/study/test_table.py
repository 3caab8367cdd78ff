from __future__ import annotations

import io

import pytest
from rich.console import Console

from mi_lightning.report.page import page_template
from mi_lightning.report.study import human_judgement, human_table
from tests.report.pages import Page
from tests.report.study.conftest import right, simulated, wrong


@pytest.fixture
def judgement(key):
    """One judge who is right, one who is wrong throughout and left out."""
    return human_judgement([simulated(key, "anna", 0, right), simulated(key, "zoe", 0, wrong)], key)


def test_the_table_fits_a_terminal(judgement):
    screen = Console(file=io.StringIO(), width=80, color_system=None)
    screen.print(human_table(judgement))
    text = screen.file.getvalue()
    assert "1 of 2; left out, since attention checks failed: zoe" in text
    [line] = [line for line in text.splitlines() if line.startswith("run ") and "%" in line]
    assert line.split()[1:] == ["100%", "(89–100)", "16%", "100%", "100%", "0%", "3.96", "–", "0.00"]


def test_the_block_of_the_page_says_the_same(judgement):
    page = Page(page_template("human.html.j2").render(human=judgement))
    assert page.open == []
    assert "1 person judged" in page.text
    assert "1 of 2 judges failed more than one attention check: zoe." in page.text
    assert "run 100% 89.1%–100% 16% 100%" in page.text
    assert "zoe (left out) 84 of 84 4 of 4 2.0" in page.text


def test_where_nobody_is_left_there_are_dashes(key):
    judgement = human_judgement([simulated(key, "zoe", 0, wrong)], key)
    assert "run – – – – – – – –" in Page(page_template("human.html.j2").render(human=judgement)).text
    screen = Console(file=io.StringIO(), width=80)
    screen.print(human_table(judgement))
    assert "0 of 1" in screen.file.getvalue()
