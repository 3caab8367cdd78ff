"""Schema version 1 of ``results.json``, which releases up to 0.1 wrote: what its keys are called now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_RENAMED = {"alpha": "max_iterations", "block": "report_every", "starts": "initial_candidates"}
_CMAES = "CMAES"  # was an estimator, and is a step


def from_version_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Say in the keys of version 2 what a ``results.json`` of version 1 says.

    Every attack of that time kept the iterate of least cost. Its callbacks, Process-DAE and vocoders among them, were
    not written down: ``projections`` and ``callbacks`` are null, as is whatever else is not known.

    Args:
        data: What ``json.load`` gave. Values of a wrong kind are passed on, for the check against the schema to find.
    """
    attack = data.get("attack")
    if not isinstance(attack, Mapping):
        return {**data, "schema_version": 2}
    attack = {_RENAMED.get(key, key): value for key, value in attack.items()}
    if isinstance(space := attack.get("space"), Mapping):
        attack["space"] = {"initializer" if key == "initial" else key: value for key, value in space.items()}
    estimator = attack.get("estimator")
    if isinstance(estimator, Mapping) and str(estimator.get("class")).rpartition(".")[2] == _CMAES:
        attack |= {"step": {**estimator, "class": "CMAESStep"}, "estimator": None, "optimizer": None}
    unknown = ("gradient_filter", "priors", "projections", "callbacks", *_RENAMED.values())
    assumed = {"transforms": [], "step": {"class": "GradientStep"}, "selection": {"class": "LeastCost"}}
    return {**data, "schema_version": 2, "attack": dict.fromkeys(unknown) | assumed | attack}
