from __future__ import annotations

import json
import re

import pytest

from mi_lightning.errors import InputError, MIError
from mi_lightning.report.study import Plan, build_study, read_key
from mi_lightning.report.study.page import runs_below
from tests.report.pages import Page
from tests.report.study.conftest import write_run


def data_of(page):
    """What the script of a page knows."""
    return json.loads(re.search(r'<script type="application/json" id="study-data">(.*?)</script>', page)[1])


def test_the_page_needs_nothing_from_elsewhere(tmp_path):
    text = build_study([write_run(tmp_path / "run")], tmp_path / "study.html").page.read_text()
    bare = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!data)|fetch\(|XMLHttp|sendBeacon|WebSocket", bare)
    assert "default-src 'none'" in text
    page = Page(text)
    assert page.open == []
    assert not [tag for tag, _ in page.tags if tag in {"link", "iframe", "object", "img", "audio"}]


def test_the_page_holds_no_names_and_no_right_answers(tmp_path):
    made = build_study([write_run(tmp_path / "a_run")], tmp_path / "study.html", title="Guess")
    text = made.page.read_text()
    assert "a_run" not in text
    assert not re.search(r"\bp\d+\b", re.sub(r"base64,[\w+/=]+", "", text).replace('"p"', ""))
    data = data_of(text)
    assert set(data) == {"study", "line_up", "sound", "samples", "questions"}
    key = read_key(made.key)
    assert len(data["questions"]) == made.questions == len(key.questions) == 28
    for question in data["questions"]:
        assert set(question) == {"item", "kind", "shown", "options"}
        assert question["options"] == key.questions[question["item"]]["options"] == sorted(question["options"])


def test_names_of_samples_and_questions_say_nothing(tmp_path):
    key = read_key(build_study([write_run(tmp_path / "run", people=40)], tmp_path / "study.html").key)
    samples = [key.data["samples"][name] for name in sorted(key.data["samples"])]
    labels = [sample["label"] for sample in samples]
    assert labels != sorted(labels)
    assert [sample["real"] for sample in samples] != sorted(sample["real"] for sample in samples)
    places = [
        question["options"].index(question["answer"])
        for question in key.questions.values()
        if question["answer"] in question["options"]
    ]
    assert {places.count(place) > 0 for place in range(5)} == {True}


def test_the_key_says_what_is_right(tmp_path):
    made = build_study([write_run(tmp_path / "run", people=40)], tmp_path / "study.html")
    key, samples = read_key(made.key), data_of(made.page.read_text())["samples"]
    known, shown = key.data["samples"], {q["item"]: q["shown"] for q in data_of(made.page.read_text())["questions"]}
    for item, question in key.questions.items():
        assert known[shown[item]]["label"] == question["label"]
        assert known[shown[item]]["real"] is question["check"]
        options = [known[option]["label"] for option in question["options"]]
        if question["kind"] == "same_person":
            assert question["answer"] == ("same" if options == [question["label"]] else "different")
        elif question["answer"] == "none":
            assert question["label"] not in options
        else:
            assert known[question["answer"]]["label"] == question["label"]
            assert known[question["answer"]]["real"]
        if question["check"] and question["answer"] in question["options"]:
            assert samples[shown[item]] == samples[question["answer"]]


def test_the_same_study_twice_and_another_by_another_seed(tmp_path):
    run = write_run(tmp_path / "run")
    one, two = (build_study([run], tmp_path / f"{name}.html") for name in "ab")
    assert one.key.name == "a_key.json"
    assert one.page.read_bytes() == two.page.read_bytes()
    assert one.key.read_bytes() == two.key.read_bytes()
    other = build_study([run], tmp_path / "c.html", plan=Plan(seed=1))
    assert other.study != one.study


def test_an_audit_stands_for_the_latest_of_each_of_its_runs(tmp_path):
    for name in ("soft/version_0", "soft/version_2", "soft/version_10", "mlp/version_0", "controls/soft/version_0"):
        write_run(tmp_path / "audit" / name)
    assert runs_below(tmp_path / "audit") == [tmp_path / "audit/mlp/version_0", tmp_path / "audit/soft/version_10"]
    assert runs_below(tmp_path / "audit/soft/version_2") == [tmp_path / "audit/soft/version_2"]
    made = build_study([tmp_path / "audit"], tmp_path / "study.html", plan=Plan(people=6))
    key = read_key(made.key)
    assert [run["name"] for run in key.data["runs"]] == ["mlp", "soft"]
    asked = {
        run: {q["name"] for q in key.questions.values() if q["run"] == run and not q["check"]}
        for run in ("mlp", "soft")
    }
    assert asked["mlp"] == asked["soft"]
    assert len(asked["mlp"]) == 6


def test_a_study_of_voices_has_players(tmp_path):
    text = build_study([write_run(tmp_path / "run", voices=True)], tmp_path / "study.html").page.read_text()
    data = data_of(text)
    assert data["sound"]
    assert all(sample.startswith("data:audio/") for sample in data["samples"].values())


def test_a_title_is_text(tmp_path):
    made = build_study([write_run(tmp_path / "run")], tmp_path / "study.html", title="</script><b>who?")
    assert "<b>who?" not in made.page.read_text()


def test_people_without_a_reconstruction_are_left_out_and_named(tmp_path):
    made = build_study([write_run(tmp_path / "run", diverged=2)], tmp_path / "study.html")
    assert made.left_out == ["p10", "p11"]
    assert not {"p10", "p11"} & {question["name"] for question in read_key(made.key).questions.values()}


def test_what_makes_no_study(tmp_path):
    run, voices = write_run(tmp_path / "run"), write_run(tmp_path / "voices", voices=True)
    few = write_run(tmp_path / "few", people=5)
    output = tmp_path / "out" / "study.html"
    with pytest.raises(InputError, match=r"at least one run, got none \(runs\)"):
        build_study([], output)
    with pytest.raises(InputError, match=r"runs of one kind, pictures or voices, got picture and sound \(runs\)"):
        build_study([run, voices], output)
    with pytest.raises(InputError, match="line_up below the 5 people"):
        build_study([run, few], output)
    with pytest.raises(MIError, match=r"no results.json in .*nowhere"):
        build_study([tmp_path / "nowhere"], output)
    assert not output.parent.exists()
