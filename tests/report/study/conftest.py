from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mi_lightning.attacks.result import InversionResult
from mi_lightning.judging.judge import Judgement
from mi_lightning.report import write_results
from mi_lightning.report.study import Answers, Key, Plan, build_study, read_key
from tests.report.conftest import ATTACK, TARGET

RATE = 9000  # Hz, of the voices; no rate of MP3, so that a page holds the samples as they are


def write_run(folder: Path, *, people: int = 12, voices: bool = False, seed: int = 0, diverged: int = 0) -> Path:
    """Write a run on people `p0`, `p1`, ...: noise, each person's real sample its own; the last ones diverged."""
    generator = torch.Generator().manual_seed(seed)
    shape = (1, RATE // 4) if voices else (1, 6, 5)
    found, real = torch.rand(2, people, *shape, generator=generator).unbind()
    if diverged:
        found[-diverged:] = float("nan")
    names = tuple(f"p{label}" for label in range(people))
    cost = torch.full((people,), 0.1)
    result = InversionResult(
        label=torch.arange(people),
        name=names,
        restart=torch.zeros(people, dtype=torch.int64),
        candidate=found,
        reconstruction=found,
        cost=cost,
        confidence=1 - cost,
        iterations=torch.full((people,), 10),
        stop_reason=("max_iterations",) * people,
        queries=torch.full((people,), 11),
        seconds=torch.full((people,), 0.1, dtype=torch.float64),
    )
    judgement = Judgement(
        per_row={"confidence": 1 - cost},
        summary={"confidence_mean": 0.9},
        controls={},
        chance={},
        evaluator_guess=torch.arange(people),
        best_match=torch.arange(people),
        reference_mean=real,
        reference_best=real,
        real=real if voices else None,
        class_names=names,
        description={"evaluator": None, "data": {"sample_rate": RATE} if voices else {}},
    )
    attack = ATTACK | ({"space": {"class": "WaveformSpace", "sample_rate": RATE}} if voices else {})
    bounds = (-1.0, 1.0) if voices else (0.0, 1.0)
    write_results(folder, result, judgement, target=TARGET, attack=attack, input_range=bounds)
    return folder


def recognise(folder: Path, recognised: Mapping[int, int]) -> Path:
    """Write into a run whom the recogniser recognises, by label."""
    path = folder / "results.json"
    data = json.loads(path.read_text())
    for row in data["per_label"]:
        row["recognised"] = recognised.get(row["label"])
    path.write_text(json.dumps(data))
    return folder


def simulated(
    key: Key, judge: str, seed: int, says: Callable[[np.random.Generator, Mapping[str, Any]], str]
) -> Answers:
    """A judge whose answer to each question is drawn by `says`."""
    rng = np.random.default_rng(seed)
    answer = {item: says(rng, question) for item, question in key.questions.items()}
    return Answers(judge, finished=True, answer=answer, milliseconds=dict.fromkeys(answer, 2000))


def right(_: np.random.Generator, question: Mapping[str, Any]) -> str:
    """The right answer."""
    return question["answer"]


def wrong(_: np.random.Generator, question: Mapping[str, Any]) -> str:
    """A wrong answer."""
    if question["kind"] == "same_person":
        return "same" if question["answer"] == "different" else "different"
    return next(option for option in question["options"] if option != question["answer"])


def saved(answers: Answers, key: Key) -> dict[str, Any]:
    """What the page saves of these answers."""
    given = [
        {
            "item": item,
            "kind": key.questions[item]["kind"],
            "options": key.questions[item]["options"][::-1],
            "answer": answer,
            "milliseconds": answers.milliseconds[item],
        }
        for item, answer in answers.answer.items()
    ]
    return {
        "schema_version": 1,
        "study": key.study,
        "judge": answers.judge,
        "finished": answers.finished,
        "answers": given,
    }


@pytest.fixture
def key(tmp_path: Path) -> Key:
    """The key of a study of one run on 40 people, of whom the recogniser recognises every second."""
    run = recognise(write_run(tmp_path / "run", people=40), {label: label % 2 for label in range(40)})
    return read_key(build_study([run], tmp_path / "study.html", plan=Plan(seed=3)).key)
