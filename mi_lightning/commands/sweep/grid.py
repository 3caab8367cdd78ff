"""Grids over configurations: axes, the values on them, and what each value changes."""

from __future__ import annotations

import copy
import difflib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_lightning.checkpoint import file_digest, plain_digest
from mi_lightning.errors import InputError
from mi_lightning.imports import code_digest
from mi_lightning.recognisers import MissingRecogniserError, default_recogniser
from mi_lightning.report.axes import NOTHING, Axis, is_number, number_label

_REFERENCE = re.compile(r"^\$([\w.]+)(?:\s*([*/])\s*([-+.\deE]+))?$")


_FIELD = "grid"


def read_axes(grid: Mapping[str, Any]) -> list[Axis]:
    """Read a grid.

    Each key of it is an axis. Its content is the list of its values, or ``values`` with a ``title`` and with what they
    ``set``. Values are numbers, words, or of any kind if they are labelled (``label: value``). An axis that says not
    what it sets is itself a dotted key.

    Args:
        grid: As it stands in the YAML file.

    Raises:
        InputError: If there is no axis or an axis has no value, two that are equal, or one that needs a label.
    """
    if not grid:
        raise InputError("a grid of one axis or more", "none", _FIELD)
    return [_read_axis(str(name), content) for name, content in grid.items()]


def _read_axis(name: str, content: Any) -> Axis:
    field = f"{_FIELD}.{name}"
    if not isinstance(content, Mapping):
        content = {"values": content}
    if unknown := [str(key) for key in content if key not in ("title", "values", "set")]:
        raise InputError("title, values and set", ", ".join(unknown), field)
    changes = content.get("set")
    if changes is not None and (not isinstance(changes, Mapping) or not changes):
        raise InputError("dotted keys and what they are set to", changes, f"{field}.set")
    values = content.get("values")
    if isinstance(values, Mapping):
        labelled = {_label(label, field): value for label, value in values.items()}
        if changes is not None:  # the label `none` of a number is the number 0
            labelled = {label: 0 if _is_nothing(value) else value for label, value in labelled.items()}
    elif isinstance(values, Sequence) and not isinstance(values, str):
        labelled = {}
        for value in values:
            label = _label(value, field)
            if label in labelled:
                raise InputError("different values", f"{label} twice", field)
            labelled[label] = (0 if changes is not None else None) if _is_nothing(value) else _number(value)
    else:
        raise InputError("a list of values", values, field)
    if not labelled:
        raise InputError("one value or more", "none", field)
    if changes is not None:
        seen: dict[str, str] = {}
        for label, value in labelled.items():
            other = seen.setdefault(json.dumps(value, sort_keys=True, default=str), label)
            if other != label:
                raise InputError("different values", f"{other} and {label}, which are equal", field)
    return Axis(
        name=name,
        title=str(content.get("title") or name),
        labels=tuple(labelled),
        values=tuple(labelled.values()),
        changes={str(key): value for key, value in changes.items()} if changes is not None else {name: f"${name}"},
    )


def _label(value: Any, field: str) -> str:
    """Name of a value."""
    value = _number(value)
    if _is_nothing(value):
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number_label(value)
    if isinstance(value, str) and value:
        return value
    raise InputError("a label before each value that is no number and no word (label: value)", value, field)


def _is_nothing(value: Any) -> bool:
    return value is None or value == NOTHING


def _number(value: Any) -> Any:
    """A number that YAML took for a word (1e-5 has no point), as a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def fill_in(template: Any, values: Mapping[str, Any], field: str) -> Any:
    """Put values into a template, at any depth: ``$name``, ``$name * 0.5`` or ``$name / 2``.

    Args:
        template: What a YAML file holds; it stays as it is.
        values: Value of each name.
        field: Where the template stands, for errors.

    Raises:
        InputError: If a name is unknown, or a value is computed with that is no number.

    Example:
        >>> fill_in({"r": "$r", "floor": ["$r * 0.5"]}, {"r": 0.01}, "grid")
        {'r': 0.01, 'floor': [0.005]}
    """
    if isinstance(template, Mapping):
        return {key: fill_in(value, values, field) for key, value in template.items()}
    if isinstance(template, list):
        return [fill_in(item, values, field) for item in template]
    if not isinstance(template, str) or not template.startswith("$"):
        return copy.deepcopy(template)
    found = _REFERENCE.match(template)
    if found is None or found[1] not in values:
        known = " or ".join(f"${name}" for name in values)
        raise InputError(f"{known}, perhaps times or by a number", template, field)
    value = copy.deepcopy(values[found[1]])
    if found[2] is None:
        return value
    factor = _number(found[3])
    if not is_number(value) or not is_number(factor) or (found[2] == "/" and factor == 0):
        raise InputError("numbers to compute with", f"{template} where ${found[1]} is {value}", field)
    return value * factor if found[2] == "*" else value / factor


def combinations(axes: Sequence[Axis]) -> Iterator[dict[str, str]]:
    """Give every choice of one label on each axis, the last axis fastest."""
    for labels in itertools.product(*(axis.labels for axis in axes)):
        yield {axis.name: label for axis, label in zip(axes, labels, strict=True)}


def change(config: Mapping[str, Any], changes: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Set dotted keys of a configuration.

    Args:
        config: A whole configuration, with every key that there is; it stays as it is.
        changes: Dotted keys, where a number is a place in a list, and what they are set to.
        field: Where the keys stand, for errors.

    Returns:
        The changed configuration.

    Raises:
        InputError: If a key does not exist; the nearest ones are named.

    Example:
        >>> change({"model": {"defenses": [{"r": 0.1}]}}, {"model.defenses.0.r": 0.2}, "grid")
        {'model': {'defenses': [{'r': 0.2}]}}
    """
    changed: dict[str, Any] = copy.deepcopy(dict(config))
    for key, value in changes.items():
        *path, last = key.split(".")
        node: Any = changed
        for part in path:
            node = _step(node, part)
        if _step(node, last) is _MISSING:
            raise InputError("a key that exists", f"{key}{_nearest(key, changed)}", field)
        node[int(last) if isinstance(node, list) else last] = copy.deepcopy(value)
    return changed


_MISSING = object()


def _step(node: Any, part: str) -> Any:
    """What is under a key, or at a place of a list."""
    if isinstance(node, list):
        return node[int(part)] if part.isdecimal() and int(part) < len(node) else _MISSING
    return node.get(part, _MISSING) if isinstance(node, dict) else _MISSING


def _nearest(key: str, config: Mapping[str, Any]) -> str:
    """Keys that may have been meant, as the end of a sentence."""
    known = list(dict.fromkeys(name for name, _ in leaves(config, inner=True)))
    near = difflib.get_close_matches(key, known, n=3, cutoff=0.6)
    ending = key.rpartition(".")[2]
    by_ending = {name: None for name in known if name.rpartition(".")[2] == ending}
    near = list(dict.fromkeys([*by_ending, *near]))[:3]
    return f"; near it are {', '.join(near)}" if near else ""


def leaves(tree: Any, prefix: str = "", *, inner: bool = False) -> Iterator[tuple[str, Any]]:
    """Give the dotted key and the value of every leaf, and if ``inner`` of every node that is no leaf."""
    if isinstance(tree, Mapping):
        items: Any = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    else:
        yield prefix, tree
        return
    if inner and prefix:
        yield prefix, tree
    for key, value in items:
        yield from leaves(value, f"{prefix}.{key}" if prefix else str(key), inner=inner)


def run_digest(config: Mapping[str, Any], version: str) -> str:
    """Digest of everything that decides what a run finds: its settings, the files and the imported code that they name.

    Left out is where it writes and what it shows: ``trainer.logger`` and ``trainer.enable_progress_bar``. Where the
    recogniser is taken that is installed, its weights and settings belong to it: a run that was judged without one, or
    by another, is another run.

    Args:
        config: Complete configuration of the run.
        version: Version of the program.

    Returns:
        SHA-256, hexadecimal.

    Raises:
        MIError: If a recogniser is installed whose weights are not those that are known.
    """
    settings = deciding(config)
    files = {key: file_digest(value) for key, value in leaves(settings) if isinstance(value, str) and _is_file(value)}
    content = {"version": version, "settings": settings, "files": files}
    if names := settings.get("imports"):
        content["code"] = {name: code_digest(name) for name in names}
    if settings.get("recogniser") == "auto":
        content["recognisers"] = {kind: _installed(kind) for kind in ("picture", "sound")}
    return plain_digest(content)


def _installed(kind: str) -> Any:
    """The recogniser for inputs of a kind, its weights and settings; None if it is not installed."""
    recogniser = default_recogniser(kind)
    try:
        return None if recogniser is None else recogniser.describe()
    except MissingRecogniserError:
        return None


def deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out of a configuration what does not decide what a run finds: where it writes and what it shows."""
    settings = {key: value for key, value in config.items() if key != "config" and (key != "imports" or value)}
    if isinstance(trainer := settings.get("trainer"), Mapping):
        settings["trainer"] = {k: v for k, v in trainer.items() if k not in ("logger", "enable_progress_bar")}
    return settings


def _is_file(name: str) -> bool:
    """Whether there is such a file; a word that can be no path is none."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False
