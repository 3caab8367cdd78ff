"""What a page says before anything else: that it is no evidence, what it does not show, who is not in it any more."""

from __future__ import annotations

from collections.abc import Sequence

from mi_lightning.report.results import RunResults

#: Why nothing of a quick audit counts.
QUICK = "a quick audit is no evidence: run it again without --quick"
#: The same at length, as the page says it.
NO_EVIDENCE = (
    "A few people, a few iterations, classifiers that may be hardly trained, no controls, no recogniser: this shows "
    "that everything runs, and says nothing about the model, good or bad. Run it again without --quick."
)

_WITHHELD = {
    "pictures": "Pictures and sounds are left out: they are in the folders of the runs, which are not to be handed on.",
    "names": "The people have pseudonyms, in an order that says nothing about their names.",
}


def notes(runs: Sequence[RunResults]) -> list[str]:
    """Say what a page withholds, and of how many people nothing is left.

    Args:
        runs: What is shown.
    """
    found = [_WITHHELD[what] for what in withheld_of(runs)]
    gone = max(run.erased for run in runs)
    if gone:
        people = "1 person was" if gone == 1 else f"{gone} people were"
        found.append(
            f"{people} erased from these runs: rows, pictures and sounds are gone. Figures over all people that were "
            "measured before are as they were, with them."
        )
    return found


def withheld_of(runs: Sequence[RunResults]) -> list[str]:
    """What is not shown of runs: ``"pictures"``, ``"names"``, both or nothing."""
    hidden = {"pictures": not all(run.pictures for run in runs), "names": any(run.said is not str for run in runs)}
    return [what for what, is_hidden in hidden.items() if is_hidden]
