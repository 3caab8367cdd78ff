"""Which people are meant: by index, by name, by range. What can be read in two ways is refused with both readings."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import product

from mi_lightning.errors import InputError

_SHOWN = 3  # people of a reading that an error names


def parse_labels(
    labels: str | int | Sequence[int | str], class_names: Sequence[str], field: str = "labels"
) -> list[int]:
    """Turn a choice of people into class indices, in the order given.

    An integer is an index. A text is ``"all"``, a name, an index, a range ``"0-9"`` of indices or ``"s1-s7"`` of names
    (both ends included), or several of these with commas between them. An item of a list is never split, and its type
    says what it is: 7 is the index, ``"7"`` is the person of that name if there is one.

    Args:
        labels: An integer, a text, or a list of integers and texts.
        class_names: Name of each class.
        field: Argument to name in an error.

    Returns:
        Class indices, without repetitions.

    Raises:
        InputError: If a label is unknown or can be read in two ways, or none is given.

    Example:
        >>> parse_labels("0-2,s5", ["s1", "s2", "s3", "s4", "s5"])
        [0, 1, 2, 4]
        >>> parse_labels([2, "Doe, Jane"], ["Doe, Jane", "Roe", "Poe"])
        [2, 0]
    """
    return _Reader(class_names, field).read(labels)


class _Reader:
    """Reads labels.

    Args:
        class_names: Name of each class.
        field: Argument to name in an error.
    """

    def __init__(self, class_names: Sequence[str], field: str) -> None:
        self.names, self.field = class_names, field
        self.places: dict[str, list[int]] = {}
        for place, name in enumerate(class_names):
            self.places.setdefault(name, []).append(place)

    def read(self, labels: str | int | Sequence[int | str]) -> list[int]:
        """Read a whole choice."""
        if isinstance(labels, list | tuple):
            chosen = [place for item in labels for place in self._item(item)]
        else:
            chosen = self._item(labels) if not isinstance(labels, str) else self._text(labels)
        if not chosen:
            raise InputError(self._expected(), repr(labels), self.field)
        return list(dict.fromkeys(chosen))

    def _expected(self) -> str:
        return f"labels among 0-{len(self.names) - 1}, {self.names[0]}..{self.names[-1]}, or all"

    def _item(self, item: object) -> list[int]:
        """Read an item of a list: its type says whether it is an index."""
        if isinstance(item, str):
            text = item if item in self.places else item.strip()
            readings = dict(self._readings(text))
            if text in self.places and text.isdecimal():  # quoted: a name
                readings = {kind: places for kind, places in readings.items() if kind.startswith("the person")}
            return self._one(text, readings)
        try:
            place = -1 if isinstance(item, bool) else operator.index(item)  # type: ignore[arg-type]
        except TypeError:
            place = -1
        if not 0 <= place < len(self.names):
            raise InputError(self._expected(), item, self.field)
        return [place]

    def _text(self, text: str) -> list[int]:
        """Read a text, which may be several with commas between them."""
        text = text if text in self.places else text.strip()
        tokens = [token.strip() for token in text.split(",") if token.strip()]
        if text not in self.places:
            return self._each(tokens)
        readings = dict(self._readings(text))
        if len(tokens) > 1:
            with suppress(InputError):  # a name with a comma in it, and nothing else
                readings[f"{len(tokens)} labels with commas between them"] = self._each(tokens)
        return self._one(text, readings)

    def _each(self, tokens: Sequence[str]) -> list[int]:
        """Read texts one by one."""
        return [place for token in tokens for place in self._one(token, dict(self._readings(token)))]

    def _readings(self, text: str) -> Iterator[tuple[str, list[int]]]:
        """Everything that a text can mean: what that is in words, and the indices."""
        for place in self.places.get(text, ()):
            yield f"the person {text} (index {place})", [place]
        if text == "all":
            yield "all people", list(range(len(self.names)))
        for place in self._index(text):
            yield f"the index {text} (the person {self.names[place]})", [place]
        for words, low, high in self._ranges(text):
            if low <= high:
                yield words, list(range(low, high + 1))

    def _ranges(self, text: str) -> Iterator[tuple[str, int, int]]:
        """Every range that a text can be: what that is in words, and the indices of both ends."""
        for cut, sign in enumerate(text):
            if sign != "-":
                continue
            first, last = text[:cut].strip(), text[cut + 1 :].strip()
            for low, high in product(self.places.get(first, ()), self.places.get(last, ())):
                yield f"the people {first} to {last} (indices {low} to {high})", low, high
            for low, high in product(self._index(first), self._index(last)):
                yield f"the indices {low} to {high} (the people {self.names[low]} to {self.names[high]})", low, high

    def _index(self, text: str) -> list[int]:
        """The index that a text is, if it is one."""
        place = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
        return [place] if 0 <= place < len(self.names) else []

    def _one(self, text: str, readings: dict[str, list[int]]) -> list[int]:
        """The only thing that a text can mean."""
        if not readings:
            down = next(self._ranges(text), None) is not None
            raise InputError("a range that goes up" if down else self._expected(), text, self.field)
        meant = list(readings.values())
        if any(places != meant[0] for places in meant):
            both = " or ".join(list(readings)[:_SHOWN])
            mend = "in a list an integer is an index, as [3], and a quoted number is a name, as ['3']"
            raise InputError("labels of one meaning", f"{text!r}: {both}; {mend}", self.field)
        return meant[0]
