"""Attacks of which nothing is left but numbers that are no numbers: still told, in every file, page and table."""

from __future__ import annotations

import dataclasses
import io
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import modality_of
from mi_lightning.judging.calibration import Utility
from mi_lightning.judging.judgement import Judgement
from mi_lightning.report import build_report, read_results, summary_table, write_results
from mi_lightning.report.axes import Axis
from mi_lightning.report.media import media
from mi_lightning.report.narrative import reading
from mi_lightning.report.narrative import warnings as notes
from mi_lightning.report.sweep import SweepPlan, SweepRun, sweep_table, write_sweep, write_utility
from mi_lightning.report.sweep import points as sweep_points
from mi_lightning.report.sweep.figure import INSIDE
from tests.report.conftest import ATTACK, NAMES, TARGET, make_result

NAN, INF = float("nan"), float("inf")
SHAPES = [(1, 12, 10), (3, 12, 10), (1, 3200), (7,)]
VALUES = [NAN, INF, -INF, 3e38]


def diverged(shape: tuple[int, ...], value: float, cost: float = NAN) -> InversionResult:
    """Every row of both people is lost."""
    whole = make_result(shape)
    lost = torch.full_like(whole.reconstruction, value)
    return dataclasses.replace(
        whole,
        candidate=lost,
        reconstruction=lost.clone(),
        cost=torch.full((4,), cost),
        confidence=torch.zeros(4),
        iterations=torch.ones(4, dtype=torch.int64),
        stop_reason=("diverged",) * 4,
    )


def judged(result: InversionResult, score: float = NAN) -> Judgement:
    """The judge measured what it could: nobody is named, and every likeness is not a number."""
    rows = len(result)
    sound = result.reconstruction.ndim == 3
    hits = dict.fromkeys(("evaluator_top1", "evaluator_top5", "identification_top1"), torch.full((rows,), score))
    likeness = dict.fromkeys(("mse", "nrmse", "psnr", "ssim", "evaluator_confidence"), torch.full((rows,), NAN))
    return Judgement(
        per_row={"confidence": result.confidence, **hits, **likeness},
        summary={name if name in hits else f"{name}_mean": float(v.mean()) for name, v in (hits | likeness).items()},
        controls={"noise": {"evaluator_top1": 0.0, "ssim_mean": NAN}, "mean_face": {"ssim_mean": NAN}},
        chance={"evaluator_top1": 1 / 3, "evaluator_top5": 1.0, "identification_top1": 1 / 3},
        evaluator_guess=torch.full((rows,), -1),
        best_match=torch.zeros(rows, dtype=torch.int64),
        reference_mean=torch.rand_like(make_result(tuple(result.reconstruction.shape[1:])).reconstruction),
        real=torch.zeros_like(result.reconstruction) if sound else None,
        vocoded=result.reconstruction if sound else None,
        class_names=NAMES,
        description={"evaluator": {"class": "E", "test_accuracy": None}, "data": {"class_path": "D"}},
    )


def written(folder: Path, result: InversionResult, judgement: Judgement | None) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns of a NaN that becomes a grey level
        write_results(folder, result, judgement, target=TARGET, attack=ATTACK)
    return folder


@pytest.mark.parametrize("score", [None, 0.0, NAN])
@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("shape", SHAPES)
def test_files_page_and_table_of_an_attack_that_diverged(tmp_path, shape, value, score):
    result = diverged(shape, value)
    folder = written(tmp_path / "run", result, None if score is None else judged(result, score))
    run = read_results(folder)
    assert run.summary["stop_reasons"] == {"diverged": 4}
    assert run.summary["cost_mean"] is None
    assert [row["cost"] for row in run.data["per_label"]] == [None] * 4
    assert [row["confidence"] for row in run.data["per_label"]] == [0] * 4
    np.testing.assert_array_equal(run.arrays["reconstruction"], result.reconstruction.numpy())
    assert "4 of 4 rows diverged" in " ".join(notes(run))
    page = build_report([folder], tmp_path / "report.html").read_text()
    assert "nan" not in " ".join(reading(run)).lower()
    assert ">nan" not in page.lower()
    assert "target 0%" in page
    console = Console(width=100, file=io.StringIO())
    console.print(summary_table([folder]))
    assert "nan" not in console.file.getvalue().lower()


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("shape", SHAPES[:3])
def test_what_is_no_number_is_shown_as_one_flat_picture(shape, value):
    modality = modality_of(shape, (0.0, 1.0))
    samples = torch.full((2, *shape), value)
    pixels = media(modality.kind).pixels(samples, modality)
    if modality.kind == "picture":
        assert len(np.unique(pixels)) == 1
    assert media(modality.kind).grid(samples, modality).ndim in (2, 3)
    assert media(modality.kind).grid(samples[:0], modality) is None


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_one_value_that_is_no_number_does_not_hide_the_rest(value):
    modality = modality_of((1, 2, 2), (0.0, 1.0))
    sample = torch.tensor([0.0, 0.2, 0.6, value]).reshape(1, 1, 2, 2)
    shown = media("picture").pixels(sample, modality).ravel()
    assert shown[:3].tolist() == [0, 51, 153]


def test_a_sheet_of_an_attack_that_diverged_is_a_picture(tmp_path):
    result = diverged((1, 12, 10), NAN)
    with Image.open(written(tmp_path, result, judged(result)) / "reconstructions.png") as sheet:
        assert sheet.format == "PNG"


@pytest.fixture
def plan() -> SweepPlan:
    axis = Axis("r", "step", ("none", "0.1"), (0, 0.1), {"model.defenses": "$r"})
    return SweepPlan("T", [axis], ["a", "b"], [0], 0.1, {})


@pytest.mark.parametrize("score", [0.0, NAN])
@pytest.mark.parametrize("everywhere", [True, False])
def test_a_sweep_of_attacks_that_diverged(tmp_path, plan, everywhere, score):
    lost = diverged((1, 12, 10), NAN)
    whole = make_result()
    runs = []
    for attack in plan.attacks:
        for label in plan.strength.labels:
            folder = tmp_path / "runs" / f"{attack}_{label}"
            fails = everywhere or (attack, label) == ("a", "0.1")
            result, hits = (lost, score) if fails else (whole, 1.0)
            write_results(folder, result, judged(result, hits), target=TARGET, attack=ATTACK)
            write_utility(folder, Utility(np.full((1, 6), 0.9), np.ones((1, 6))))
            runs.append(SweepRun(attack, {"r": label}, 0, folder))
    write_sweep(tmp_path, plan, runs, failed={})
    found = json.loads((tmp_path / "sweep.json").read_text())
    point = found["series"][0]["points"][1]
    assert point["cost"] is point["ssim"] is None
    assert (point["identification_top1"] is None) == (score != 0)
    assert "nan" not in " ".join(found["reading"]).lower()
    page = (tmp_path / "sweep.html").read_text()
    assert ">–</span>" in page  # the cost of a reconstruction that is lost
    assert ">nan" not in page.lower()
    console = Console(width=100, file=io.StringIO())
    console.print(sweep_table(plan, runs))
    assert "nan" not in console.file.getvalue().lower()
    if not everywhere:
        breakdown = found["series"][0]["breakdown"]
        assert (breakdown["label"], breakdown["unmeasured"]) == (("0.1", []) if score == 0 else (None, ["0.1"]))


def test_a_series_of_which_nothing_was_measured_says_so(plan):
    points = [{"label": label, "strength": None, "identification_top1": None} for label in plan.strength.rising]
    found = sweep_points.breakdown(points, plan, INSIDE)
    assert (found["label"], found["worked"], found["stays"], found["holds_until"]) == (None, None, False, None)
    assert found["unmeasured"] == ["none", "0.1"]
