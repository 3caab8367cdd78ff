from __future__ import annotations

import re

import pytest

from mi_lightning.judging.verdicts import VERDICTS
from mi_lightning.report import build_report, read_results
from mi_lightning.report.audit import audit_document
from mi_lightning.report.marks import MARKS
from tests.report.conftest import audit_of, recognise
from tests.report.pages import edit, page_of


def test_the_headline_comes_first(run_folder, tmp_path):
    page = page_of([recognise(run_folder())], tmp_path, audit=audit_of(["run"]))
    assert "50% 1.3% to 98.7% A recogniser names half of them. Attacks by their outcome" in page.text
    assert "No headline" not in page.text


@pytest.mark.parametrize(
    ("headline", "missing", "told"),
    [
        (None, None, "No recogniser judged these runs."),
        (None, "dlib-bin is not installed", "Dlib-bin is not installed."),
        (
            {"sentence": "The headline is refused.", "figure": None, "refused": "4 people are too few"},
            None,
            "4 people are",
        ),
    ],
)
def test_a_headline_that_is_missing_is_told_loudly_and_reads_like_no_result(
    run_folder, tmp_path, headline, missing, told
):
    folder = edit(run_folder(), lambda data: data.update(recogniser_missing=missing))
    page = page_of([folder], tmp_path, audit=None if headline is None else audit_of(["run"]) | {"headline": headline})
    (head,) = page.all("section", "headline")
    assert "missing" in head["class"].split()
    place = page.text.index("No headline: who would be recognised was not established")
    said = page.text[place : page.text.index("Attacks by their outcome")]
    assert told in said
    assert "neither a good nor a bad result" in said
    assert ('pip install "mi-lightning[judges]"' in said) is (missing is None)  # a reason says what to do
    assert "%" not in said
    assert not re.search(r"\bsafe\b|no leak", page.text[: page.text.index("People")])
    assert page.text.count("not judged") >= 2  # one for each person


def test_failed_and_safe_are_never_the_same_words(run_folder, tmp_path):
    folder = recognise(run_folder(), ("attack_failed", "attack_failed"))
    page = page_of([folder], tmp_path, audit=audit_of(["run"], recognised=0.0))
    assert "A attack failed Attack_failed for a reason." in page.text
    for sentence in re.split(r"[.:;]", page.text):
        assert not ("failed" in sentence and "safe" in sentence)


def test_a_bar_says_each_verdict_in_words_with_ceiling_and_chance(run_folder, tmp_path):
    page = page_of([recognise(run_folder())], tmp_path, audit=audit_of(["run"], detected=0.3))
    (bar,) = page.all("div", "stack")
    assert bar["role"] == "img"
    assert bar["aria-label"] == "run, 2 people: 1 recognised, 1 fools the model only; ceiling 87.5%; chance 33.3%"
    parts = [part for part in page.all("span", "part") if part.get("style")]
    assert [(part["class"], part["style"]) for part in parts] == [
        ("part recognised", "width:50.000%"),
        ("part fools_model_only", "width:50.000%"),
    ]
    assert [tick["style"] for tick in page.all("i", "tick")] == ["--v:87.50%", "--v:33.33%"]
    for words in (
        "R 1 F 1",
        "37.5% 10% to 60% over mean of all faces (12.5%)",
        "50% at 0.1%: 25% as another 2%",
        "1.3% to 98.7% detected in 30%",
        "50% false positives 75%",
        "run 1 1 0 0 0 2 87.5% 33.3%",  # the bars as a table
    ):
        assert words in page.text


def test_those_most_at_risk_come_first(run_folder, tmp_path):
    first = recognise(run_folder("first"), ("fools_model_only", "recognised"))
    second = recognise(run_folder("second"), ("not_reconstructed", "recognised"))
    page = page_of([first, second], tmp_path, audit=audit_of(["first", "second"]))
    cards = page.all("article", "card")
    assert [card["data-label"] for card in cards] == ["1", "0"]  # cleo before ann
    assert [card["data-risk"] for card in cards] == ["0", "1"]
    assert page.text.index("cleo recognised in 2 of 2 runs") < page.text.index("ann recognised in 0 of 2 runs")
    assert "recogniser: bob · rank 3 of 3 · distance 0.70 · not accepted at 1%" in page.text
    assert "recogniser: cleo · rank 1 of 3 · distance 0.40 · accepted at 1%" in page.text
    assert "best at iteration 7 of 100" in page.text


def test_of_people_recognised_alike_the_nearer_one_comes_first(run_folder, tmp_path):
    def change(data):
        for row, rank, distance in zip(data["per_label"], (2, 2, 2, 2), (0.9, 0.6, 0.5, 0.8), strict=True):
            row |= {"recogniser_rank": rank, "recogniser_distance": distance}

    folder = edit(recognise(run_folder(), ("not_reconstructed", "not_reconstructed")), change)
    assert [card["data-label"] for card in page_of([folder], tmp_path).all("article", "card")] == ["1", "0"]


def test_the_same_audit_gives_the_same_bytes(run_folder, tmp_path, monkeypatch):
    folder = recognise(run_folder())
    settings = {"audit": audit_of(["run"]), "made": "1 May 2026"}
    first = build_report([folder], tmp_path / "report.html", **settings).read_bytes()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert build_report([folder], tmp_path / "elsewhere" / "again.html", **settings).read_bytes() == first
    assert b"1 May 2026" in first
    audit = audit_of(["run"]) | {"created": "2026-05-02T12:30:00+02:00"}
    text = build_report([folder], tmp_path / "report.html", audit=audit).read_text()
    assert "02 May 2026, 10:30 UTC" in text


def test_a_control_that_could_not_be_run_is_told(run_folder, tmp_path):
    audit = audit_of(["run"], controls_not_run={"untrained": "the target has no checkpoint"})
    page = page_of([recognise(run_folder())], tmp_path, audit=audit)
    assert "Not run. Control “untrained target” of run: the target has no checkpoint" in page.text


def test_evidence_is_told(run_folder, tmp_path):
    folder = recognise(run_folder(target={"access": "black_box", "defenses": [{"class": "x.ConfidenceRounding"}]}))

    def change(data):
        data["attack"]["gradient_filter"] = {"class": "FilterChain", "filters": [{"class": "PublicFaces"}]}

    audit = audit_of(["run"]) | {"comparisons": [{"a": "run", "b": "other", "difference": -0.25, "p": 0.0004}]}
    page = page_of([edit(folder, change)], tmp_path, audit=audit)
    for words in (
        "run other -25.0 points below 0.001",
        "run black box: confidences of inputs of the attacker's choice",
        "PublicFaces TotalVariation ConfidenceRounding",
        "run 99% 87.5% 50% 0% 12.5% 33.3%",  # real samples, class mean, this attack, noise, mean face, chance
        "1% 0.510 0.4% to 2.1% 900 98% 0.1% 0.430",
        "wrong on real test samples 1%",
        "run 2 96% 1 36",  # the person most at risk
        "Not stated.",
        "NOT RUN",
        "no legal advice",
    ):
        assert words in page.text


def test_every_scrolling_table_can_be_reached_by_keyboard_and_has_a_name(run_folder, tmp_path):
    page = page_of([recognise(run_folder())], tmp_path, audit=audit_of(["run"]))
    assert page.all("div", "scroll")
    for box in page.all("div", "scroll"):
        assert box["tabindex"] == "0"
        assert box["aria-label"]
    assert page.all("a", "skip") == [{"class": "skip", "href": "#main"}]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"].removeprefix("#") for link in page.all("a")} <= set(ids)


def test_an_audit_of_real_runs_fits_the_page(run_folder, tmp_path):
    run = recognise(run_folder())
    names, runs = ["run"], [read_results(run)]
    document = audit_document("What leaked", names, runs, folder=tmp_path, release_context="a closed pilot")
    page = page_of([run], tmp_path, names=names, audit=document)
    assert "No headline: who would be recognised was not established" in page.text  # of two people
    assert document["headline"]["refused"].rstrip(".") in page.text
    assert "a closed pilot" in page.text
    assert "run, 2 people: 1 recognised, 1 fools the model only; ceiling 87.5%; chance 33.3%" in str(page.tags)


def test_every_verdict_has_a_mark_of_its_own():
    assert {mark.key for mark in MARKS} == set(VERDICTS)
    assert len({mark.letter for mark in MARKS}) == len({mark.title for mark in MARKS}) == len(VERDICTS)
