from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mi_lightning.report.audit.document import audit_document
from mi_lightning.report.results import RunResults
from tests.report.conftest import ATTACK, TARGET, VERIFIED

RECOGNISER = {
    "class": "mi_lightning.recognisers.DlibFaces",
    "weights": {"recogniser.dat": "ee" * 32},
    "trained_on": "3 million faces of others",
    "enrolled": 280,
    "people": 40,
    "test_error": 0.01,
    "detected_on_real": 1.0,
    "thresholds": {
        "0.01": {"distance": 0.4, "impostor_pairs": 4680, "low": 0.006, "high": 0.015, "genuine_accepted": 0.9}
    },
}
MISSING = 'the extra "judges" is missing: pip install "mi-lightning[judges]"'


def make_results(
    recognised: Sequence[float | None],
    *,
    inside: Sequence[float | None] | None = None,
    verdicts: Sequence[str] | None = None,
    controls: Mapping[str, float | None] | None = None,
    ceiling: Mapping[str, float] | None = None,
    names: Sequence[str] | None = None,
    rows: Mapping[str, Sequence[float | None]] | None = None,
    missing: str | None = None,
    access: str | None = "white_box",
    defenses: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A ``results.json`` as its contract says, with the figures of the best row of each person given by hand."""
    people = len(recognised)
    names = names or [f"p{place:02d}" for place in range(people)]
    inside = inside if inside is not None else [1.0] * people
    if verdicts is None:
        verdicts = ["not_judged" if r is None else "recognised" if r else "fools_model_only" for r in recognised]
    per_label = [
        {
            "label": place,
            "name": names[place],
            "restart": 0,
            "best": True,
            "cost": 0.01,
            "confidence": 0.99,
            "iterations": 100,
            "stop_reason": "target_cost",
            "queries": 101,
            "seconds": 0.5,
            "recognised": recognised[place],
            "accepted_at_1_percent": recognised[place],
            "accepted_at_0_1_percent": None if recognised[place] is None else 0.0,
            "wrongly_accepted_at_1_percent": None if recognised[place] is None else 0.01 * (place % 3),
            "detected": None if recognised[place] is None else 1.0,
            "evaluator_top1": inside[place],
            "verdict": verdicts[place],
            "verdict_reason": "by hand",
            **{key: values[place] for key, values in (rows or {}).items()},
        }
        for place in range(people)
    ]
    judged = any(value is not None for value in recognised)
    return {
        "schema_version": 2,
        "created": "2026-01-01T00:00:00+00:00",
        "package_versions": {"python": "3.11.7", "torch": "2.14.1", "mi-lightning": None},
        "config": None,
        "target": copy.deepcopy(TARGET) | {"access": access, "fingerprint": "cc" * 32, "defenses": list(defenses)},
        "attack": copy.deepcopy(ATTACK),
        "verification": dict(VERIFIED),
        "summary": {"labels": people, "rows": people, "seconds": 0.5 * people},
        "per_label": per_label,
        "controls": {
            name: {"recognised": share}
            for name, share in (controls if controls is not None else {"noise": 0.0, "mean_face": 0.025}).items()
        },
        "ceiling": {name: {"recognised": share} for name, share in (ceiling or {"class_mean": 0.875}).items()},
        "chance": {"recognised": 1 / 40, "evaluator_top1": 1 / 40},
        "evaluator": {"class": "mi_lightning.classifiers.FaceCNN", "weights_sha256": "ab" * 32, "test_accuracy": 0.97},
        "recogniser": copy.deepcopy(RECOGNISER) if judged else None,
        "recogniser_missing": None if judged else missing,
        "data": {"class_path": "mi_lightning.data.AttFaces", "sha256": "99" * 32},
    }


def make_run(folder: str | Path, recognised: Sequence[float | None], **facts: Any) -> RunResults:
    """A run that lies nowhere: an audit is told from the content of ``results.json`` alone."""
    return RunResults(Path(folder), make_results(recognised, **facts))


def hits_of(count: int, people: int = 40) -> list[float]:
    """The first ``count`` people are recognised."""
    return [1.0] * count + [0.0] * (people - count)


def make_document(folder: Path, **runs: Sequence[float | None]) -> dict[str, Any]:
    """An audit of runs of which only the hits matter."""
    found = [make_run(folder / name / "version_0", hits) for name, hits in runs.items()]
    return audit_document("An audit", list(runs), found, folder=folder)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Three runs: one that recognises most, one that recognises few, one that nobody judged."""
    runs = {
        "softmax": make_run(tmp_path / "softmax" / "version_0", hits_of(28)),
        "cnn": make_run(tmp_path / "cnn" / "version_1", hits_of(3)),
        "voices": make_run(tmp_path / "voices" / "version_0", [None] * 40, missing=MISSING),
    }
    return audit_document("An audit", list(runs), list(runs.values()), folder=tmp_path, release_context="internal")
