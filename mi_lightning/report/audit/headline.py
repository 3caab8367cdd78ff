"""One sentence and one figure for a whole audit, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mi_lightning.report.formats import show
from mi_lightning.report.verification import unshown


def headline(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Say what a whole audit found.

    The figure is that of the run in which the greatest share of people was recognised: an attacker would choose it.

    Args:
        runs: What was found of each run (:func:`~mi_lightning.report.audit.figures.run_figures`), one or more.

    Returns:
        ``sentence``, ``figure`` (a share) with ``low`` and ``high``, ``run`` (its name), and ``refused``: why there is
        no figure; what does not apply is None.
    """
    measured = [run for run in runs if run["recognised"] is not None]
    if not measured:
        return _refused(runs)
    # whom an attack finds is found; that it finds nobody says nothing of a target that may not know them
    measured = [run for run in measured if not unshown([run]) or is_above_controls(run)]
    if not measured:
        return _refused([{**run, "refused": unshown([run]) or run["refused"]} for run in runs])
    worst = max(measured, key=lambda run: run["recognised"])  # the first of equals
    found = {
        "figure": worst["recognised"],
        "low": worst["recognised_low"],
        "high": worst["recognised_high"],
        "run": worst["name"],
        "refused": None,
    }
    sentence = _sentence(worst, measured) + _unjudged(worst) + _unmeasured(len(runs) - len(measured))
    if reason := unshown(measured):
        sentence += f" Others may be given away, too: {reason}."
    return {"sentence": sentence} | found


def no_headline(reason: str) -> dict[str, Any]:
    """Say that a whole audit has no figure, as :func:`headline` says it.

    Args:
        reason: Why.
    """
    return {"sentence": f"No headline: {reason}.", **dict.fromkeys(("figure", "low", "high", "run")), "refused": reason}


def is_above_controls(run: Mapping[str, Any]) -> bool:
    """Whether more people are recognised than guessing and the best control explain, by the low end of the interval."""
    control = (run["best_control"] or {}).get("recognised") or 0.0
    return bool(run["recognised_low"] > max(run["chance"] or 0.0, control))


def _sentence(worst: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]) -> str:
    share, name = show(worst["recognised"], "share"), worst["name"]
    if all(run["attack_failed"] == 1 for run in measured):
        return (
            f"Every attack failed for every person ({share} recognised), which says something about the attacks and "
            "nothing about the models"
        )
    who = f"{share} of the people in what {name} reconstructed"
    best = "; no other attack reaches more" if len(measured) > 1 else ""
    if worst["recognised"] == 0:
        which = "the attack" if len(measured) == 1 else "any attack"
        return (
            f"A recogniser that was trained on other people names {share} of the people in what {which} reconstructed: "
            "no leak was shown, which does not show that there is none"
        )
    if not is_above_controls(worst):
        return (
            f"A recogniser that was trained on other people names {who}{best}: that cannot be told from guessing and "
            "the controls, so no leak was shown, which does not show that there is none"
        )
    return (
        f"A recogniser that was trained on other people names {who}, more than guessing and the controls explain{best}"
    )


def _unjudged(worst: Mapping[str, Any]) -> str:
    """Say that a share is one of fewer people than were attacked."""
    if (missing := worst["people"] - worst["judged"]) == 0:
        return ""
    return f"; {missing} of its {worst['people']} people could not be judged and are left out"


def _unmeasured(count: int) -> str:
    if not count:
        return "."
    return f"; {'1 run' if count == 1 else f'{count} runs'} could not be measured."


def _refused(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    reasons = dict.fromkeys(str(run["refused"]) for run in runs)
    reason = "; ".join(reasons)
    few = all(run["test_error"] is not None for run in runs)
    kind = "refused" if few else "missing"
    found = dict.fromkeys(("figure", "low", "high", "run"))
    return {"sentence": f"The headline is {kind}: {reason}."} | found | {"refused": reason}
