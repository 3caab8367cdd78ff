from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mi_lightning.errors import InputError, MIError
from mi_lightning.judging.verdicts import VERDICTS
from mi_lightning.report import build_report, read_results, summary_table
from mi_lightning.report.audit import audit_document
from mi_lightning.report.marks import MARKS
from mi_lightning.report.narrative import _tail, reading, warnings
from mi_lightning.report.pictures import stretch_style
from mi_lightning.report.results import run_names
from tests.report.conftest import audit_of, make_judgement, make_result, recognise


class Page(HTMLParser):
    """Collects what a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "input", "col", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in {"style", "script"}:
            self.words.append(data)

    def all(self, tag: str, css: str | None = None) -> list[dict[str, str | None]]:
        return [a for t, a in self.tags if t == tag and (css is None or css in (a.get("class") or "").split())]


def page_of(runs, tmp_path, **settings) -> Page:
    page = Page(build_report(runs, tmp_path / "report.html", **settings).read_text())
    assert page.open == []  # every element is closed
    return page


def edit(folder, change):
    path = folder / "results.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    return folder


def test_the_page_needs_nothing_from_elsewhere(run_folder, tmp_path):
    text = build_report([run_folder()], tmp_path / "report.html").read_text()
    bare = re.sub(r"base64,[\w+/=]+", "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", bare)
    for tag, attributes in Page(text).tags:
        assert tag not in {"link", "iframe", "object"}
        for name in ("src", "href"):
            assert (attributes.get(name) or "#").startswith(("data:image/png;base64,", "#"))


def test_photographs_stand_beside_the_best_reconstruction_of_each_person(run_folder, tmp_path, result):
    page = page_of([run_folder()], tmp_path)
    assert [image["alt"] for image in page.all("img")] == [
        "Mean photograph of ann",
        "Photograph of ann closest to the reconstruction",
        "Reconstruction of ann by run",
        "Mean photograph of cleo",
        "Photograph of cleo closest to the reconstruction",
        "Reconstruction of cleo by run",
    ]
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(image["src"].partition(",")[2]))))
        for image in page.all("img")
    ]
    expected = (result.reconstruction[:, 0] * 255).round().numpy()
    for place, row in ((0, 1), (3, 2)):
        np.testing.assert_array_equal(shown[place], expected[row][:, ::-1])
        np.testing.assert_array_equal(shown[place + 1], expected[row][::-1])
        np.testing.assert_array_equal(shown[place + 2], expected[row])


def test_verdicts_numbers_controls_and_guessing_are_told(run_folder, tmp_path):
    page = page_of([run_folder()], tmp_path, title="What leaked")
    assert page.text.count("What leaked") == 2  # head and page
    assert "names 1 of 2 right (50%; guessing: 33.3%); it is fooled easily" in page.text
    assert "inside evaluator: ann · target 99% sure · SSIM 0.20 · 100 iterations" in page.text
    assert "inside evaluator: bob · target 98% sure" in page.text
    for words in ("noise images", "mean of all faces", "shuffled labels", "guessing – – – – – 33.3% 100% 33.3%"):
        assert words in page.text
    assert len(page.all("tr", "control")) == 3
    assert "Responsible use" in page.text


def test_settings_and_circumstances_are_told(run_folder, tmp_path):
    folder = run_folder()
    (folder / "config.yaml").write_text("model:\n  cost: <OneMinusConfidence>\n")
    edit(folder, lambda data: data.update(config="config.yaml"))
    page = page_of([folder], tmp_path)
    for words in (
        "ab" * 32,
        "OneMinusConfidence",
        "optimizer · lr 0.1",
        "priors 1 · weight 0.0001",
        "max iterations 5000",
    ):
        assert words in page.text
    for words in ("FaceCNN", "command", "torch", "split seed 0"):
        assert words in page.text
    assert "Configuration of run model: cost: <OneMinusConfidence>" in page.text


@pytest.mark.parametrize("name", ["../secret.txt", "gone.yaml"])
def test_no_file_but_the_configuration_beside_the_results_gets_into_the_page(run_folder, tmp_path, name):
    (tmp_path / "secret.txt").write_text("a secret")
    folder = edit(run_folder(), lambda data: data.update(config=name))
    page = page_of([folder], tmp_path)
    assert "a secret" not in page.text
    assert "Configuration of" not in page.text


def test_several_runs_stand_side_by_side(run_folder, tmp_path, result):
    first = run_folder("first")
    ann = result.select(torch.tensor([0, 1]))
    judged = make_judgement(result)
    part = dataclasses.replace(
        judged,
        per_row={name: value[:2] for name, value in judged.per_row.items()},
        evaluator_guess=judged.evaluator_guess[:2],
        reference_mean=judged.reference_mean[:2],
        reference_best=judged.reference_best[:2],
        chance={"evaluator_top1": 0.25},
    )
    second = run_folder("second", result=ann, judgement=part, attack={"beta": 1000})
    page = page_of([first, second], tmp_path)
    assert len(page.all("article", "card")) == 2
    assert len(page.all("article", "reading")) == len(page.all("div", "stack")) == 2
    assert len(page.all("img")) == 2 + 2 * 2 + 2  # means; ann in both runs; cleo in one
    assert page.text.count("not attacked") == 1
    assert len(page.all("tr", "run")) == 2
    assert len(page.all("tr", "chance")) == 2  # the two runs had not the same chance
    assert "Marked rows differ" in page.text
    assert "beta 100 1000" in page.text
    marked = len(page.all("tr", "differs"))
    assert 0 < marked < len(page.all("tr")) / 2


def test_people_come_in_the_order_of_their_labels_with_values_to_sort_by(run_folder, tmp_path):
    page = page_of([run_folder()], tmp_path)
    cards = page.all("article", "card")
    assert [card["data-label"] for card in cards] == ["0", "1"]
    assert [float(card["data-risk"]) for card in cards] == [0, 1]
    assert [float(card["data-inside"]) for card in cards] == pytest.approx([1.7, 0.2], abs=1e-4)
    assert [float(card["data-confidence"]) for card in cards] == pytest.approx([0.99, 0.98], abs=1e-4)


def test_a_run_without_judge(run_folder, tmp_path):
    page = page_of([run_folder(judgement=None)], tmp_path)
    assert [image["alt"] for image in page.all("img")] == [
        "Reconstruction of ann by run",
        "Reconstruction of cleo by run",
    ]
    assert "No recogniser judged the reconstructions: who would be recognised is not known" in page.text
    assert "inside evaluator:" not in page.text
    assert not page.all("tr", "control")
    assert [button["data-order"] for button in page.all("button")] == ["label", "ssim", "confidence"]


def test_inputs_that_are_no_pictures(run_folder, tmp_path):
    result = make_result((7,))
    judgement = dataclasses.replace(make_judgement(make_result()), reference_mean=None, reference_best=None)
    page = page_of([run_folder(result=result, judgement=judgement)], tmp_path)
    assert page.all("img") == []
    assert "inside evaluator: ann" in page.text
    assert not page.all("input")


def test_colour_pictures(run_folder, tmp_path):
    result = make_result((3, 12, 10))
    page = page_of([run_folder(result=result, judgement=make_judgement(result))], tmp_path)
    with Image.open(io.BytesIO(base64.b64decode(page.all("img")[0]["src"].partition(",")[2]))) as image:
        assert image.mode == "RGB"


def test_names_are_text_and_not_markup(run_folder, tmp_path, result):
    evil = '<script>alert("x")</script>'
    named = dataclasses.replace(result, name=(evil, evil, "cleo", "cleo"))
    page = page_of([run_folder(result=named)], tmp_path, title=evil)
    assert len(page.all("script")) == 1
    assert evil in page.text


def test_the_page_is_there_whole_or_not_at_all(run_folder, tmp_path):
    folder = run_folder()
    (tmp_path / "file").touch()
    with pytest.raises(MIError, match=r"cannot write .*report\.html: .*file is no folder"):
        build_report([folder], tmp_path / "file" / "report.html")
    assert build_report([folder], str(tmp_path / "new" / "report.html")).is_file()


@pytest.mark.parametrize("function", [lambda runs, **kw: build_report(runs, "report.html", **kw), summary_table])
def test_what_cannot_be_reported(run_folder, tmp_path, function):
    with pytest.raises(InputError, match=r"at least one run, got none \(runs\)"):
        function([])
    with pytest.raises(InputError, match="1 names, one for each run, got 2"):
        function([run_folder()], names=["a", "b"])
    with pytest.raises(MIError, match=r"no results\.json in "):
        function([tmp_path / "nowhere"])


def test_forty_people_in_two_runs_stay_below_four_megabytes(run_folder, tmp_path):
    # noise does not compress: real pictures are a third smaller
    count = 40
    generator = torch.Generator().manual_seed(0)
    one = make_result()
    images = torch.rand(count, 1, 112, 92, generator=generator)
    index = torch.zeros(count, dtype=torch.int64)
    many = dataclasses.replace(
        one.select(index),
        label=torch.arange(count),
        name=tuple(f"s{k + 1}" for k in range(count)),
        candidate=images[:, :, :2],
        reconstruction=images,
    )
    judged = make_judgement(one)
    judgement = dataclasses.replace(
        judged,
        per_row={name: value[index] for name, value in judged.per_row.items()},
        evaluator_guess=index,
        reference_mean=images,
        reference_best=images,
        class_names=many.name,
    )
    run = run_folder(result=many, judgement=judgement)
    path = build_report([run, run], tmp_path / "report.html")
    assert path.stat().st_size < 4e6
    cards = Page(path.read_text()).all("article", "card")
    assert [int(card["data-label"]) for card in cards] == list(range(40))


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["a/b"], ["b"]),
        (["logs/att_softmax/version_3"], ["att_softmax"]),
        (["lightning_logs/version_3"], ["version_3"]),
        (["x/att/version_0", "x/att/version_1"], ["att/version_0", "att/version_1"]),
        (["x/att/version_0", "y/att/version_0"], ["att/version_0 (1)", "att/version_0 (2)"]),
        (["x/run", "x/run"], ["run (1)", "run (2)"]),
    ],
)
def test_runs_have_short_names_no_two_alike(run_folder, tmp_path, folders, expected):
    run = read_results(run_folder())
    assert run_names([dataclasses.replace(run, folder=tmp_path / folder) for folder in folders]) == expected


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        (0, "cannot be told from guessing"),
        (3, "cannot be told from guessing"),
        (8, "gives away some of the people"),
        (20, "gives away most of the people"),
        (36, "gives away nearly everybody"),
        (40, "gives away nearly everybody"),
    ],
)
def test_the_reading_says_no_more_than_the_numbers(run_folder, hits, words):
    folder = run_folder()

    def change(data):
        data["summary"] |= {"labels": 40, "evaluator_top1": 1.0, "recognised": hits / 40}
        data["chance"] |= {"evaluator_top1": 1 / 40, "recognised": 1 / 40}

    text = " ".join(reading(read_results(edit(folder, change))))
    assert text.startswith(f"A recogniser that was trained on other people names {hits} of 40 right")
    assert words in text


@pytest.mark.parametrize(
    ("hits", "words"),
    [
        (4, "gives away nearly everybody of the 4 attacked, out of 40 that it knows."),
        (3, "gives away most of the 4 attacked, out of 40 that it knows."),
    ],
)
def test_the_reading_says_nothing_of_people_who_were_not_attacked(run_folder, hits, words):
    def change(data):
        data["summary"] |= {"labels": 4, "recognised": hits / 4}
        data["chance"]["recognised"] = 1 / 40

    text = " ".join(reading(read_results(edit(run_folder(), change))))
    assert words in text
    assert "whom it was trained on" not in text


def test_the_reading_of_an_inside_evaluator_alone_finds_no_leak(run_folder):
    text = " ".join(reading(read_results(run_folder())))
    assert "who would be recognised is not known" in text
    assert "gives away" not in text


def test_the_reading_compares_with_the_mean_face(run_folder):
    run = read_results(run_folder())
    assert "no closer to the person's mean photograph (SSIM 0.25)" in " ".join(reading(run))
    run.data["controls"]["mean_face"]["ssim_mean"] = 0.1
    assert "they are closer to the person's mean photograph (SSIM 0.25)" in " ".join(reading(run))


def test_controls_at_chance_raise_no_warning_and_others_do(run_folder):
    run = read_results(run_folder())
    assert warnings(run) == []
    run.summary["labels"] = 40
    run.data["chance"]["evaluator_top1"] = 1 / 40
    run.data["controls"]["noise"]["evaluator_top1"] = 2 / 40
    run.data["controls"]["shuffled"]["evaluator_top1"] = 0.0
    run.data["controls"]["mean_face"]["evaluator_top1"] = 10 / 40
    assert len(warnings(run)) == 1
    assert "“mean of all faces” reaches 25% where guessing gives 2.5%" in warnings(run)[0]


def test_interruptions_divergence_and_clipping_are_noted(run_folder, tmp_path):
    folder = run_folder()

    def change(data):
        data["summary"] |= {"stop_reasons": {"interrupted": 3, "diverged": 1}, "outside_range": 0.125}

    page = page_of([edit(folder, change)], tmp_path)
    assert "interrupted: 3 of 4 rows had not stopped" in page.text
    assert "1 of 4 rows diverged" in page.text
    assert "12.5% of the values lie outside [0, 1], since the attack has no clamp" in page.text


def test_tail_of_the_binomial():
    assert _tail(0, 10, 0.3) == pytest.approx(1)
    assert _tail(10, 10, 0.5) == pytest.approx(2**-10)
    assert _tail(2, 3, 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("levels", [(10, 60), (100, 140), (0, 255), (200, 250)])
def test_the_stretch_takes_the_darkest_to_black_and_the_brightest_to_white(levels):
    pixels = np.repeat(np.array(levels, dtype=np.uint8), 500).reshape(40, 25)
    brightness, contrast = (float(part.partition(":")[2]) for part in stretch_style(pixels).split(";"))
    # what CSS does: brightness multiplies, contrast turns about one half
    shown = [(level / 255 * brightness - 0.5) * contrast + 0.5 for level in levels]
    assert shown == pytest.approx([0, 1], abs=0.01)


def test_folders_below_the_working_folder_are_told_from_there(run_folder, tmp_path, monkeypatch):
    folder = run_folder()
    assert f"folder {folder}" in page_of([folder], tmp_path).text
    monkeypatch.chdir(tmp_path)
    assert str(tmp_path) not in page_of([folder], tmp_path).text


def test_a_flat_picture_is_not_stretched():
    assert stretch_style(np.full((5, 5), 7, dtype=np.uint8)) == ""


@pytest.mark.parametrize(("scale", "said"), [(0.2, True), (1.0, False)])
def test_dark_reconstructions_come_with_a_hint(run_folder, tmp_path, result, scale, said):
    darker = dataclasses.replace(result, reconstruction=result.reconstruction * scale)
    assert ("stretch the contrast to see them" in page_of([run_folder(result=darker)], tmp_path).text) is said


def test_the_table_for_the_terminal(run_folder):
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    console.print(summary_table([run_folder("att_softmax_fredrikson"), run_folder("bare", judgement=None)]))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith("att_softmax_fredrikson ") for line in lines)  # not folded
    cells = [re.split(r"\s{2,}|(?<=\d|%|–) ", line.strip()) for line in lines[2:] if re.search(r"\d%|–", line)]
    assert cells[1] == ["noise", "–", "–", "–", "–", "–", "50%", "–"]
    assert [row[0] for row in cells[2:6]] == ["mean face", "shuffled", "bare", "guessing"]
    assert cells[0][1:] == ["–", "–", "–", "–", "–", "50%", "2.8"]
    assert cells[4][1:] == ["–", "–", "–", "–", "–", "–", "2.8"]
    assert cells[5][1:] == ["–", "–", "–", "–", "–", "33.3%", "–"]


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
    assert 'pip install "mi-lightning[judges]"' in said
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
