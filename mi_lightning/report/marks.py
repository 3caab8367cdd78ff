"""How the page shows a verdict: name, letter, what it means; and how often a run came to each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from mi_lightning.judging.verdicts import TITLES
from mi_lightning.report.results import RunResults


@dataclass(frozen=True)
class Mark:
    """A verdict as people see it; each has a letter and a pattern, so that no colour is needed to tell them apart.

    Attributes:
        key: Its name in ``results.json``.
        title: Its name for people.
        letter: What stands in a bar.
        help: What it means, in a sentence.
    """

    key: str
    title: str
    letter: str
    help: str


NOT_JUDGED = "not_judged"
_LETTERS = {"recognised": "R", "fools_model_only": "F", "not_reconstructed": "N", "attack_failed": "A", NOT_JUDGED: "?"}
_HELP = {
    "recognised": "The recogniser, which never met these people before it enrolled them, names the right one first.",
    "fools_model_only": (
        "The attacked model or the inside evaluator is satisfied, but the recogniser sees somebody else."
    ),
    "not_reconstructed": "The attack ran to its end, and neither the recogniser nor the models see the person.",
    "attack_failed": (
        "The attack found nothing that can be judged: this says something about the attack, nothing about the model."
    ),
    NOT_JUDGED: "There was no recogniser, or nothing to compare with: neither good nor bad.",
}

#: In the order of a bar, from the left to the right.
MARKS = tuple(Mark(key, TITLES[key], letter, _HELP[key]) for key, letter in _LETTERS.items())
_BY_KEY = {each.key: each for each in MARKS}


def mark(key: str | None) -> Mark:
    """The mark of a verdict; of one that is missing or unknown, not judged."""
    return _BY_KEY.get(key or NOT_JUDGED, _BY_KEY[NOT_JUDGED])


def verdict_counts(run: RunResults) -> dict[str, int]:
    """How many people of a run got each verdict; a run of an earlier version judged nobody by them."""
    found = Counter(mark(row.get("verdict")).key for row in run.best)
    return {each.key: found[each.key] for each in MARKS}


def bar(run: RunResults) -> dict[str, Any]:
    """The stacked bar of a run: its parts, and the same in words."""
    counts = {each: count for each in MARKS if (count := verdict_counts(run)[each.key])}
    people = sum(counts.values())
    return {
        "parts": [{"mark": each, "count": count, "share": count / people} for each, count in counts.items()],
        "people": people,
        "words": ", ".join(f"{count} {each.title}" for each, count in counts.items()),
    }
