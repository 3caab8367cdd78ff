"""The people of a report, those most at risk first: a card for each, with a cell for each run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mi_lightning.report.formats import show
from mi_lightning.report.marks import mark
from mi_lightning.report.results import RunResults

_UNJUDGED = "no recogniser judged this run"


def people(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Make one card for each person: photograph or voice, and one cell for each run that reconstructed the person.

    Args:
        names: Name of each run.
        runs: The runs.

    Returns:
        Cards: first those whom most runs recognise, among these by the best rank and then the least distance that the
        recogniser gave, then by label. ``name``, ``mean`` and ``voice`` (what the person looks and sounds like),
        ``cells`` (one for each run, None where the person was not attacked), ``hits`` and ``of`` (runs that recognise
        the person, of those judged) and ``sort``, values to sort cards by.
    """
    cards: dict[tuple[int, str], dict[str, Any]] = {}
    for place, run in enumerate(runs):
        for index, row in zip(run.best_index, run.best, strict=True):
            card = cards.setdefault(
                (row["label"], row["name"]),
                {"label": row["label"], "name": row["name"], "mean": None, "voice": None, "cells": [None] * len(runs)},
            )
            card["cells"][place] = _cell(names[place], run, row)
            if run.pictures:
                run.media.introduce(card, run.arrays, index, run.modality)
                card["cells"][place] |= run.media.cell(run.arrays, index, run.modality)
    for card in cards.values():
        cells = [cell for cell in card["cells"] if cell is not None]
        rows = [cell["row"] for cell in cells]
        card["hits"] = sum(cell["mark"].key == "recognised" for cell in cells)
        card["of"] = sum(row.get("recognised") is not None for row in rows)
        card["nearest"] = (_least(rows, "recogniser_rank"), _least(rows, "recogniser_distance"))
    by_label = sorted(cards)
    ordered = sorted(by_label, key=lambda key: (-cards[key]["hits"], *cards[key]["nearest"], by_label.index(key)))
    for place, key in enumerate(ordered):
        rows = [cell["row"] for cell in cards[key]["cells"] if cell is not None]
        cards[key]["sort"] = {
            "risk": place,
            "label": by_label.index(key),
            "inside": _mean((row.get("evaluator_top1") or 0) + (row.get("evaluator_confidence") or 0) for row in rows),
            "ssim": _mean(row["ssim"] or 0 for row in rows),
            "confidence": _mean(row["confidence"] or 0 for row in rows),
        }
    return [cards[key] for key in ordered]


def _cell(run_name: str, run: RunResults, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell says in words and numbers; how the reconstruction is shown is added to it."""
    return {
        "run": run_name,
        "row": row,
        "mark": mark(row.get("verdict")),
        "reason": _sentence(row.get("verdict_reason") or run.data.get("recogniser_missing") or _UNJUDGED),
        "outside": _outside(row, (run.data.get("recogniser") or {}).get("people")),
        "inside": _inside(row),
        "picture": None,
        "sounds": [],
        "closest": None,
        "stretch": "",
        "film": None,
    }


def _sentence(reason: str) -> str:
    return reason[:1].upper() + reason[1:] + ("" if reason.endswith((".", "!", "?")) else ".")


def _outside(row: Mapping[str, Any], people: int | None) -> str:
    """What the recogniser said of a row."""
    if row.get("recogniser_rank") is None:
        return ""
    rank, distance = row["recogniser_rank"], row.get("recogniser_distance")
    said = [
        f"recogniser: {row.get('recogniser_guess') or 'nobody'}",
        f"rank {rank}" + (f" of {people}" if people else ""),
    ]
    if distance is not None:
        said.append(f"distance {distance:.2f}")
    if (accepted := row.get("accepted_at_1_percent")) is not None:
        said.append("accepted at 1%" if accepted else "not accepted at 1%")
    if row.get("detected") == 0:
        said.append("no face or voice detected")
    return " · ".join(said)


def _inside(row: Mapping[str, Any]) -> str:
    """What those said who know the person from training, and how long the attack took."""
    said = []
    if row["evaluator_top1"] is not None:
        right = row["name"] if row["evaluator_top1"] else "somebody else"
        said.append(f"inside evaluator: {row.get('evaluator_guess') or right}")
    said.append(f"target {show(row['confidence'], 'share')} sure")
    if row.get("ssim") is not None:
        said.append(f"SSIM {row['ssim']:.2f}")
    if (best := row.get("best_iteration")) is not None and best >= 0:
        said.append(f"best at iteration {best:,} of {row['iterations']:,}")
    else:
        said.append(f"{row['iterations']:,} iterations")
    return " · ".join(said)


def _least(rows: Iterable[Mapping[str, Any]], key: str) -> float:
    return min((row[key] for row in rows if row.get(key) is not None), default=math.inf)


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0
