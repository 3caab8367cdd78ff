"""What a target that does not know the people looks like: labels in another order, another input, two softmaxes."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import interpolate

from mi_lightning.data.base import Kind, PersonDataModule
from mi_lightning.stats import tail_of_guessing
from mi_lightning.targets.base import Target

_LEVEL = 0.01  # one-sided, of every test here
_CLEARLY = 0.5  # what an explanation has to bring the accuracy to
_BETTER = 0.2  # and how much higher than it was
_ONE = 0.8  # share of equal answers that counts as a constant
_TRIED = 256  # samples asked again for each change of the input
_NUMBERS = 2**22  # numbers of inputs in a question
_FEWEST, _EACH = 2, 8  # samples of a person who is called by another name: at least, and at most asked again
_NAMED = 6  # names that are shown of an order that has a name
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as torchvision's weights expect


@dataclass(frozen=True)
class Answers:
    """What a target says of samples whose person is known.

    Attributes:
        confidence: Shape (n, C).
        label: Whose each sample is, shape (n,), int64.
        names: Names of the people, in the order of the labels.
        columns: Which column of the model is that of each class, shape (C,), int64; as they are if None.
    """

    confidence: Tensor
    label: Tensor
    names: tuple[str, ...]
    columns: Tensor | None = None

    @property
    def said(self) -> Tensor:
        """Classes that are named, shape (n,), int64; of equal confidences the first, which a constant answer needs."""
        return torch.from_numpy(self.confidence.numpy().argmax(1))

    @property
    def hits(self) -> int:
        """How many are right."""
        return int((self.said == self.label).sum())

    @property
    def accuracy(self) -> float:
        """Share of right answers; 0 of no samples."""
        return self.hits / max(1, len(self.label))

    @property
    def chance(self) -> float:
        """The most that a constant answer gets, or 1 / C where that is more."""
        classes = self.confidence.shape[1]
        most = int(self.label.bincount().max()) / len(self.label) if len(self.label) else 0.0
        return max(1 / classes, most)


@dataclass(frozen=True)
class Explanation:
    """Another order of the labels, or another input, under which the answers are right.

    Attributes:
        accuracy: Share of right answers then.
        text: What it is, and what to write.
    """

    accuracy: float
    text: str


@torch.no_grad()
def ask(target: Target, x: Tensor, label: Tensor, names: tuple[str, ...]) -> Answers:
    """Ask a target about samples, in batches that fit into memory: verification, no queries of an attack.

    Raises:
        TargetError: If its answers are no confidences.
    """
    size = max(1, min(256, _NUMBERS // max(1, x[:1].numel())))
    said = [target.verify(part).float() for part in x.split(size)] if len(x) else []
    confidence = torch.cat(said) if said else torch.zeros(0, target.num_classes)
    return Answers(confidence, label.cpu(), names, target.columns)


def explain(
    target: Target, references: PersonDataModule, answers: Answers, *, inputs: bool = True
) -> Explanation | None:
    """Look for what makes the answers right, clearly and without chance: another order of the labels, another input.

    Args:
        target: What answered.
        references: The people; set up.
        answers: What it said of some of them.
        inputs: Whether to ask about other inputs: of a target whose weights are known alone, since of others each
            query may have a price.

    Returns:
        The one that makes more of them right; None if nothing does.
    """
    known = inputs and target.fingerprint() is not None
    found = [looks_like_order(answers), looks_like_another_input(target, references, answers) if known else None]
    best = max((each for each in found if each is not None), key=lambda each: each.accuracy, default=None)
    return best or looks_like_exchange(target, references, answers)


# ------------------------------------------------------------------------------------------------ labels


def looks_like_order(answers: Answers) -> Explanation | None:
    """Look for an order of the labels under which the answers are right.

    The orders that programs make are tried as they are. Any other is the best assignment of columns to people (the
    Hungarian method over the table of answers), which fits chance, too: it is believed if what one half of the samples
    gives holds for the other half.
    """
    n, classes = answers.confidence.shape
    if not n or len(answers.names) != classes or answers.accuracy > 1 - _BETTER:
        return None
    columns = torch.arange(classes) if answers.columns is None else answers.columns
    said = columns[answers.said]  # as the model has them: that is the order that can be written down
    table = _table(answers.label, said, classes)
    for title, order in _known_orders(answers.names):
        hits = int(table[np.array(order), np.arange(classes)].sum())
        if _explains(hits, n, answers):
            return Explanation(hits / n, _order_text(hits / n, title, [answers.names[who] for who in order]))
    label, halves = answers.label, _halves(answers.label)
    crossed = sum(
        int(_table(label[there], said[there], classes)[_assign(_table(label[here], said[here], classes))].sum())
        for here, there in (halves, halves[::-1])
    )
    if not _explains(crossed, n, answers):
        return None
    people, places = _assign(table)
    names = [answers.names[people[at]] for at in places.argsort()]
    share = float(table[people, places].sum()) / n
    return Explanation(share, _order_text(share, "", names))


def looks_like_exchange(target: Target, references: PersonDataModule, answers: Answers) -> Explanation | None:
    """Look for a few people who are always called by each other's names, while most others are right.

    Two who look alike may be confused where few samples were asked about, and not where the target learned who they
    are: their training samples have to say the same.
    """
    swaps = _exchanged(answers)
    y, too = references.train_y, ""
    chosen = [(y == who).nonzero()[:_EACH, 0] for swap in swaps for who in swap]
    if chosen and all(len(each) for each in chosen):
        places, too = torch.cat(chosen), ", of training samples, too"
        again = _exchanged(ask(target, references.train_x[places], y[places], answers.names))
        swaps = [swap for swap in swaps if swap in again]
    if not swaps:
        return None
    pairs = [pair for swap in swaps for pair in zip(swap, (*swap[1:], swap[0]), strict=True)]
    hits = answers.hits + sum(int(((answers.label == who) & (answers.said == called)).sum()) for who, called in pairs)
    said = ", ".join(f"{answers.names[who]} {answers.names[called]}" for who, called in pairs)
    share = hits / len(answers.label)
    if share < _CLEARLY:  # who knows nobody calls some by each other's names, too
        return None
    text = f"{share:.1%} if a few change places: it always calls {said}{too}; check their order in class_names"
    return Explanation(share, text)


def _exchanged(answers: Answers) -> list[tuple[int, ...]]:
    """People of whom each is called by the next one's name, the last by the first one's; the least comes first."""
    table = _table(answers.label, answers.said, len(answers.names))
    count, called = table.sum(1), table.argmax(1)
    sure = (count >= _FEWEST) & (table.max(1) >= _ONE * count) & (called != np.arange(len(called)))
    found = []
    for first in np.flatnonzero(sure):
        chain = [int(first)]
        while sure[(following := int(called[chain[-1]]))] and following > first and following not in chain:
            chain.append(following)
        if len(chain) > 1 and following == first:
            found.append(tuple(chain))
    return found


def _known_orders(names: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    """Orders that programs make of names: title, and whose each column is."""
    places = range(len(names))
    made: list[tuple[str, list[int]]] = [
        ("that of the data", list(places)),
        (
            "that of the sorted names, as in ImageFolder and classes_ of scikit-learn",
            sorted(places, key=lambda place: names[place]),
        ),
        ("that of the names by their numbers", sorted(places, key=lambda place: _by_number(names[place]))),
        ("that of the names without regard to capitals", sorted(places, key=lambda place: names[place].casefold())),
        ("one later, as of labels that begin with 1", [*places[-1:], *places[:-1]]),
        ("one earlier", [*places[1:], *places[:1]]),
    ]
    seen: list[list[int]] = []
    for title, order in made:
        if order not in seen:
            seen.append(order)
            yield title, order


def _by_number(name: str) -> list[tuple[int, int, str]]:
    """Key by which s2 comes before s10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def _order_text(share: float, title: str, names: Sequence[str]) -> str:
    shown = [*names[:_NAMED], "..."] if title and len(names) > _NAMED else names
    which = f", {title}" if title else ""
    return f"{share:.1%} under another order of the labels{which}: class_names: [{', '.join(shown)}]"


_Numbers = NDArray[np.int64]


def _table(label: Tensor, said: Tensor, classes: int) -> _Numbers:
    """How often a sample of each person (row) was called each class (column)."""
    table = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(table, (label.numpy(), said.numpy()), 1)
    return table


def _assign(table: _Numbers) -> tuple[_Numbers, _Numbers]:
    """People and the columns that fit them best, one each."""
    people, columns = linear_sum_assignment(table, maximize=True)
    return people, columns


def _halves(label: Tensor) -> tuple[Tensor, Tensor]:
    """Divide samples so that each half has some of every person who has two or more."""
    order = label.argsort(stable=True)
    count = label.bincount()
    turn = torch.arange(len(label)) - (count.cumsum(0) - count)[label[order]]
    return order[turn % 2 == 0], order[turn % 2 == 1]


def _explains(hits: int, n: int, answers: Answers) -> bool:
    """Whether so many right answers are clearly many, clearly more than before, and no chance."""
    share = hits / n
    better = share >= max(_CLEARLY, answers.accuracy + _BETTER)
    return better and tail_of_guessing(hits, n, answers.chance) < _LEVEL


# ------------------------------------------------------------------------------------------------ softmax


def looks_like_two_softmaxes(answers: Answers) -> str | None:
    """See whether softmax was applied to what were probabilities already.

    Of probabilities q, softmax gives log p = q - log sum exp q: q can be read off, since it sums to 1. It has to be
    without negative numbers, and sure of somebody, as no logits are that happen to lie close together.
    """
    if not len(answers.label):
        return None
    log_p = answers.confidence.double().clamp_min(torch.finfo(torch.float64).tiny).log()
    q = log_p + (1 - log_p.sum(1, keepdim=True)) / log_p.shape[1]
    top = q.amax(1)
    if float(q.min()) < -1e-3 or float(top.max()) > 1 + 1e-3 or float(top.median()) < _CLEARLY:
        return None
    most = float(answers.confidence.max())
    return (
        f"softmax seems to be applied twice (no confidence is above {most:.1%}; without the second softmax "
        f"they are {float(top.median()):.0%} in the median): take the softmax out of the model, or say that it gives "
        "probabilities (output: probabilities)"
    )


# ------------------------------------------------------------------------------------------------ inputs

Change = tuple[str, Callable[[Tensor], Tensor]]


def looks_like_another_input(target: Target, references: PersonDataModule, answers: Answers) -> Explanation | None:
    """Ask about the samples in other ranges, other orders of their numbers, or at other rates."""
    x, y = references.test_x, references.test_y
    if not len(y):
        x, y = references.train_x, references.train_y
    chosen = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:_TRIED]
    x, y = x[chosen], y[chosen]
    best: Explanation | None = None
    for advice, change in _changes(x, references.modality.kind, target.input_range):
        with contextlib.suppress(Exception):  # whatever a foreign module raises of inputs that it does not expect
            tried = ask(target, change(x), y, answers.names)
            if tried.accuracy > (0.0 if best is None else best.accuracy) and _explains(tried.hits, len(y), answers):
                best = Explanation(tried.accuracy, f"{tried.accuracy:.1%} {advice}")
    return best


def _changes(x: Tensor, kind: Kind, input_range: tuple[float, float]) -> Iterator[Change]:
    """What may have been forgotten between a sample and the model: how to say it, and how to do it."""
    low, high = input_range

    def unit(x: Tensor) -> Tensor:
        return (x - low) / (high - low)

    if (low, high) != (0.0, 1.0):
        yield "if inputs lie in [0, 1]: check input_range", unit
    if kind == "sound":
        yield "if inputs are multiplied by 32768, as integers of 16 bits: check the range", lambda x: x * 32768
        for times in (2.0, 0.5, 3.0, 1 / 3):
            what = f"if the sound is played {times:.3g} times as fast: check the sample rate"
            yield what, partial(_faster, times=times)
        return
    yield "if inputs are multiplied by 255: preprocessing scale: 255.0", lambda x: unit(x) * 255
    yield "if inputs lie in [-1, 1]: preprocessing mean: [0.5], std: [0.5]", lambda x: unit(x) * 2 - 1
    mean, std = float(x.mean()), float(x.std())
    if std > 0:
        what = f"preprocessing mean: [{mean:.3g}], std: [{std:.3g}]"
        yield f"if inputs are normalised by their own mean and deviation: {what}", lambda x: (x - mean) / std
    if kind != "picture":
        return
    channels = x.shape[1]
    if channels == 3:
        means, stds = (torch.tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
        what = f"preprocessing mean: {list(_MEAN)}, std: {list(_STD)}"
        yield f"if inputs are normalised as for ImageNet: {what}", lambda x: (unit(x) - means) / stds
        yield "if red and blue change places: give it RGB in the order that it was trained on", lambda x: x.flip(1)
    yield "if pictures are inverted: check which end of the range is white", lambda x: low + high - x
    if x.shape[-1] == x.shape[-2]:
        yield "if rows and columns change places: check the layout of the pictures", lambda x: x.transpose(-1, -2)


def _faster(x: Tensor, times: float) -> Tensor:
    """Play waveforms (N, 1, samples) so many times as fast, as long as before: repeated, or cut."""
    played = interpolate(x, scale_factor=1 / times, mode="linear")
    return played.repeat(1, 1, -(-x.shape[-1] // played.shape[-1]))[..., : x.shape[-1]]


def what_to_check(answers: Answers, kind: Kind) -> str:
    """Say what to look at where nothing explains the answers."""
    if twice := looks_like_two_softmaxes(answers):
        return twice
    name, count = Counter(answers.said.tolist()).most_common(1)[0]
    share = count / len(answers.label)
    sound = ", the sample rate" if kind == "sound" else ""
    if share >= _ONE and share >= answers.chance + _BETTER:
        return (
            f"it says {answers.names[name]} of {share:.0%} of them: check that the weights are loaded, that inputs are "
            f"normalised as in training, and their range{sound}"
        )
    return (
        "its answers follow no order of the labels: check that the weights are loaded and are those of these people, "
        f"the preprocessing (range, normalisation, size, layout){sound}, and that these are the people whom it learned"
    )
