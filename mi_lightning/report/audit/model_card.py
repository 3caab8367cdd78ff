"""What an audit found as a section of a model card, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.formats import show
from mi_lightning.report.verification import verification_of

_COLUMNS = ("attack", "access", "people", "recognised", "ceiling", "guessing", "best control", "let in at 1%")
_COLUMNS_MEAN = (
    "Recognised: the share of the people whom a recogniser that was trained on other people names first, with its 95% "
    "interval. Ceiling: the same of real samples. Best control: the same where nothing leaked. Let in at 1%: the share "
    "whose reconstruction it accepts as the person at a threshold that lets in 1% of real impostors."
)
_LIMITS = (
    "Limits: these attacks are not all attacks. An attack that failed says nothing about the model, and people whom no "
    "attack here recovers may be recovered by another. A share is a mean over people: see `worst_person` in "
    "`audit.json` for what holds for each of them."
)


def model_card(document: Mapping[str, Any], outcomes: Sequence[Outcome] = ()) -> str:
    """Text of ``model_card.md``: headline, a table of the attacks, what it rests on, and what it does not show.

    Args:
        document: Content of ``audit.json``.
        outcomes: What came of the gates.
    """
    runs = document["runs"]
    lines = [
        "## Privacy: what the model gives away of the people it was trained on",
        "",
        _text(document["headline"]["sentence"]),
        "",
        f"Release: {_text(document['release_context'] or 'not stated')}",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
        *(f"| {' | '.join(_row(run))} |" for run in runs),
        "",
        _COLUMNS_MEAN,
        "",
    ]
    if refused := [
        f"- {_text(run['name'])} could not be measured: {_text(run['refused'])}" for run in runs if run["refused"]
    ]:
        lines += [*refused, ""]
    if odd := [run for run in runs if run.get("verification") and run["verification"]["status"] != "verified"]:
        found = [(run["name"], verification_of(run["verification"])) for run in odd]
        lines += [*(f"- {_text(name)}: {_text(f'{each.title} {each.text}')}" for name, each in found), ""]
    if failed := [run for run in runs if run["attack_failed"]]:
        lines += [
            *(f"- {_text(run['name'])}: the attack failed for {show(run['attack_failed'], 'share')}" for run in failed),
            "",
        ]
    if outcomes:
        lines += [
            "Gates:",
            "",
            *(f"- {'held' if each.passed else 'FELL'}: {_text(each.line)}" for each in outcomes),
            "",
        ]
    lines += [
        *_judges(document),
        "",
        _LIMITS,
        "",
        f"Measured with mi_lightning ({document['created'][:10]}); all figures are in `audit.json`.",
    ]
    return "\n".join(lines) + "\n"


def _row(run: Mapping[str, Any]) -> list[str]:
    recognised = show(run["recognised"], "share")
    if run["recognised"] is not None:
        recognised += f" ({show(run['recognised_low'], 'share')} to {show(run['recognised_high'], 'share')})"
    best = run["best_control"]
    return [
        _text(run["name"]),
        run["kind"] or "–",
        str(run["people"]),
        recognised,
        show(run["ceiling"], "share"),
        show(run["chance"], "share"),
        "–" if best is None else f"{show(best['recognised'], 'share')} ({_text(best['name'].replace('_', ' '))})",
        show(run["accepted_at_1_percent"], "share"),
    ]


def _judges(document: Mapping[str, Any]) -> list[str]:
    """A line for each recogniser."""
    return [
        f"Recogniser: {_text(str(judge['class']).rpartition('.')[2])}, trained on"
        f" {_text(str(judge.get('trained_on') or 'data that are not stated'))}; it names"
        f" {show(judge.get('test_error'), 'share')} of the real test samples wrong."
        for judge in document["judges"]
        if judge["role"] == "recogniser"
    ] or ["Recogniser: none."]


def _text(value: str) -> str:
    """A line that Markdown does not take for anything else."""
    line = " ".join(value.split())
    for character in "\\|*_<>[]`":
        line = line.replace(character, f"\\{character}")
    return line
