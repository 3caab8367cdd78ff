"""What the figures rest on: what the attacker had, what was compared, and how far the recogniser can be trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mi_lightning.public_models import __all__ as public_models
from mi_lightning.report.formats import show
from mi_lightning.report.overview import short
from mi_lightning.report.results import RunResults

ACCESS = {
    "white_box": "white box: the whole model with its weights",
    "black_box": "black box: confidences of inputs of the attacker's choice",
    "label_only": "label only: the winning name for inputs of the attacker's choice",
}


def threat_model(found: Sequence[Mapping[str, Any]], runs: Sequence[RunResults]) -> list[dict[str, str]]:
    """What the attacker of each run had, and what stood in between.

    Args:
        found: What the audit says of each run.
        runs: The runs, in the same order.
    """
    rows = []
    for entry, run in zip(found, runs, strict=True):
        target, attack = run.data["target"], run.data["attack"]
        access = str(target.get("access") or str(entry.get("kind") or "").replace(" ", "_"))
        public = list(dict.fromkeys(_public(attack)))
        priors = [str(prior.get("class")) for prior in attack.get("priors") or [] if isinstance(prior, Mapping)]
        rows.append(
            {
                "name": entry["name"],
                "access": ACCESS.get(access, "not recorded"),
                "queries": show(run.summary.get("queries_per_label"), "count"),
                "public": ", ".join(public) or "nothing",
                "priors": ", ".join(map(short, priors)) or "none",
                "defenses": ", ".join(
                    short(each.get("class")) if isinstance(each, Mapping) else str(each)
                    for each in target.get("defenses") or []
                )
                or "none",
            }
        )
    return rows


def _public(description: Any) -> Iterator[str]:
    """Classes within a description of an attack that were learned from other people, or hold samples of them."""
    if isinstance(description, Mapping):
        name = short(description.get("class") or description.get("class_path"))
        if name in public_models or name.startswith("Public"):
            yield name
        for part in description.values():
            yield from _public(part)
    elif isinstance(description, list):
        for part in description:
            yield from _public(part)


def against(found: Sequence[Mapping[str, Any]], runs: Sequence[RunResults]) -> dict[str, Any]:
    """What each figure is measured against: from real samples, the most there can be, down to guessing.

    Returns:
        ``ceilings`` and ``controls`` (key and title of each column), ``rows`` (name and share recognised of each), and
        ``not_run``: run, control and reason of what could not be run.
    """
    ceilings: dict[str, str] = {}
    controls: dict[str, str] = {}
    rows = []
    for entry, run in zip(found, runs, strict=True):
        above = {
            key: numbers.get("recognised")
            for key, numbers in (run.data.get("ceiling") or {}).items()
            if numbers.get("recognised") is not None
        }
        below = {key: share for key, share in (entry["controls"] or {}).items() if share is not None}
        if "real_speech" in below:  # the one control that should succeed
            above |= {"real_speech": below.pop("real_speech")}
        ceilings |= {key: _CEILINGS.get(key, key.replace("_", " ")) for key in above}
        controls |= {key: run.media.control(key) for key in below}
        rows.append({"name": entry["name"], "above": above, "entry": entry, "below": below})
    return {
        "ceilings": dict(sorted(ceilings.items(), key=lambda item: _ORDER.get(item[0], len(_ORDER)))),
        "controls": controls,
        "rows": rows,
        "not_run": [
            {"run": entry["name"], "control": run.media.control(key), "reason": reason}
            for entry, run in zip(found, runs, strict=True)
            for key, reason in (entry.get("controls_not_run") or {}).items()
        ],
    }


_CEILINGS = {
    "real_test": "real samples, unseen",
    "real_speech": "real speech, unseen",
    "best_photograph": "best single sample",
    "class_mean": "class mean",
}
_ORDER = {key: place for place, key in enumerate(_CEILINGS)}


def recognisers(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """The recognisers that judged, each once, with the runs that it judged alike: errors, thresholds, weights."""
    seen: dict[str, dict[str, Any]] = {}
    for name, run in zip(names, runs, strict=True):
        about = run.data.get("recogniser")
        if not about:
            continue
        key = json.dumps(about, sort_keys=True, default=str)
        told = seen.setdefault(key, {"about": about, "name": short(about.get("class")), "runs": [], "thresholds": []})
        told["runs"].append(name)
        if not told["thresholds"]:
            told["thresholds"] = [
                {"rate": float(rate)} | dict(threshold)
                for rate, threshold in sorted((about.get("thresholds") or {}).items(), key=lambda item: -float(item[0]))
            ]
    return list(seen.values())
