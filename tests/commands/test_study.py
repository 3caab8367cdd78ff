"""A study from the command line: the page and its key, and the answers read back beside the run."""

from __future__ import annotations

import json

import pytest

from mi_lightning.cli.main import main
from mi_lightning.report.study import read_key
from tests.report.study.conftest import right, saved, simulated, write_run, wrong


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A run on twelve people in the working folder."""
    write_run(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def line(capsys, *args: str) -> str:
    """The one line that a command ends with."""
    with pytest.raises(SystemExit) as stop:
        main(list(args))
    assert stop.value.code == 2
    [said] = capsys.readouterr().err.splitlines()
    return said


def answer(here, judge, says, name):
    """Write the answers of a judge."""
    key = read_key(here / "study_key.json")
    path = here / "answers" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(saved(simulated(key, judge, 0, says), key)))
    return path


def test_from_a_run_to_a_page_and_back(here, capsys):
    main(["study", "run", "--seed", "4"])
    said = capsys.readouterr().out
    assert "28 questions for each judge, about 3 min" in said
    assert "key, not for the judges: study_key.json" in said
    assert (here / "study.html").is_file()
    answer(here, "anna", right, "a")
    answer(here, "bert", wrong, "b")
    main(["report", "--runs", "[run]", "--answers", "answers"])
    said = capsys.readouterr().out
    assert "Human judges: 1 of 2; left out, since attention checks failed: bert" in said
    assert "report: report.html" in said


def test_every_setting_is_a_flag(here, capsys):
    flags = ["--people", "6", "--line_up", "3", "--absent", "0.5", "--catch", "2", "--output", "out/mine.html"]
    main(["study", "[run]", *flags, "--title", "Mine"])
    settings = read_key(here / "out/mine_key.json").data["settings"]
    assert settings == {"people": 6, "line_up": 3, "absent": 0.5, "catch": 2, "seed": 0}
    assert "<title>Mine</title>" in (here / "out/mine.html").read_text()


def test_who_is_left_out_is_said(here, capsys):
    write_run(here / "diverged", diverged=1)
    main(["study", "diverged"])
    assert "not asked about, since their reconstruction is not finite: p11" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["study", "[]"], ["at least one run", "--runs"]),
        (["study", "nowhere"], ["no results.json in nowhere"]),
        (["study", "run", "--line_up", "12"], ["line_up from 2 to 9, got 12", "--line_up"]),
        (["study", "run", "--people", "0"], ["people >= 1, got 0", "--people"]),
        (["study"], ["the folder of a run or an audit, got none"]),
    ],
)
def test_what_is_wrong_is_one_line_and_no_file(here, capsys, args, parts):
    said = line(capsys, *args)
    assert all(part in said for part in parts), said
    assert not list(here.glob("*.html"))


def test_wrong_answers_are_told_before_a_report_is_written(here, capsys):
    main(["study", "run"])
    path = answer(here, "anna", right, "a")
    answer(here, "anna", right, "b")
    assert "one file of answers for each judge" in line(capsys, "report", "--runs", "run", "--answers", "answers")
    path.write_text("{")
    assert "a.json is damaged" in line(capsys, "report", "--runs", "run", "--answers", str(path))
    said = line(capsys, "report", "--runs", "run", "--answers", "[answers/b.json]", "--key", "no_key.json")
    assert "cannot read no_key.json" in said
    write_run(here / "other", seed=9)
    said = line(capsys, "report", "--runs", "other", "--answers", "answers/b.json")
    assert "the key of a study that asks about these runs, got study_key.json, about run (--key)" in said
    assert not (here / "report.html").exists()
