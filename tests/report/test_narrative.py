from __future__ import annotations

import pytest

from mi_lightning.report import read_results
from mi_lightning.report.narrative import reading, warnings
from tests.report.pages import edit, page_of


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
