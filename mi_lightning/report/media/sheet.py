"""The contact sheet: the best reconstruction of each person, its caption, and whose it was taken for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.judging.judgement import Judgement
from mi_lightning.report import pictures


def known_names(result: InversionResult, judgement: Judgement | None) -> Mapping[int, str]:
    """Name of each class that the evaluator may name: the judge knows all, the attack only those attacked."""
    known = () if judgement is None else judgement.class_names
    return dict(zip(result.label.tolist(), result.name, strict=True)) | dict(enumerate(known))


def contact_sheet(
    beside: Sequence[pictures.Pixels],
    result: InversionResult,
    judgement: Judgement | None,
    chosen: Tensor,
    *,
    noun: str,
    lines: Sequence[str],
) -> bytes:
    """Draw what an attack found of each person.

    Args:
        beside: What stands side by side for each person, one or more of shape (people, H, W) or (people, H, W, 3).
        result: What the attack found.
        judgement: What the judge said of it, if there was one.
        chosen: Rows that are shown, shape (people,), int64.
        noun: What is shown, in the plural.
        lines: Lines below the heading.

    Returns:
        A PNG file.
    """
    best = result.select(chosen)
    guess = None if judgement is None or judgement.evaluator_guess is None else judgement.evaluator_guess[chosen]
    sure = [f"{value:.0%}" for value in best.confidence.tolist()]
    captions = [f"target {value} sure" for value in sure]
    right: list[bool | None] = [None] * len(best)
    heading = f"{len(best)} {noun}"
    if guess is not None:
        names = known_names(result, judgement)
        right = (guess == best.label).tolist()
        captions = [
            f"named {names.get(k, 'nobody')}, target {value}" for k, value in zip(guess.tolist(), sure, strict=True)
        ]
        heading += f"; an inside evaluator names {int((guess == best.label).sum())} of them right"
    return pictures.contact_sheet(beside, names=best.name, captions=captions, right=right, heading=[heading, *lines])
