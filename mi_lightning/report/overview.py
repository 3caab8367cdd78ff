"""The first things that the page says: one sentence for the whole audit, and each attack by its verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mi_lightning.report.marks import bar
from mi_lightning.report.narrative import warnings
from mi_lightning.report.results import RunResults
from mi_lightning.report.verification import verification_of

INSTALL = 'pip install "mi-lightning[judges]"'
#: Figures of a run that an audit states (``runs`` of ``audit.json``); those that it does not know are null.
FIGURES = (
    *("kind", "people", "recognised", "recognised_low", "recognised_high", "accepted_at_1_percent"),
    *("accepted_at_0_1_percent", "wrongly_accepted_at_1_percent", "ceiling", "chance", "fools_model_only"),
    *("inside_top1", "inside_false_positive_rate", "attack_failed", "not_reconstructed", "not_judged"),
    *("best_control", "leak", "leak_low", "leak_high", "worst_person", "detected", "test_error", "refused", "controls"),
)


def entries(audit: Mapping[str, Any] | None, names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """What the audit says of each run that is shown, in their order; every figure is there, null if it is unknown.

    Args:
        audit: Content of ``audit.json``; None where no audit was made: then only what a run says of itself is known.
        names: Name of each run.
        runs: The runs.
    """
    known = {entry["name"]: entry for entry in (audit or {}).get("runs", [])}
    return [
        dict.fromkeys(FIGURES) | dict(known.get(name) or _own(run)) | {"name": name}
        for name, run in zip(names, runs, strict=True)
    ]


def _own(run: RunResults) -> dict[str, Any]:
    """What a run's own summary says, without an audit: no interval, no leak."""
    summary, chance = run.summary, run.data.get("chance") or {}
    figures = ("recognised", "accepted_at_1_percent", "accepted_at_0_1_percent", "wrongly_accepted_at_1_percent")
    found = {key: summary.get(key) for key in (*figures, "fools_model_only", "inside_false_positive_rate", "detected")}
    controls = {name: numbers.get("recognised") for name, numbers in (run.data.get("controls") or {}).items()}
    return found | {
        "people": summary["labels"],
        "inside_top1": summary.get("evaluator_top1"),
        "ceiling": run.ceiling and run.ceiling[1],
        "chance": chance.get("recognised"),
        "controls": {name: share for name, share in controls.items() if share is not None},
        "test_error": (run.data.get("recogniser") or {}).get("test_error"),
    }


def headline(audit: Mapping[str, Any] | None, runs: Sequence[RunResults]) -> dict[str, Any]:
    """The sentence and the figure of the whole audit; where there is none, why, and what to do.

    Returns:
        ``sentence``, ``figure`` (a share), ``low``, ``high``, and ``missing``: the reason why there is no figure.
    """
    found = dict((audit or {}).get("headline") or {})
    figure = found.get("figure", found.get("recognised"))
    missing = found.get("refused")
    if missing is None and figure is None:
        missing = next((run.data["recogniser_missing"] for run in runs if run.data.get("recogniser_missing")), None)
        missing = missing or ("no audit was made of these runs" if _judged(runs) else "no recogniser judged these runs")
    return {
        "sentence": found.get("sentence"),
        "figure": figure,
        "low": found.get("low", found.get("recognised_low")),
        "high": found.get("high", found.get("recognised_high")),
        "missing": missing,
        # where a reason is known, it says what to do
        "install": None if _judged(runs) or any(run.data.get("recogniser_missing") for run in runs) else INSTALL,
    }


def _judged(runs: Sequence[RunResults]) -> bool:
    """Whether a recogniser judged any of the runs."""
    return any(run.summary.get("recognised") is not None for run in runs)


def attacks(found: Sequence[Mapping[str, Any]], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """One line for each attack: its bar, its figures, and what has to be known before they are believed.

    Args:
        found: What :func:`entries` gave.
        runs: The runs, in the same order.
    """
    return [
        {
            "figures": entry,
            "bar": bar(run),
            "target": short(run.data["target"].get("class")) or "unknown target",
            "defenses": [short(each["class"]) if isinstance(each, Mapping) else each for each in _defenses(run)],
            "best": run.media.control(entry["best_control"]["name"]) if entry["best_control"] else None,
            "warnings": warnings(run),
            "verification": verification_of(run.data.get("verification")),
        }
        for entry, run in zip(found, runs, strict=True)
    ]


def _defenses(run: RunResults) -> Sequence[Any]:
    defenses: Sequence[Any] = run.data["target"].get("defenses") or []
    return defenses


def short(class_path: Any) -> str:
    """Last part of a class path; empty for none."""
    return str(class_path or "").rpartition(".")[2]
