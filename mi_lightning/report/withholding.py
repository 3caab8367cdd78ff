"""What is handed on without faces or names: runs as a page may show them, and texts that name nobody."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from mi_lightning.errors import InputError, MIError
from mi_lightning.io import read_yaml
from mi_lightning.report.results import RunResults

#: What can be withheld.
WITHHELD = ("pictures", "names")

_NAMED_IN_ROWS = ("name", "evaluator_guess", "recogniser_guess")
_SHORTEST_NUMBER = 3  # digits of a name that is looked for in running text: "7" is in every other line
_LISTS = ("class_names", "people", "labels")
_KEPT = ("package_versions", "created")  # versions and times name nobody


def names_in(run: RunResults) -> list[str]:
    """Everybody whom the rows of a run or the lists of its configuration name, each once, sorted.

    An attack on some people has a configuration, and a target, that may list them all.
    """
    rows = run.data["per_label"]
    named = {str(row[key]) for row in rows for key in _NAMED_IN_ROWS if row.get(key) is not None}
    config = run.data["config"]
    if config is not None and Path(config).name == config:
        with suppress(MIError):  # not there, or somebody else's: what cannot be read lists nobody
            named |= set(_listed(read_yaml(run.folder / config)))
    return sorted(named | set(_listed({key: run.data.get(key) for key in ("target", "data", "evaluator")})))


def _listed(tree: Any) -> Iterator[str]:
    """Names in the lists of people of a tree of plain values."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key in _LISTS and isinstance(value, list):
                yield from (name for each in value if (name := _name_of(each)))
            else:
                yield from _listed(value)
    elif isinstance(tree, list):
        for each in tree:
            yield from _listed(each)


def _name_of(entry: Any) -> str:
    """The name that an entry of a list of people is; empty if it is an index or a range."""
    name = entry.removeprefix("name:") if isinstance(entry, str) else ""
    return name if any(map(str.isalpha, name)) and not name.startswith("index:") else ""


def pseudonyms(runs: Sequence[RunResults]) -> dict[str, str]:
    """Give everybody in some runs a pseudonym, ``person 01``, ..., in an order that says nothing about names or labels.

    The order is drawn by what the attacks reconstructed: the same runs give the same pseudonyms, in whatever order, and
    who has not got their arrays cannot draw it again.

    Args:
        runs: The runs.

    Returns:
        Pseudonym of each name.

    Raises:
        MIError: If the arrays of a run cannot be read.
    """
    parts = sorted(hashlib.sha256(b"pseudonyms" + run.arrays["reconstruction"].tobytes()).digest() for run in runs)
    key = hashlib.sha256(b"".join(parts)).digest()
    everybody = {name for run in runs for name in names_in(run)}
    drawn = sorted(everybody, key=lambda name: hashlib.sha256(key + name.encode()).digest())
    width = max(2, len(str(len(drawn))))
    return {name: f"person {number:0{width}d}" for number, name in enumerate(drawn, 1)}


def replacing(instead: Mapping[str, str]) -> Callable[[str], str]:
    """Return what puts others in the place of names in a text, as whole words, in whatever case.

    What stands between the words of a name does not count: ``Ann Lee`` is found in ``ann_lee.png``, too, as are names
    as JSON, YAML and HTML spell them. Names of one letter, or of one or two digits, are found only where they are the
    whole text.

    Args:
        instead: What takes the place of each name.

    Example:
        >>> replacing({"Ann Lee": "person 01", "7": "person 02"})("data/ann_lee/7.png of Ann Lee, Annie and 7")
        'data/person 01/7.png of person 01, Annie and 7'
        >>> replacing({"7": "person 02"})("7")
        'person 02'
    """
    spelled = {other: who for name, who in instead.items() if _can_be_found(name) for other in _spellings(name)}
    spelled |= {name: who for name, who in instead.items() if _can_be_found(name)}
    folded = {_folded(name): other for name, other in spelled.items()}
    found = sorted(spelled, key=len, reverse=True)
    if not found:
        return lambda text: instead.get(text, text)
    pattern = re.compile("|".join(map(_pattern, found)), re.IGNORECASE)
    return lambda text: instead.get(text) or pattern.sub(lambda match: folded.get(_folded(match[0]), "a person"), text)


def tree_with(tree: Any, said: Callable[[str], str]) -> Any:
    """A tree of plain values whose texts, but for versions of packages, were passed through a function."""
    if isinstance(tree, Mapping):
        return {key: value if key in _KEPT else tree_with(value, said) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [tree_with(value, said) for value in tree]
    return said(tree) if isinstance(tree, str) else tree


def withhold(runs: Sequence[RunResults], what: Collection[str]) -> list[RunResults]:
    """Return runs as a page may show them.

    Args:
        runs: The runs.
        what: What is withheld, of :data:`WITHHELD`. Without names everybody has a pseudonym, with a label of the same
            number, in rows and in every text; without pictures nothing can be seen or heard.
    """
    shown = list(runs)
    if "names" in what:
        instead = pseudonyms(runs)
        shown = [_without_names(run, instead) for run in shown]
    return [replace(run, pictures=False) for run in shown] if "pictures" in what else shown


def _without_names(run: RunResults, instead: Mapping[str, str]) -> RunResults:
    said = replacing(instead)
    data = tree_with({key: value for key, value in run.data.items() if key != "per_label"}, said)
    rows = []
    for row in run.data["per_label"]:
        hidden = {key: instead.get(row[key], row[key]) for key in _NAMED_IN_ROWS if key in row}
        reason = {"verdict_reason": said(row["verdict_reason"])} if row.get("verdict_reason") else {}
        label = int(instead[row["name"]].rpartition(" ")[2])
        rows.append({**row, **hidden, **reason, "label": label})
    return replace(run, data=nameless({**data, "per_label": rows}), said=said)


def nameless(data: Mapping[str, Any]) -> dict[str, Any]:
    """What holds the verification of a target, without the hint: it may name people whom nothing else names."""
    found = data.get("verification")
    return {**data, "verification": {**found, "hint": ""}} if found else dict(data)


def people_behind(runs: Sequence[RunResults]) -> dict[str, str]:
    """Name behind each pseudonym of :func:`pseudonyms`, in their order."""
    return {pseudonym: name for name, pseudonym in pseudonyms(runs).items()}


def checked_withheld(*, no_pictures: bool, pseudonyms: bool) -> tuple[str, ...]:
    """What is withheld, as :func:`withhold` takes it."""
    chosen = {"pictures": no_pictures, "names": pseudonyms}
    return tuple(what for what in WITHHELD if chosen[what])


def refuse_names(texts: Iterable[str], runs: Sequence[RunResults], field: str) -> None:
    """Refuse texts that name somebody, where names are to be withheld.

    Raises:
        InputError: If one does.
    """
    said = replacing(dict.fromkeys((name for run in runs for name in names_in(run)), "SOMEBODY"))
    if named := [text for text in texts if said(text) != text]:
        raise InputError("names of runs and files that name none of the people", named[0], field)


def _can_be_found(name: str) -> bool:
    return len(name) >= _SHORTEST_NUMBER if name.isdecimal() else len(name) > 1 and bool(_words(name))


def _spellings(name: str) -> set[str]:
    """A name as it stands within files of JSON, YAML and HTML."""
    in_html = html.escape(name)
    in_yaml = yaml.safe_dump(name, default_style='"', width=10**6).strip()[1:-1]
    return {json.dumps(name)[1:-1], in_yaml, in_html, in_html.replace("&#x27;", "&#39;")}


def _pattern(name: str) -> str:
    return r"(?<![^\W_])" + r"[\W_]+".join(map(re.escape, _words(name))) + r"(?![^\W_])"


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W_]+", name)


def _folded(name: str) -> str:
    return " ".join(_words(name.casefold()))
