from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mi_lightning.attacks.result import InversionResult
from mi_lightning.judging.judgement import Judgement
from mi_lightning.report import write_results

TARGET = {
    "class": "mi_lightning.classifiers.SoftmaxRegression",
    "checkpoint": "checkpoints/target.ckpt",
    "checkpoint_sha256": "ab" * 32,
    "defenses": [],
    "test_accuracy": 0.95,
}
ATTACK = {
    "space": {"class": "PixelSpace", "clamp": True},
    "cost": {"class": "OneMinusConfidence"},
    "priors": [{"class": "TotalVariation", "weight": 1e-4}],
    "estimator": {"class": "Autograd"},
    "optimizer": {"class": "SGD", "lr": 0.1, "momentum": 0.0},
    "transforms": [],
    "step": {"class": "GradientStep"},
    "gradient_filter": None,
    "projections": [{"class": "ProcessDAE", "every": 500}],
    "selection": {"class": "LeastCost"},
    "callbacks": [{"class": "ProcessDAE", "every": 500}, {"class": "ResultsWriter"}],
    "max_iterations": 5000,
    "beta": 100,
    "gamma": 0.01,
    "restarts": 2,
    "initial_candidates": 1,
    "report_every": 50,
    "seed": 0,
}
NAMES = ("ann", "bob", "cleo")
VERIFIED = {
    "status": "verified",
    "reason": "",
    "hint": "",
    "accuracy": 0.975,
    "chance": 0.025,
    "n": 120,
    "samples": "test",
    "p_value": 0.0,
    "recorded_accuracy": 0.95,
    "verification_queries": 120,
    "names": "target",
}


def make_result(shape: tuple[int, ...] = (1, 12, 10)) -> InversionResult:
    """Two restarts of two people; of ann the second restart is the better one, of cleo the first."""
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(4, *shape, generator=generator)
    return InversionResult(
        label=torch.tensor([0, 0, 2, 2]),
        name=("ann", "ann", "cleo", "cleo"),
        restart=torch.tensor([0, 1, 0, 1]),
        candidate=images * 2,
        reconstruction=images,
        cost=torch.tensor([0.5, 0.01, 0.02, 0.4]),
        confidence=torch.tensor([0.5, 0.99, 0.98, 0.6]),
        iterations=torch.tensor([5000, 100, 200, 5000]),
        stop_reason=("max_iterations", "target_cost", "stagnation", "max_iterations"),
        queries=torch.tensor([5001, 101, 201, 5001]),
        seconds=torch.tensor([1.0, 0.25, 0.5, 1.0], dtype=torch.float64),
    )


def make_judgement(result: InversionResult) -> Judgement:
    """The evaluator names ann right in both restarts, and takes cleo for bob."""
    rows = len(result)
    ramp = torch.linspace(0.1, 0.4, rows)
    per_row = {
        "confidence": result.confidence,
        "evaluator_top1": torch.tensor([1.0, 1.0, 0.0, 0.0]),
        "evaluator_top5": torch.ones(rows),
        "evaluator_confidence": torch.tensor([0.6, 0.7, 0.2, 0.1]),
        "identification_top1": torch.tensor([0.0, 1.0, 1.0, 0.0]),
        **dict.fromkeys(("mse", "nrmse", "psnr", "ssim", "mse_best", "nrmse_best", "ssim_best"), ramp),
        "psnr_best": torch.tensor([float("inf"), 1.0, float("nan"), 2.0]),
    }
    summary = {
        "confidence_mean": 0.985,
        "evaluator_top1": 0.5,
        "evaluator_top5": 1.0,
        "identification_top1": 1.0,
        "evaluator_confidence_mean": 0.45,
        "mse_mean": 0.25,
        "nrmse_mean": 0.25,
        "psnr_mean": 10.0,
        "ssim_mean": 0.25,
        "ssim_best_mean": 0.26,
        "psnr_best_mean": float("inf"),
    }
    control = {"evaluator_top1": 0.5, "identification_top1": 0.0, "ssim_mean": 0.6, "nrmse_mean": 0.3}
    return Judgement(
        per_row=per_row,
        summary=summary,
        controls={"noise": control | {"ssim_mean": 0.01}, "mean_face": control, "shuffled": control},
        chance={"evaluator_top1": 1 / 3, "evaluator_top5": 1.0, "identification_top1": 1 / 3},
        evaluator_guess=torch.tensor([0, 0, 1, -1]),
        best_match=torch.tensor([3, 1, 7, 8]),
        reference_mean=result.reconstruction.flip(-1),
        reference_best=result.reconstruction.flip(-2),
        class_names=NAMES,
        description={
            "evaluator": {"class": "mi_lightning.classifiers.FaceCNN", "weights_sha256": "cd", "test_accuracy": 0.97},
            "data": {"class_path": "mi_lightning.data.AttFaces", "split": "random", "split_seed": 0},
        },
    )


RECOGNISER = {
    "class": "mi_lightning.recognisers.DlibFaces",
    "weights": {"resnet.dat": "ef" * 32},
    "trained_on": "photographs of other people",
    "metric": "euclidean",
    "embedding_size": 128,
    "enrolled": 21,
    "people": 3,
    "test_error": 0.01,
    "detected_on_real": 0.97,
    "thresholds": {
        "0.001": {"distance": 0.43, "impostor_pairs": 900, "low": 0.0, "high": 0.006, "genuine_accepted": 0.9},
        "0.01": {"distance": 0.51, "impostor_pairs": 900, "low": 0.004, "high": 0.021, "genuine_accepted": 0.98},
    },
}


def recognise(folder: Path, verdicts: Sequence[str] = ("fools_model_only", "recognised")) -> Path:
    """Let a recogniser have judged a run: the best rows get these verdicts, in the order of the labels."""
    path = folder / "results.json"
    data = json.loads(path.read_text())
    best = [row for row in data["per_label"] if row["best"]]
    for row, verdict in zip(best, verdicts, strict=True):
        hit = verdict == "recognised"
        row |= {
            "recognised": int(hit),
            "recogniser_rank": 1 if hit else 3,
            "recogniser_distance": 0.4 if hit else 0.7,
            "recogniser_guess": row["name"] if hit else "bob",
            "accepted_at_1_percent": int(hit),
            "detected": 1,
            "verdict": verdict,
            "verdict_reason": f"{verdict} for a reason.",
            "best_iteration": 7,
        }
    share = sum(verdict == "recognised" for verdict in verdicts) / len(verdicts)
    data["summary"] |= {"recognised": share, "accepted_at_1_percent": share, "inside_false_positive_rate": 1.0}
    data["chance"]["recognised"] = 1 / 3
    data["ceiling"] = {"real_test": {"recognised": 0.99}, "class_mean": {"recognised": 0.875}}
    data["recogniser"] = RECOGNISER
    for numbers in data["controls"].values():
        numbers["recognised"] = 0.0
    path.write_text(json.dumps(data))
    return folder


def audit_of(names: Sequence[str], **figures: Any) -> dict[str, Any]:
    """What an audit of runs that :func:`recognise` changed says, as in ``audit.json``."""
    entry = {
        "kind": "white box",
        "people": 2,
        "recognised": 0.5,
        "recognised_low": 0.013,
        "recognised_high": 0.987,
        "accepted_at_1_percent": 0.5,
        "accepted_at_0_1_percent": 0.25,
        "wrongly_accepted_at_1_percent": 0.02,
        "ceiling": 0.875,
        "chance": 1 / 3,
        "fools_model_only": 0.5,
        "inside_top1": 0.5,
        "inside_false_positive_rate": 0.75,
        "best_control": {"name": "mean_face", "recognised": 0.125},
        "leak": 0.375,
        "leak_low": 0.1,
        "leak_high": 0.6,
        "worst_person": {"bound": 0.96, "runs": 1, "runs_needed": 36},
        "refused": None,
        "controls": {"noise": 0.0, "mean_face": 0.125},
    }
    headline: Mapping[str, Any] = {
        "sentence": "A recogniser names half of them.",
        "figure": 0.5,
        "low": 0.013,
        "high": 0.987,
        "run": names[0],
        "refused": None,
    }
    return {
        "headline": dict(headline),
        "release_context": None,
        "runs": [entry | figures | {"name": name, "folder": f"{name}/version_0"} for name in names],
        "comparisons": [],
    }


@pytest.fixture
def result() -> InversionResult:
    return make_result()


@pytest.fixture
def judgement(result: InversionResult) -> Judgement:
    return make_judgement(result)


@pytest.fixture
def run_folder(tmp_path: Path, result: InversionResult, judgement: Judgement) -> Callable[..., Path]:
    """Write a run and give its folder."""

    def write(
        name: str = "run",
        *,
        result: InversionResult = result,
        judgement: Judgement | None = judgement,
        target: dict[str, object] | None = None,
        attack: dict[str, object] | None = None,
    ) -> Path:
        folder = tmp_path / name
        write_results(folder, result, judgement, target=TARGET | (target or {}), attack=ATTACK | (attack or {}))
        return folder

    return write
