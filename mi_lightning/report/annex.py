"""The evidence annex: what of a report speaks to which text, what was attacked and what was not, hashes, and limits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mi_lightning.attacks import literature
from mi_lightning.report.overview import short
from mi_lightning.report.results import RunResults
from mi_lightning.report.verification import verification_of


@dataclass(frozen=True)
class Clause:
    """A place in a text that reviewers work by, in our own words, and what of this report speaks to it."""

    source: str
    place: str
    asks: str
    here: str
    sections: tuple[tuple[str, str], ...]


CLAUSES = (
    Clause(
        "EDPB Opinion 28/2024",
        "par. 43",
        "A model counts as anonymous only if personal data are unlikely to be drawn from it, for any data subject, "
        "by means that are reasonably likely to be used.",
        "The upper bound for the person most at risk, beside the share of all; how each of them fared.",
        (("worst", "worst person"), ("people", "people")),
    ),
    Clause(
        "EDPB Opinion 28/2024",
        "par. 46",
        "How far a model has to be tested depends on where it is released and who can reach it.",
        "The release context as it was stated, and what each attacker had.",
        (("release", "release context"), ("threat", "threat model")),
    ),
    Clause(
        "EDPB Opinion 28/2024",
        "par. 55(iv)",
        "Structured tests against known attacks, model inversion among them: how many, how often, how good.",
        "One line for each attack that was run, and for each known one that was not.",
        (("coverage", "attacks run and not run"), ("attacks", "outcome")),
    ),
    Clause(
        "EDPB Opinion 28/2024",
        "par. 58",
        "Documents that show what was tested, by whom, how and with what result, and what is done about the risk.",
        "Settings, versions, hashes, the configuration of each run, and files that can be checked again.",
        (("verified", "target verified"), ("hashes", "hashes"), ("settings", "settings")),
    ),
    Clause(
        "NIST AI 100-2",
        "NISTAML.032",
        "Reconstruction of data from a model, model inversion among it, as an attack on privacy.",
        "This report measures one kind: a representative of each class, judged by whether somebody would know it.",
        (("attacks", "outcome"),),
    ),
    Clause(
        "MITRE ATLAS",
        "AML.T0024.001",
        "Invert AI Model: training data are drawn from a model through its inference interface.",
        "The attacks marked as black box or label only work through such an interface; their queries are counted.",
        (("threat", "threat model"),),
    ),
    Clause(
        "OWASP Machine Learning Security Top 10",
        "ML03:2023",
        "Model Inversion Attack: a model is worked backwards to information about what it was trained on.",
        "The outcome of each attack, and what defenses stood in between.",
        (("attacks", "outcome"), ("comparisons", "comparisons")),
    ),
)

LIMITS = (
    "An attack that found little does not show that a stronger one, more queries or another start would find little.",
    "The figures hold for these people and this training. They are no forecast for another data set.",
    "The recogniser errs; how often on real samples stands under “The recogniser”.",
    "Somebody who knows a person well may see more, or less, than the recogniser does.",
    "Model inversion is one risk of several. Membership and attribute inference are not measured here.",
    "Who is recognised is asked among the people enrolled here. Among more people fewer are recognised.",
    "Hashes show that a file is the one that was measured. They are no signature and do not say who measured.",
)


def annex(
    audit: Mapping[str, Any] | None,
    found: Sequence[Mapping[str, Any]],
    runs: Sequence[RunResults],
) -> dict[str, Any]:
    """Everything that the annex shows.

    Args:
        audit: Content of ``audit.json``, None where no audit was made.
        found: What the audit says of each run.
        runs: The runs, in the same order.
    """
    return {
        "clauses": CLAUSES,
        "coverage": coverage(found, runs),
        "sources": " ".join((literature.__doc__ or "").partition("Sources: ")[2].split()),
        "worst": [(entry["name"], entry["people"], entry["worst_person"]) for entry in found],
        "verified": [
            (entry["name"], verification_of(asked), (asked or {}).get("verification_queries"))
            for entry, asked in zip(found, (run.data.get("verification") for run in runs), strict=True)
        ],
        "hashes": hashes(found, runs),
        "release_context": (audit or {}).get("release_context"),
        "limits": LIMITS,
    }


def known_attacks() -> dict[str, str]:
    """Every attack of the literature that this library has, and its first line of documentation."""
    return {
        name: " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
        .replace("`", "")
        .replace(":func:", "")
        for name, function in vars(literature).items()
        if inspect.isfunction(function) and function.__module__ == literature.__name__ and not name.startswith("_")
    }


def coverage(found: Sequence[Mapping[str, Any]], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """One row for each known attack, with the runs of it or that there were none, and one for each run of another.

    An attack is told by the name of its run, which audits make of the names of target and attack.
    """
    known = known_attacks()
    which = [attack_of(entry["name"], known) for entry in found]
    rows = [
        {
            "attack": name,
            "what": what,
            "runs": [entry["name"] for entry, attack in zip(found, which, strict=True) if attack == name],
        }
        for name, what in known.items()
    ]
    for entry, run, attack in zip(found, runs, which, strict=True):
        if attack is None:
            parts = (run.data["attack"].get(key) for key in ("space", "cost", "estimator", "step"))
            named = [short(part.get("class")) for part in parts if isinstance(part, Mapping) and part.get("class")]
            rows.append({"attack": "of its own", "what": ", ".join(named) or "not recorded", "runs": [entry["name"]]})
    return sorted(rows, key=lambda row: not row["runs"])  # those that were run first; sorting is stable


def attack_of(name: str, known: Mapping[str, str]) -> str | None:
    """Which known attack a run's name tells of, None if it tells of none.

    Example:
        >>> attack_of("att_softmax_gradient_descent_wide", {"gradient_descent": "", "mi_face": ""})
        'gradient_descent'
    """
    padded = f"_{name}_"
    places = [(padded.find(f"_{attack}_"), -len(attack), attack) for attack in known if f"_{attack}_" in padded]
    return min(places)[2] if places else None


def hashes(found: Sequence[Mapping[str, Any]], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """What was measured by what, as digests: model, people, configuration, judges.

    Returns:
        One entry for each digest, once: ``what``, ``value``, and ``runs``.
    """
    seen: dict[tuple[str, str], list[str]] = {}
    for entry, run in zip(found, runs, strict=True):
        target = run.data["target"]
        data, evaluator = run.data.get("data") or {}, run.data.get("evaluator") or {}
        told = {
            "model, checkpoint": target.get("checkpoint_sha256"),
            "model, fingerprint": target.get("fingerprint"),
            "people (data)": data.get("sha256"),
            "attack, configuration": run.attack_sha256,
            "inside evaluator, weights": evaluator.get("weights_sha256"),
        }
        recogniser = run.data.get("recogniser") or {}
        told |= {f"recogniser, {file}": digest for file, digest in (recogniser.get("weights") or {}).items()}
        for what, value in told.items():
            seen.setdefault((what, str(value) if value else "not recorded"), []).append(entry["name"])
    order = list(dict.fromkeys(what for what, _ in seen))
    return [
        {"what": what, "value": value, "runs": names if len(names) < len(runs) else ["all"]}
        for (what, value), names in sorted(seen.items(), key=lambda item: order.index(item[0][0]))
    ]
