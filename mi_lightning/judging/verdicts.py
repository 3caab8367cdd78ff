"""One verdict for each person and run, each with its reason: a failed attack is never taken for a safe model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mi_lightning.attacks.result import InversionResult

#: Every verdict.
VERDICTS = ("attack_failed", "recognised", "fools_model_only", "not_reconstructed", "not_judged")

#: How they are called where people read them.
TITLES: Mapping[str, str] = {
    "attack_failed": "attack failed",
    "recognised": "recognised",
    "fools_model_only": "fools the model only",
    "not_reconstructed": "not reconstructed",
    "not_judged": "not judged",
}

SURE = 0.9  # confidence from which a target that is shown nobody's likeness counts as fooled

#: Why a row ended before it could stop by itself, in words.
_CUT_SHORT: Mapping[str, str] = {
    "diverged": "the attack diverged",
    "interrupted": "the attack was interrupted",
    "query_budget": "the query budget was gone",
    "target_error": "the target failed",
}


@dataclass(frozen=True)
class Verdict:
    """What is said of one reconstruction.

    Attributes:
        kind: One of :data:`VERDICTS`.
        reason: Why, in a sentence without its full stop.
    """

    kind: str
    reason: str


@dataclass(frozen=True)
class Facts:
    """What a verdict rests on; None where it was not measured.

    Attributes:
        finite: Whether the reconstruction holds numbers only.
        best_iteration: Iteration that it came from; 0 is where the attack began, -1 not known.
        stop_reason: Why the row stopped.
        confidence: How sure the target is of the label, in [0, 1].
        recognised: Whether the recogniser names the person first.
        rank: Place of the person among those whom it knows, from 1.
        accepted: Whether it would let the reconstruction in as the person, where 1% of impostors get in.
        inside: Whether the inside evaluator names the person.
        missing: Why no recogniser was asked.
        same_answers: How many answers there were, if all of them were the same.
    """

    finite: bool
    best_iteration: int
    stop_reason: str
    confidence: float
    recognised: bool | None = None
    rank: int | None = None
    accepted: bool | None = None
    inside: bool | None = None
    missing: str | None = None
    same_answers: int | None = None


def verdict_of(facts: Facts) -> Verdict:
    """Say what came of one attack on one person, by the first rule that fits.

    *Attack failed*: there is no usable iterate, or the attack ended before its end and nothing came of it; nothing
    follows for the model. *Recognised*: somebody who never met the model names the person. *Fools the model only*: the
    target (at least 0.9 sure) or an inside evaluator takes it for the person, and nobody else. *Not reconstructed*:
    this attack, run to its end, found nothing. *Not judged*: nobody could tell.

    Args:
        facts: What was measured.

    Example:
        >>> verdict_of(Facts(finite=True, best_iteration=0, stop_reason="stagnation", confidence=0.02)).kind
        'attack_failed'
    """
    if not facts.finite:
        return Verdict("attack_failed", "what was found are no numbers")
    if facts.best_iteration == 0:
        return Verdict("attack_failed", _never_moved(facts))
    if facts.recognised is None:
        if facts.missing is None:
            return Verdict("not_judged", "there are no real samples of this person, or the recogniser could not tell")
        return Verdict("not_judged", facts.missing)
    if facts.recognised:
        said = "the recogniser names the person first"
        if facts.accepted is not None:
            said += f", who would {'' if facts.accepted else 'not '}be let in where 1% of impostors are"
        return Verdict("recognised", said)
    seen = "the recogniser names somebody else"
    if facts.rank is not None:
        seen += f" (the person is number {facts.rank})"
    fooled = [f"the target is {facts.confidence:.0%} sure"] if facts.confidence >= SURE else []
    fooled += ["the inside evaluator names the person"] if facts.inside else []
    if fooled:
        return Verdict("fools_model_only", f"{' and '.join(fooled)}, but {seen}")
    if facts.stop_reason in _CUT_SHORT:
        return Verdict("attack_failed", f"{_CUT_SHORT[facts.stop_reason]} before anything was found")
    return Verdict("not_reconstructed", f"the target is {facts.confidence:.0%} sure, and {seen}")


def _never_moved(facts: Facts) -> str:
    """Why nothing was better than the start."""
    if facts.same_answers is not None and facts.same_answers > 1:
        return no_difference(facts.same_answers)
    if facts.stop_reason in _CUT_SHORT:
        return f"{_CUT_SHORT[facts.stop_reason]} before anything was better than the start"
    if facts.confidence >= SURE:
        return "the target was sure before the first step: a saturated softmax leaves nothing to descend"
    return "nothing was better than the start: a vanished gradient, or answers that do not change"


def no_difference(answers: int) -> str:
    """Say of an attack by queries why it could not find anything.

    Args:
        answers: How many it got.

    Example:
        >>> no_difference(2570)
        'all 2,570 answers were the same: the attack saw no difference to follow'
    """
    return f"all {answers:,} answers were the same: the attack saw no difference to follow"


def verdicts_of(result: InversionResult, per_row: Mapping[str, Tensor], missing: str | None) -> tuple[Verdict, ...]:
    """Say it of every row of an attack.

    Args:
        result: What it found.
        per_row: Numbers of each row, ``recognised`` and so on, each of shape (R,); NaN where one was not measured.
        missing: Why no recogniser was asked; None if one was.
    """

    def of(name: str, row: int) -> float | None:
        value = float(per_row[name][row]) if name in per_row else math.nan
        return None if math.isnan(value) else value

    def flag(name: str, row: int) -> bool | None:
        value = of(name, row)
        return None if value is None else value > 0

    finite = result.reconstruction.flatten(1).isfinite().all(1).tolist()
    found = []
    for row in range(len(result)):
        rank = of("recogniser_rank", row)
        facts = Facts(
            finite=finite[row],
            best_iteration=int(result.best_iteration[row]),
            stop_reason=result.stop_reason[row],
            confidence=float(result.confidence[row]),
            recognised=flag("recognised", row),
            rank=None if rank is None else int(rank),
            accepted=flag("accepted_at_1_percent", row),
            inside=flag("evaluator_top1", row),
            missing=missing,
            same_answers=int(result.queries[row]) if bool(result.same_answers[row]) else None,
        )
        found.append(verdict_of(facts))
    return tuple(found)
