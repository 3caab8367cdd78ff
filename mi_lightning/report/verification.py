"""Whether the target of a run was shown to know the people, in words: what the terminal, the page and gates say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mi_lightning.judging.sanity import UNVERIFIED
from mi_lightning.report.formats import show

#: With these a target was shown to know the people, or is not to know them.
_SHOWN = ("verified", "warned", "exempt")


@dataclass(frozen=True)
class Verification:
    """What is said of one run.

    Attributes:
        status: As in ``results.json``; ``"not_recorded"`` where a run says nothing of it.
        title: It, for people.
        text: What was found, in sentences.
    """

    status: str
    title: str
    text: str

    @property
    def shown(self) -> bool:
        """Whether the target was shown to know the people, or is a control."""
        return self.status in _SHOWN

    @property
    def style(self) -> str:
        """Class of its box on the page, and style of its line in the terminal."""
        return {"verified": "good", "exempt": "good", "warned": "note", "unverified": "bad"}.get(self.status, "grey")


_TITLES = {
    "verified": "Verified.",
    "warned": "Verified, with a warning.",
    "unverified": "Not shown to know these people.",
    "not_verified": "Not verified.",
    "exempt": "Control.",
    "not_recorded": "Not verified.",
}


def verification_of(found: Mapping[str, Any] | None) -> Verification:
    """Put into words what ``verification`` of a run holds.

    Args:
        found: It; None where nobody asked.
    """
    if found is None:
        text = "Nobody asked the target about people whom it should know: the run was made without, or by an earlier "
        return Verification("not_recorded", _TITLES["not_recorded"], f"{text}version.")
    status, reason, hint = (str(found[key]) for key in ("status", "reason", "hint"))
    if found["accuracy"] is None:
        text = f"The target could not be asked: {reason}. Whether it knows these people is not known."
        return Verification(status, _TITLES[status], text)
    said = [f"{_figure(found)}."]
    if status == "unverified":
        said.insert(0, UNVERIFIED)
    elif status == "exempt":
        said.append("It is a control, which is not to know these people.")
    elif status == "not_verified":
        said.append(f"{reason[0].upper()}{reason[1:]}.")
    elif status == "warned" and found["recorded_accuracy"] is not None:
        said.append(f"Its checkpoint recorded {show(found['recorded_accuracy'], 'share')}.")
    if hint:
        said.append(f"{hint[0].upper()}{hint[1:]}.")
    if found["names"] == "data":
        said.append("Its classes had no names and took those of the data, in their order.")
    elif found["names"] == "reordered":
        said.append("Its classes were put into the order of the data, by their names.")
    return Verification(status, _TITLES[status], " ".join(said))


def _figure(found: Mapping[str, Any]) -> str:
    """How many it names right."""
    kind = "test" if found["samples"] == "test" else "training"
    return (
        f"The target, without its defenses, names {show(found['accuracy'], 'share')} of {found['n']} real {kind} "
        f"samples right (guessing: {show(found['chance'], 'share')})"
    )


def unshown(runs: Sequence[Mapping[str, Any]]) -> str:
    """Why the figures of a run of ``audit.json`` cannot show that a target is safe; empty if they can.

    Args:
        runs: Runs of ``audit.json``.
    """
    found = [verification_of(run.get("verification")) for run in runs if run.get("verification") is not None]
    worst = [each for each in found if not each.shown]
    if not worst:
        return ""
    if any(each.status == "unverified" for each in worst):
        return f"{UNVERIFIED[0].lower()}{UNVERIFIED[1:-1]}"
    return "the target could not be asked whether it knows these people"
