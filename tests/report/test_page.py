from __future__ import annotations

import base64
import dataclasses
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mi_lightning.errors import InputError, MIError
from mi_lightning.report import build_report, read_results, summary_table
from mi_lightning.report.pictures import stretch_style
from mi_lightning.report.results import run_names
from tests.report.conftest import make_judgement, make_result
from tests.report.pages import Page, edit, page_of


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


def test_the_table_says_what_to_install_to_the_letter(run_folder):
    install = 'no dlib: pip install "mi-lightning[judges]"'
    folder = edit(
        run_folder(), lambda data: (data.update(recogniser_missing=install), data["summary"].update(recognised=None))
    )
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_table([folder], names=["run[bold]"]))
    assert install in " ".join(console.file.getvalue().split())  # square brackets are no style
    assert "run[bold]" in console.file.getvalue()


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
