"""Is the target what one thinks it is? It is asked about people whom it should know before any attack is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from mi_lightning.classifiers.base import Classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError
from mi_lightning.judging.diagnosis import (
    Answers,
    ask,
    explain,
    looks_like_order,
    looks_like_two_softmaxes,
    what_to_check,
)
from mi_lightning.judging.inside import features_and_logits
from mi_lightning.stats import tail_of_guessing
from mi_lightning.targets.base import Target

Status = Literal["verified", "warned", "unverified", "not_verified", "exempt"]
Part = Literal["test", "train"]

#: One-sided level of the test against guessing.
LEVEL = 0.01
#: How far below what its checkpoint recorded a target may be.
DROP = 0.2
#: What a target of which nothing is recorded should name right.
KNOWS = 0.5

#: What is said of a target that failed, wherever its figures stand.
UNVERIFIED = "This target was not shown to know these people: no figure here says that it is safe."
_NO_REFERENCES = "no references were given to ask it about"


@dataclass(frozen=True)
class Sanity:
    """What came of asking a target about people whom it should know.

    Attributes:
        status: ``"verified"``: it names more of the references right than guessing explains. ``"warned"``: it does, and
            something is odd all the same. ``"unverified"``: it does not, and the attack was wanted all the same.
            ``"not_verified"``: it could not be asked. ``"exempt"``: it is a control, which is not to know them.
        reason: Why it is not simply verified; empty if it is.
        hint: What that looks like, found by measurement, or what to check.
        accuracy: Share of the samples that it names right; None if it was not asked.
        chance: Share that the best constant answer gets, or 1 / C if that is more.
        n: Samples that it was asked about.
        samples: Which they were.
        p_value: Probability of so many right answers by guessing, one-sided.
        recorded_accuracy: Accuracy that its checkpoint recorded.
        verification_queries: Inputs that it was asked for this; no query of the attack.
        names: Where the names of its classes come from: ``"target"``, ``"data"`` (it had none), or ``"reordered"`` (it
            had the same in another order).
    """

    status: Status
    reason: str = ""
    hint: str = ""
    accuracy: float | None = None
    chance: float | None = None
    n: int = 0
    samples: Part | None = None
    p_value: float | None = None
    recorded_accuracy: float | None = None
    verification_queries: int = 0
    names: str = "target"

    def describe(self) -> dict[str, Any]:
        """Return ``verification`` of ``results.json``: plain values only."""
        return asdict(self)


@dataclass(frozen=True)
class _Measured:
    """How many of some samples were named right."""

    answers: Answers
    part: Part
    chance: float
    p_value: float

    @property
    def enough(self) -> bool:
        """Whether these samples could tell a target that knows everybody from guessing."""
        n = len(self.answers.label)
        return n > 0 and tail_of_guessing(n, n, self.chance) < LEVEL

    @property
    def above(self) -> bool:
        """Whether guessing does not explain it."""
        return self.enough and self.p_value < LEVEL


def check_target(
    target: Target,
    references: PersonDataModule | None,
    *,
    unverified: bool = False,
    samples: int | None = None,
) -> Sanity:
    """Ask a target, without its output defenses, about people whom it should know.

    The test samples are asked first: they are what the accuracy in a checkpoint was measured on. Where they are too few
    to tell anything, or do not show that it knows the people, the training samples are: a target that has learned
    these by heart knows the people, too, and an attack on it means something.

    What a target that never met these people is, says its own checkpoint (an untrained copy, data without people):
    such a control is asked, and exempt.

    Args:
        target: Target, with or without its defenses.
        references: The people; set up.
        unverified: Whether to go on with a target that fails.
        samples: Most samples of a part that are asked, dealt out evenly over the people; all if None.

    Raises:
        InputError: If it names no more right than guessing explains, or clearly more under another order of the labels
            or of another input. The error says what it looks like.
        TargetError: If its answers are no confidences.
    """
    if samples is not None and samples < 1:
        raise InputError("verification_samples >= 1", samples, "verification_samples")
    if references is None:
        odd = f"; it {target.unsteady}" if target.unsteady else ""
        return Sanity("not_verified", reason=f"{_NO_REFERENCES}{odd}", names=target.names_from)
    before = target.ledger.verification
    training = target.describe().get("training") or {}
    recorded = _recorded(training)
    with torch.random.fork_rng(devices=[]):  # a module may draw even in evaluation mode
        found = _measured(target, references, "test", samples)
        exempt = _is_control(training)
        if not found.above and not exempt:
            second = _measured(target, references, "train", samples)
            found = second if second.above or (second.enough and not found.enough) else found
        status, reason, hint = _verdict(target, references, found, recorded, exempt=exempt)
    if status == "unverified" and not unverified:
        raise InputError(
            "a target that knows the people of the data (or unverified: true, which the report says in red)",
            f"one that {reason}: {hint}",
            "unverified",
        )
    return Sanity(
        status,
        reason,
        hint,
        found.answers.accuracy,
        found.chance,
        len(found.answers.label),
        found.part,
        found.p_value,
        recorded,
        target.ledger.verification - before,
        target.names_from,
    )


def check_evaluator(
    evaluator: Classifier, references: PersonDataModule, *, name: str = "", field: str = "evaluator_ckpt"
) -> None:
    """Refuse an inside evaluator that does not know the people: what it says of reconstructions would mean nothing.

    Args:
        evaluator: Inside evaluator.
        references: The people; set up.
        name: What to call it in the error: its checkpoint.
        field: Argument that gave it.

    Raises:
        InputError: If it names no more of them right than guessing explains.
    """
    worst: _Measured | None = None
    for part in _PARTS:
        x, y = _samples(references, part)
        if not len(y):
            continue
        _, logits = features_and_logits(evaluator, x, value_range=references.input_range)
        found = _measure(Answers(logits.softmax(1), y, tuple(references.class_names)), part)
        if found.above:
            return
        worst = found if worst is None and found.enough else worst
    if worst is None:
        return
    order = looks_like_order(worst.answers)
    raise InputError(
        "an evaluator that knows the people of the data",
        f"{name or type(evaluator).__name__}, which {_share(worst)}{f': {order.text}' if order else ''}",
        field,
    )


_PARTS: Sequence[Part] = ("test", "train")


def _verdict(
    target: Target, references: PersonDataModule, found: _Measured, recorded: float | None, *, exempt: bool
) -> tuple[Status, str, str]:
    """Status, reason and hint."""
    if exempt:
        return "exempt", "it is a control, which is not to know these people", ""
    if not found.enough:
        n = len(found.answers.label)
        return "not_verified", f"{n} samples are too few to tell who knows {target.num_classes} people", ""
    answers, accuracy = found.answers, found.answers.accuracy
    low = accuracy < (KNOWS if recorded is None else recorded - DROP)
    cause = explain(target, references, answers, inputs=low or not found.above)
    if cause is not None:
        return "unverified", _share(found), cause.text
    if not found.above:
        return "unverified", _share(found), what_to_check(answers, references.modality.kind)
    if (twice := looks_like_two_softmaxes(answers)) is not None:
        return "warned", _share(found), twice
    if target.unsteady and not low:
        return "warned", f"it {target.unsteady}", "put the module right, or read its figures as those of one draw"
    if not low:
        return "verified", "", ""
    why = "nothing is recorded of it" if recorded is None else f"its checkpoint recorded {recorded:.1%}"
    return "warned", f"{_share(found)}, and {why}", what_to_check(answers, references.modality.kind)


def _share(found: _Measured) -> str:
    """What a target does, in words."""
    n, kind = len(found.answers.label), "test" if found.part == "test" else "training"
    guessing = f"{found.chance:.1%}" + ("" if found.above else f", p = {found.p_value:.2g}")
    return f"names {found.answers.accuracy:.1%} of {n} {kind} samples right (guessing: {guessing})"


def _recorded(training: Mapping[str, Any]) -> float | None:
    """Accuracy that a checkpoint recorded of samples such as these: frames where there are utterances, too."""
    known = training.get("test_frame_accuracy", training.get("test_accuracy"))
    return None if known is None else float(known)


def _is_control(training: Mapping[str, Any]) -> bool:
    """Whether a target was made so that it does not know these people, by what its checkpoint says of itself."""
    data = training.get("data")
    return training.get("untrained") is True or (isinstance(data, Mapping) and bool(data.get("without")))


def _measured(target: Target, references: PersonDataModule, part: Part, limit: int | None) -> _Measured:
    """Ask about some samples."""
    x, y = _samples(references, part)
    chosen = evenly(y, limit)
    return _measure(ask(target, x[chosen], y[chosen], tuple(references.class_names)), part)


def _measure(answers: Answers, part: Part) -> _Measured:
    chance, n = answers.chance, len(answers.label)
    p_value = tail_of_guessing(answers.hits, n, chance) if n else 1.0
    return _Measured(answers, part, chance, p_value)


def _samples(references: PersonDataModule, part: Part) -> tuple[torch.Tensor, torch.Tensor]:
    """Samples and labels of a part."""
    if part == "test":
        return references.test_x, references.test_y
    return references.train_x, references.train_y


def evenly(label: torch.Tensor, limit: int | None) -> torch.Tensor:
    """Places of at most ``limit`` samples, shape (n,), int64: the first of each person, then the second, and so on.

    Args:
        label: Whose each sample is, shape (N,), int64.
        limit: Most samples; all if None.

    Example:
        >>> evenly(torch.tensor([0, 0, 0, 1, 1]), 3)
        tensor([0, 1, 3])
    """
    if limit is None or limit >= len(label):
        return torch.arange(len(label))
    order = label.argsort(stable=True)
    count = label.bincount()
    turn = torch.empty_like(order)
    turn[order] = torch.arange(len(label)) - (count.cumsum(0) - count)[label[order]]
    return turn.argsort(stable=True)[:limit].sort().values
