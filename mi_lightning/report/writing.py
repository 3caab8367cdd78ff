"""Files of an attack: ``results.json``, ``per_label.csv``, arrays, and what can be looked at or listened to."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import Modality, modality_of
from mi_lightning.io import Content, write_atomically
from mi_lightning.judging.judgement import Judgement, best_rows, select_rows
from mi_lightning.report import pictures, sound
from mi_lightning.report.formats import csv_table, plain
from mi_lightning.report.media import Found, media
from mi_lightning.report.media.sheet import known_names
from mi_lightning.report.origin import package_versions, run_info
from mi_lightning.report.results import ARRAYS
from mi_lightning.report.schema import METRICS, RESULTS_SCHEMA, SCHEMA_VERSION, SUMMARY_METRICS, problem
from mi_lightning.report.summary import effort, verdict_figures

_JUDGED_BY = ("evaluator", "recogniser", "recogniser_missing", "data")


def write_results(
    folder: str | Path,
    result: InversionResult,
    judgement: Judgement | None = None,
    *,
    target: Mapping[str, Any],
    attack: Mapping[str, Any],
    input_range: tuple[float, float] = (0.0, 1.0),
    run: Mapping[str, Any] | None = None,
    timeline: tuple[Sequence[int], Sequence[NDArray[np.uint8]]] | None = None,
    verification: Mapping[str, Any] | None = None,
) -> Path:
    """Write all files of an attack. Each appears whole or not at all; ``results.json`` last.

    Args:
        folder: Where to; it is made if need be.
        result: What the attack found.
        judgement: What the judge said of it, if there was one.
        target: ``Target.describe()``.
        attack: ``Inversion.describe()``.
        input_range: Lowest and highest value of an input.
        run: How it was run; of this process (:func:`run_info`) if None.
        timeline: Iterations, and how what had been found of each label until then looked: for each of them pixels (L,
            H, W) or (L, H, W, 3), labels in rising order.
        verification: Whether the target was shown to know the people
            (:meth:`mi_lightning.judging.sanity.Sanity.describe`); nobody asked if None.

    Returns:
        Path of ``results.json``.

    Raises:
        MIError: If a file cannot be written.
    """
    folder = Path(folder)
    chosen = best_rows(result)
    rate = sound.sample_rate(attack, None if judgement is None else judgement.description.get("data"))
    modality = modality_of(result.reconstruction.shape[1:], input_range, rate)
    rows, shown = _per_label(result, judgement, chosen), select_rows(result.reconstruction, chosen)
    data = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "package_versions": package_versions(),
        "config": "config.yaml" if (folder / "config.yaml").is_file() else None,
        "target": {"class": None, "checkpoint_sha256": None, "defenses": [], "test_accuracy": None}
        | {"fingerprint": result.target_sha256 or None}
        | dict(target),
        "attack": dict.fromkeys(RESULTS_SCHEMA["properties"]["attack"]["required"]) | dict(attack),
        "summary": _summary(plain(rows), judgement, pictures.outside_range(shown, input_range)),
        "per_label": rows,
        "input_shape": list(result.reconstruction.shape[1:]),
        "input_range": list(input_range),
        "controls": {} if judgement is None else judgement.controls,
        "ceiling": {} if judgement is None else judgement.ceiling,
        "chance": {} if judgement is None else judgement.chance,
        **{name: None if judgement is None else judgement.description.get(name) for name in _JUDGED_BY},
        "verification": None if verification is None else dict(verification),
        "run": run_info() if run is None else dict(run),
    }
    written = plain(data)
    if found := problem(written, RESULTS_SCHEMA):  # of the caller's making: target or attack of the wrong kind
        raise TypeError(f"results do not fit schema version {SCHEMA_VERSION}: {found}")
    files: dict[str, Content] = {
        "per_label.csv": csv_table(written["per_label"], ("label", "name")).encode(),
        "reconstructions.npz": _npz(result, judgement, modality, timeline),
        **media(modality.kind).files(Found(result, judgement, chosen, modality)),
        "results.json": (json.dumps(written, indent=2, allow_nan=False) + "\n").encode(),
    }
    for name, content in files.items():  # results.json last: where it is, the others are
        write_atomically(folder / name, content)
    return folder / "results.json"


def _per_label(result: InversionResult, judgement: Judgement | None, chosen: Tensor) -> list[dict[str, Any]]:
    """One entry for each row of the attack; the best restart of each label is marked."""
    best = set(chosen.tolist())
    per_row = {} if judgement is None else judgement.per_row
    names, rows = known_names(result, judgement), range(len(result))
    verdicts = () if judgement is None else judgement.verdicts
    guesses = {
        who: None if judgement is None or (guess := getattr(judgement, who)) is None else guess.tolist()
        for who in ("evaluator_guess", "recogniser_guess")
    }
    columns = {
        "label": result.label.tolist(),
        "name": list(result.name),
        "restart": result.restart.tolist(),
        "best": [row in best for row in rows],
        "cost": result.cost.tolist(),
        "confidence": result.confidence.tolist(),
        "iterations": result.iterations.tolist(),
        "stop_reason": list(result.stop_reason),
        "queries": result.queries.tolist(),
        "seconds": result.seconds.tolist(),
        # said only where there is something to say
        **({"same_answers": result.same_answers.tolist()} if bool(result.same_answers.any()) else {}),
        "best_iteration": [None if at < 0 else at for at in result.best_iteration.tolist()],
        "verdict": [verdicts[row].kind if verdicts and row in best else None for row in rows],
        "verdict_reason": [verdicts[row].reason if verdicts and row in best else None for row in rows],
        **{who: [None if guess is None else names.get(guess[row]) for row in rows] for who, guess in guesses.items()},
    } | {metric: per_row[metric].tolist() if metric in per_row else [None] * len(result) for metric in METRICS}
    columns |= {metric: value.tolist() for metric, value in per_row.items() if metric not in columns}
    columns["recogniser_rank"] = [
        None if rank is None or math.isnan(rank) else int(rank) for rank in columns["recogniser_rank"]
    ]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _summary(rows: Sequence[Mapping[str, Any]], judgement: Judgement | None, outside_range: float) -> dict[str, Any]:
    """Numbers of the whole attack: effort over all rows, outcome over the best restart of each label."""
    judged = {} if judgement is None else dict(judgement.summary) | verdict_figures(rows)
    return {
        **effort(rows, outside_range),
        **{name: judged.get(name) for name in SUMMARY_METRICS},
        **{name: value for name, value in judged.items() if name not in (*SUMMARY_METRICS, "confidence_mean")},
    }


def write_part(path: str | Path, result: InversionResult) -> None:
    """Write what one part of an attack has found while others still run: arrays as in ``reconstructions.npz``.

    Args:
        path: File to write.
        result: What it found.

    Raises:
        MIError: If it cannot be written.
    """
    more = ("iterations", "queries", "best_iteration")
    arrays: dict[str, NDArray[Any]] = {name: getattr(result, name).numpy() for name in (*ARRAYS, *more)}
    arrays |= {name: np.array(getattr(result, name)) for name in ("name", "stop_reason")}
    # not compressed: it is read once, or by nobody
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def _npz(
    result: InversionResult,
    judgement: Judgement | None,
    modality: Modality,
    timeline: tuple[Sequence[int], Sequence[NDArray[np.uint8]]] | None,
) -> Callable[[IO[bytes]], object]:
    """Arrays without Python objects, and the photographs that a report shows, so that it needs no data again."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(result, name).numpy() for name in ARRAYS}
    if judgement is not None:
        arrays |= media(modality.kind).arrays(judgement, modality)
    if timeline is not None:
        arrays |= {"timeline_iteration": np.array(timeline[0]), "timeline": np.stack(timeline[1])}
    # into the file, array by array: in memory it would be there twice
    return lambda file: np.savez_compressed(file, allow_pickle=False, **arrays)
