"""What is told of one run: its figures, each with an interval, and what they are measured against."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mi_lightning.judging.verdicts import VERDICTS
from mi_lightning.report.notes import QUICK
from mi_lightning.report.overview import INSTALL
from mi_lightning.report.results import CEILINGS, RunResults
from mi_lightning.stats import exact_interval, headline_refusal, nested_interval, runs_for_bound, worst_person_bound

#: A control is a run, or lines of several runs that share the people among them, each with ``name`` and ``recognised``.
Control = RunResults | Sequence[Mapping[str, Any]]

#: Verdicts of which the share is told; that of ``recognised`` is a figure of its own.
VERDICT_SHARES = tuple(verdict for verdict in VERDICTS if verdict != "recognised")
_ROW_SHARES = (
    "recognised",
    "accepted_at_1_percent",
    "accepted_at_0_1_percent",
    "wrongly_accepted_at_1_percent",
    "detected",
)
#: Shares over the people of a run that a recogniser gives; null where none judged.
OUTSIDE_SHARES = (*_ROW_SHARES, "fools_model_only", "not_reconstructed", "inside_false_positive_rate")
#: All shares over the people of a run: null where these are too few. Each has an interval, its ``_low`` and ``_high``.
SHARES = (*OUTSIDE_SHARES, "inside_top1", "attack_failed", "not_judged")

_UNJUDGED = f"no recogniser judged this run: install one ({INSTALL}) and run the attack again"


def run_figures(name: str, run: RunResults, controls: Mapping[str, Control], folder: Path) -> dict[str, Any]:
    """Figures of a run, as in ``runs`` of ``audit.json``.

    Args:
        name: What the run is called.
        run: The run.
        controls: Further runs that are its controls, by the names of these.
        folder: Folder of the audit.

    Returns:
        Plain values; null where a figure could not be measured, or where there are too few people for it.
    """
    found: dict[str, Any] = {
        "name": name,
        "folder": Path(os.path.relpath(run.folder.resolve(), folder.resolve())).as_posix(),
        **_settings(run),
        "people": len(run.best),
        "judged": len(hits(run.best)),
        "seconds": run.summary.get("seconds"),
        "chance": (run.data.get("chance") or {}).get("recognised"),
        "ceiling": run.ceiling and run.ceiling[1],
        "ceiling_of": run.ceiling and run.ceiling[0],
        "controls": {control: _share_of(numbers) for control, numbers in _all_controls(run, controls).items()},
        "test_error": (run.data.get("recogniser") or {}).get("test_error"),
        "refused": refusal(run),
        "verification": run.data.get("verification"),
    }
    found |= _shares(run, few=run.quick or headline_refusal(_judged_people(run)) is not None)
    return found | _leak(run, found, controls) | {"worst_person": _worst_person(run)}


def refusal(run: RunResults) -> str | None:
    """Why a run supports no headline: it is quick, nobody judged it, its people are too few; None if it does."""
    if run.quick:
        return QUICK
    if not hits(run.best):
        return run.data.get("recogniser_missing") or _UNJUDGED
    return headline_refusal(len(hits(run.best)))


def hits(rows: Sequence[Mapping[str, Any]], figure: str = "recognised") -> dict[str, float]:
    """A number of each person who has it, by name.

    Args:
        rows: One line for each person, such as the row that the attack's own selection ranks first.
        figure: The number.
    """
    return {row["name"]: float(row[figure]) for row in rows if row.get(figure) is not None}


def _judged_people(run: RunResults) -> int:
    """People whom the recogniser judged; all where there was none."""
    return len(hits(run.best)) or len(run.best)


def _settings(run: RunResults) -> dict[str, Any]:
    """What was attacked, and how, in a line each."""
    target, attack = run.data["target"], run.data["attack"]
    defenses = [_short(defense) for defense in target.get("defenses") or []]
    step, estimator = _short(attack.get("step")), _short(attack.get("estimator"))
    parts = [f"{step} ({estimator})" if estimator else step, _short(attack.get("cost")), _short(attack.get("space"))]
    access = target.get("access")
    return {
        "target": " behind ".join([_short(target) or "unknown", *([", ".join(defenses)] if defenses else [])]),
        "target_class": target.get("class"),
        "attack": ", ".join(part for part in parts if part) or "unknown",
        "kind": access.replace("_", " ") if isinstance(access, str) else None,
    }


def _short(part: Any) -> str:
    """Last part of the class of a part; empty if it has none."""
    path = part.get("class") if isinstance(part, Mapping) else part
    return str(path or "").rpartition(".")[2]


def people_of(run: RunResults) -> dict[str, dict[str, float]]:
    """What each of :data:`SHARES` is the mean of: a number of each person for whom it is known, by name."""
    values = {key: hits(run.best, key) for key in _ROW_SHARES}
    inside = hits(run.best, "evaluator_top1")
    values["inside_top1"] = inside
    values["inside_false_positive_rate"] = {
        name: inside[name] for name, hit in values["recognised"].items() if not hit and name in inside
    }
    verdicts = {row["name"]: row["verdict"] for row in run.best if row.get("verdict") is not None}
    for verdict in VERDICT_SHARES:
        values[verdict] = {name: float(found == verdict) for name, found in verdicts.items()}
    return values


def _shares(run: RunResults, *, few: bool) -> dict[str, float | None]:
    """Every share over people with its interval; null if they are too few."""
    values = people_of(run)
    judged = bool(values["recognised"])
    found: dict[str, float | None] = {}
    for key in SHARES:
        shown = not few and (judged or key not in OUTSIDE_SHARES)  # a 0 for want of a judge would say too much
        found |= _with_interval(key, list(values[key].values()) if shown else [])
    return found


def _with_interval(key: str, values: Sequence[float]) -> dict[str, float | None]:
    """A mean over people and its 95% interval: exact for hits, by the bootstrap for shares of something else."""
    if not values:
        return dict.fromkeys((key, f"{key}_low", f"{key}_high"))
    if all(value in (0, 1) for value in values):
        low, high = exact_interval(int(sum(values)), len(values))
    else:
        low, high = nested_interval([[value] for value in values])
    return {key: float(np.mean(values)), f"{key}_low": low, f"{key}_high": high}


def _all_controls(run: RunResults, controls: Mapping[str, Control]) -> dict[str, Any]:
    """Controls in the order of the run, then those that are runs; what real samples give is none."""
    own = {name: numbers for name, numbers in (run.data.get("controls") or {}).items() if name not in CEILINGS}
    return {**own, **controls}


def _control_hits(control: Control) -> dict[str, float]:
    """Of each person: whether the recogniser names the person in a control."""
    return hits(control.best if isinstance(control, RunResults) else control)


def _share_of(control: Any) -> float | None:
    """Share whom the recogniser names in a control."""
    if isinstance(control, Mapping):
        share: float | None = control.get("recognised")
        return share
    values = list(_control_hits(control).values())
    return float(np.mean(values)) if values else None


def _leak(run: RunResults, found: Mapping[str, Any], controls: Mapping[str, Control]) -> dict[str, Any]:
    """The difference to the best control, with an interval where both are known person by person."""
    shares = {name: share for name, share in found["controls"].items() if share is not None}
    if not shares or found["recognised"] is None:
        return dict.fromkeys(("best_control", "leak", "leak_low", "leak_high"))
    # of equal controls the one that is known person by person, which supports an interval
    best = max(shares, key=lambda name: (shares[name], name in controls))
    leak: dict[str, Any] = {
        "best_control": {"name": best, "recognised": shares[best]},
        "leak": found["recognised"] - shares[best],
        "leak_low": None,
        "leak_high": None,
    }
    own, other = hits(run.best), _control_hits(controls[best]) if best in controls else {}
    if own.keys() == other.keys():
        difference = [[own[name] - other[name]] for name in own]
        leak["leak_low"], leak["leak_high"] = nested_interval(difference, bounds=(-1.0, 1.0))
    else:
        # not known of the same people: by the intervals of both shares (Newcombe, Stat. Med. 17, 1998, method 10)
        share, low, high = (found[f"recognised{end}"] for end in ("", "_low", "_high"))
        count = len(other) or len(run.best)
        control_low, control_high = exact_interval(round(shares[best] * count), count)
        leak["leak_low"] = leak["leak"] - math.hypot(share - low, control_high - shares[best])
        leak["leak_high"] = leak["leak"] + math.hypot(high - share, shares[best] - control_low)
    return leak


def _worst_person(run: RunResults) -> dict[str, Any]:
    """How often anybody could be recognised at most, on how many runs that rests, and how many would settle it."""
    values = hits(run.best)
    if not values:
        return {"bound": None, "runs": 0, "runs_needed": None}
    everybody = [row["name"] for row in run.best]  # also who could not be judged, who may be the worst off
    bound = worst_person_bound([int(values.get(name, 0)) for name in everybody], [name in values for name in everybody])
    return {"bound": bound, "runs": 1, "runs_needed": runs_for_bound(len(everybody))}
