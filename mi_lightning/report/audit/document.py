"""``audit.json``: everything that an audit found, from the runs alone, so that it can be computed anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from mi_lightning.errors import InputError
from mi_lightning.report.audit.figures import Control, hits, run_figures
from mi_lightning.report.audit.headline import headline, no_headline
from mi_lightning.report.formats import plain
from mi_lightning.report.notes import QUICK
from mi_lightning.report.results import RunResults
from mi_lightning.report.schema.audit import AUDIT_SCHEMA, AUDIT_SCHEMA_VERSION
from mi_lightning.report.schema.check import problem
from mi_lightning.stats import headline_refusal, holm, paired_test


def audit_document(
    title: str,
    names: Sequence[str],
    runs: Sequence[RunResults],
    *,
    controls: Mapping[str, Mapping[str, Control]] | None = None,
    not_run: Mapping[str, Mapping[str, str]] | None = None,
    folder: str | Path,
    release_context: str | None = None,
) -> dict[str, Any]:
    """Say what an audit found, from its runs alone: the same runs give the same document but for ``created``.

    Args:
        title: Title of the audit.
        names: Name of each run; no two alike.
        runs: The runs, one or more.
        controls: For the name of a run: its controls that were run, by their names, each a run or the lines of its
            people (``name``, ``recognised``) out of several; no lines for one that could not be run.
        not_run: For the name of a run: why a control of that name could not be run.
        folder: Folder of the audit; paths are relative to it.
        release_context: How the model is to be released, as the user states it.

    Returns:
        Plain values that fit :data:`~mi_lightning.report.schema.audit.AUDIT_SCHEMA`.

    Raises:
        InputError: If there is no run, not one name for each, two of one name, or controls of an unknown run.
    """
    _check(names, runs, controls or {})
    told = [
        run_figures(name, run, (controls or {}).get(name, {}), Path(folder))
        | {"controls_not_run": dict((not_run or {}).get(name, {}))}
        for name, run in zip(names, runs, strict=True)
    ]
    quick = any(run.quick for run in runs)
    document: dict[str, Any] = plain(
        {
            "schema_version": AUDIT_SCHEMA_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "title": title,
            "package_versions": _versions(runs),
            "release_context": release_context,
            **({"quick": True} if quick else {}),
            "headline": no_headline(QUICK) if quick else headline(told),
            "runs": told,
            "gates": [],
            "comparisons": _comparisons(names, runs),
            "judges": _judges(names, runs),
            "hashes": {name: _hashes(run) for name, run in zip(names, runs, strict=True)},
        }
    )
    if found := problem(document, AUDIT_SCHEMA):  # a results.json of the wrong kind
        raise TypeError(f"the audit does not fit schema version {AUDIT_SCHEMA_VERSION}: {found}")
    return document


def audit_json(document: Mapping[str, Any]) -> str:
    """Text of ``audit.json``."""
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def _check(names: Sequence[str], runs: Sequence[RunResults], controls: Mapping[str, object]) -> None:
    if not runs:
        raise InputError("at least one run", "none", "runs")
    if len(names) != len(runs):
        raise InputError(f"{len(runs)} names, one for each run", len(names), "names")
    if len(set(names)) != len(names):
        raise InputError("runs of different names", ", ".join(names), "names")
    if unknown := [name for name in controls if name not in names]:
        raise InputError(f"controls of one of the runs ({', '.join(names)})", ", ".join(unknown), "controls")


def _versions(runs: Sequence[RunResults]) -> dict[str, str | None]:
    """Versions of the packages that made the runs; several where runs differ."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for package, version in run.data["package_versions"].items():
            found.setdefault(package, {})[str(version)] = None
    return {package: None if list(versions) == ["None"] else ", ".join(versions) for package, versions in found.items()}


def _comparisons(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Paired tests between all runs on the same people, corrected for how many there are."""
    values = {name: hits(run.best) for name, run in zip(names, runs, strict=True)}
    found: list[dict[str, Any]] = []
    for a, b in combinations(names, 2):
        if values[a].keys() == values[b].keys() and headline_refusal(len(values[a])) is None:
            first, second = ([values[name][person] for person in sorted(values[a])] for name in (a, b))
            difference = float(np.mean(first) - np.mean(second))
            found.append(
                {"a": a, "b": b, "difference": difference, "people": len(first), "p": paired_test(first, second)}
            )
    corrected = holm([entry["p"] for entry in found])
    return [entry | {"p": p, "p_alone": entry["p"]} for entry, p in zip(found, corrected, strict=True)]


def _judges(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Who judged: recognisers and inside evaluators, each once, with the runs that it judged."""
    seen: dict[str, dict[str, Any]] = {}
    for role, key in (("recogniser", "recogniser"), ("inside evaluator", "evaluator")):
        for name, run in zip(names, runs, strict=True):
            if about := run.data.get(key):
                told = {"role": role, **about}
                seen.setdefault(json.dumps(told, sort_keys=True, default=str), told | {"runs": []})["runs"].append(name)
    return list(seen.values())


def _hashes(run: RunResults) -> dict[str, Any]:
    """What was attacked, by what, on whose data, and who judged, by their digests.

    The target's is that of its weights: the file that they lie in also holds how long the training took.
    """
    target, data = run.data["target"], run.data.get("data") or {}
    return {
        "target": target.get("fingerprint"),
        "attack": run.attack_sha256,
        "data": data.get("sha256"),
        "evaluator": (run.data.get("evaluator") or {}).get("weights_sha256"),
        "recogniser": (run.data.get("recogniser") or {}).get("weights"),
    }
