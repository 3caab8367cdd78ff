"""The people of a report: a card for each, with a cell for each run that reconstructed them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mi_lightning.report.results import RunResults


def people(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Make one card for each person: photograph or voice, and one cell for each run that reconstructed the person.

    Args:
        names: Name of each run.
        runs: The runs.

    Returns:
        Cards in the order of the labels: ``name``, ``mean`` and ``voice`` (what the person looks and sounds like),
        ``cells`` (one for each run, None where the person was not attacked) and ``sort``, values to sort cards by.
    """
    cards: dict[tuple[int, str], dict[str, Any]] = {}
    for place, run in enumerate(runs):
        for index, row in zip(run.best_index, run.best, strict=True):
            card = cards.setdefault(
                (row["label"], row["name"]),
                {"label": row["label"], "name": row["name"], "mean": None, "voice": None, "cells": [None] * len(runs)},
            )
            run.media.introduce(card, run.arrays, index, run.modality)
            card["cells"][place] = _verdict(names[place], row) | run.media.cell(run.arrays, index, run.modality)
    ordered = [cards[key] for key in sorted(cards)]
    for card in ordered:
        rows = [cell["row"] for cell in card["cells"] if cell is not None]
        card["sort"] = {
            "seen": _mean((row.get("evaluator_top1") or 0) + (row.get("evaluator_confidence") or 0) for row in rows),
            "ssim": _mean(row["ssim"] or 0 for row in rows),
            "confidence": _mean(row["confidence"] or 0 for row in rows),
        }
    return ordered


def _verdict(run_name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell says in words and numbers; how the reconstruction is shown is added to it."""
    top1, guess = row["evaluator_top1"], row.get("evaluator_guess")
    return {
        "run": run_name,
        "row": row,
        "right": None if top1 is None else bool(top1),
        "guess": guess or ("somebody else" if top1 is not None and not top1 else row["name"]),
        "picture": None,
        "sounds": [],
        "closest": None,
        "stretch": "",
    }


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0
