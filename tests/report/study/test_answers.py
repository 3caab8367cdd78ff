from __future__ import annotations

import json

import pytest

from mi_lightning.errors import InputError, MIError
from mi_lightning.report.study import read_answers, read_key
from tests.report.study.conftest import right, saved, simulated


@pytest.fixture
def write(tmp_path, key):
    """Write the answers of a judge who is always right, changed by a function."""

    def write(name="anna.json", *, judge="anna", change=lambda data: None):
        data = saved(simulated(key, judge, 0, right), key)
        change(data)
        path = tmp_path / "answers" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(data))
        return path

    return write


def test_answers_are_read_as_they_were_saved(key, write):
    write("b.json", judge="zoe")
    anna, zoe = read_answers([write().parent], key)
    assert (anna.judge, zoe.judge) == ("anna", "zoe")
    assert anna.finished
    assert anna.answer == {item: question["answer"] for item, question in key.questions.items()}
    assert set(anna.milliseconds.values()) == {2000}


def test_a_folder_may_hold_the_key(key, write):
    path = write()
    assert len(read_answers([key.path.parent, path], key)) == 1
    with pytest.raises(InputError, match="files of answers, got none"):
        read_answers([key.path.parent], key)


def test_an_unfinished_judge_is_read(key, write):
    def half(data):
        data["answers"] = data["answers"][:10]
        data["finished"] = False

    [answers] = read_answers([write(change=half)], key)
    assert not answers.finished
    assert len(answers.answer) == 10


def set_first(**values):
    return lambda data: data["answers"][0].update(values)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: d.update(study="f" * 16), r"anna.json answers another study \(f{16}\) than .*study_key.json"),
        (lambda d: d.update(answers=[]), "anna.json holds no answers: leave it out"),
        (lambda d: d.update(schema_version=2), "is no file of answers: schema_version is 2, not 1"),
        (lambda d: d.pop("judge"), "is no file of answers: judge is missing"),
        (lambda d: d.update(judge="Anna Smith, 0151"), "'Anna Smith, 0151' is no code of a judge"),
        (lambda d: d["answers"].append(d["answers"][0]), r"is damaged: q\d+ is answered twice"),
        (set_first(item="q9999"), "is damaged: q9999 is no question of this study"),
        (set_first(options=["s1"]), "is not the question that the study asks"),
        (set_first(kind="other"), "is not the question that the study asks"),
        (set_first(answer="maybe"), r"has an answer that it does not offer \(maybe\)"),
        (set_first(milliseconds=-1), "took less than no time"),
        (set_first(milliseconds="1"), r"answers\[0\].milliseconds is a str, not integer"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(key, write, change, match):
    with pytest.raises(MIError, match=match) as error:
        read_answers([write(change=change)], key)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "match"), [(b"", "is damaged"), (b"[]", "is a list, not object"), (b"\xff", "no text")]
)
def test_files_that_are_no_answers(tmp_path, key, content, match):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(MIError, match=match):
        read_answers([path], key)


def test_a_judge_with_two_files(key, write):
    with pytest.raises(InputError, match=r"one file of answers for each judge, got two of anna: .*a.json and .*b.json"):
        read_answers([write("a.json"), write("b.json")], key)


def test_a_missing_file(tmp_path, key):
    with pytest.raises(MIError, match=r"cannot read .*gone.json"):
        read_answers([tmp_path / "gone.json"], key)


def test_keys_that_are_none(tmp_path, key, write):
    with pytest.raises(MIError, match=r"anna.json is no key of a study: title is missing"):
        read_key(write())
    data = json.loads(key.path.read_text())
    next(iter(data["questions"].values()))["answer"] = "none"
    key.path.write_text(json.dumps(data))
    with pytest.raises(MIError, match="was changed since it was written"):
        read_key(key.path)
