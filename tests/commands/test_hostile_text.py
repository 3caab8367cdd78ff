"""What users call things is text: no style, emoji, formula, markup or script in titles, folders, runs and people."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mi_lightning.cli.main import main
from mi_lightning.commands.base import console, headed
from mi_lightning.report import summary_table
from tests.study import change, write

PEOPLE = (
    "[/b] $\\frac{$ :smile:",
    "<img src=x onerror=alert(1)>",
    "a|b_c `d` *e*",
    "</script><script>alert(1)</script>",
)
OWN = f"""
from mi_lightning.data import AttFaces


class Faces(AttFaces):
    @property
    def class_names(self):
        return {PEOPLE!r}
"""
TITLE = "[/b] $\\frac{$ </title><script>alert(1)</script> :smile: [link=x]"
FOLDER = "out[/b] [red]:smile:"
RUN = "soft[b] :smile:_steps[/i] $x_"


@pytest.fixture
def hostile(study, jobs_here, monkeypatch):
    """A study in which everything has a bad name; sweeps run in this process."""
    (study / "names_of_mine.py").write_text(OWN)
    change("data/faces.yaml", class_path="names_of_mine.Faces")
    for name in ("victim", "evaluator"):
        change(f"classifier/{name}.yaml", checkpoint=f"own/[b]{name}.ckpt", trainer__logger=False)
    change("target/soft.yaml", model__classifier_ckpt="own/[b]victim.ckpt", evaluator_ckpt="own/[b]evaluator.ckpt")
    target, attack = (f"{part}.yaml" for part in ("target/soft[b] :smile:", "attack/steps"))
    Path("target/soft.yaml").rename(target)
    Path("attack/steps[").mkdir()
    attack = "attack/steps[/i] $x_.yaml"
    Path("attack/steps.yaml").rename(attack)
    classifiers = ["classifier/victim.yaml", "classifier/evaluator.yaml"]
    common = {"classifiers": classifiers, "imports": ["names_of_mine"], "title": TITLE}
    write(
        Path("audit.yaml"),
        common | {"targets": [target], "attacks": [attack], "output": FOLDER, "release_context": TITLE},
    )
    axis = {"title": TITLE, "values": [5, 10], "set": {"model.max_iterations": "$n"}}
    attacks = {"[/b] $\\frac{$ :smile:": {"target": target, "attack": attack}}
    write(Path("sweep.yaml"), common | {"attacks": attacks, "grid": {"n": axis}, "output": "swept" + FOLDER})
    yield study
    sys.modules.pop("names_of_mine", None)


def scripts(page: str) -> int:
    return len(re.findall(r"<script", page))


def test_an_audit_a_report_a_study_and_a_sweep(hostile, capsys):
    main(["audit", "--config", "audit.yaml"])
    out = capsys.readouterr().out
    assert f"report: {FOLDER}/report.html" in out
    name = "soft[b] :smile:_i] $x_"  # a run is called after the last part of its path
    assert "invert target/soft[b] :smile:.yaml + attack/steps[/i] $x_.yaml" in out
    assert name in " ".join(out.split())
    page = (hostile / FOLDER / "report.html").read_text()
    for text in PEOPLE[1], PEOPLE[3], "</title><script>":
        assert text not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    run = next((hostile / FOLDER).glob("*/version_0/results.json")).parent
    assert {row["name"] for row in json.loads((run / "results.json").read_text())["per_label"]} == set(PEOPLE)
    main(["audit", "--config", "audit.yaml"])  # finished runs are found in such folders
    assert "is finished already" in capsys.readouterr().out
    main(["verify", str(run)])
    main(["report", "--runs", str(run), "--output", f"{FOLDER}/other.html", "--title", TITLE])
    assert f"report: {FOLDER}/other.html" in capsys.readouterr().out
    plain = scripts((hostile / FOLDER / "other.html").read_text())
    main(["report", "--runs", str(run), "--output", "plain.html", "--title", "plain"])
    assert scripts((hostile / "plain.html").read_text()) == plain
    main(["study", str(run), "--output", f"{FOLDER}/study.html", "--title", TITLE, "--line_up", "3"])
    assert f"page for the judges: {FOLDER}/study.html" in capsys.readouterr().out
    main(["sweep", "--config", "sweep.yaml"])
    out = capsys.readouterr().out
    assert f"report: swept{FOLDER}/sweep.html" in out
    assert "[/b] $\\frac{$ :smile: n=5 seed=0: " in out
    page = (hostile / f"swept{FOLDER}" / "sweep.html").read_text()
    assert "<script>alert(1)" not in page
    figure = (hostile / f"swept{FOLDER}" / "curves.svg").read_text()
    assert "<script" not in figure


@pytest.mark.parametrize("text", ["[/b]", "[red]x", ":smile:", "\\[b]", "[link=http://127.0.0.1]x[/link]", "[", "]"])
def test_the_screen_prints_text_as_it_is(text, capsys):
    console().print(text)
    console().print(headed(text, text))
    assert capsys.readouterr().out == f"{text}\n{text} {text}\n"


def test_an_error_holds_no_control_characters(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["audit", "--config", "\x1b[31mred\x07.yaml"])
    assert "got ?[31mred?.yaml (--config)" in capsys.readouterr().err


def test_tables_are_text_on_any_screen(hostile):
    main(["audit", "--config", "audit.yaml", "--controls", "[]"])
    run = next((hostile / FOLDER).glob("*/version_0/results.json")).parent
    table = summary_table([run], names=["[/b] :smile:"])
    screen = Console(file=io.StringIO(), width=200)  # one of somebody else, with markup
    screen.print(table)
    assert "[/b] :smile:" in screen.file.getvalue()
