"""Configurations by name: where they lie, what runs are called after them, and what their old names were."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import yaml

from mi_lightning.cli.renamed import OLD_CLASSES, OLD_CONFIGS, OLD_KEYS
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import read_yaml

_PACKAGE = Path(__file__).parent.parent


def shipped_configs() -> Path:
    """Return the folder of the configurations that come with the package: in a wheel within it, else beside it."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def find_config(name: str, field: str = "--config") -> Path:
    """Find a configuration: a file of the working folder, else one that comes with the package.

    Args:
        name: Path of a file, or path below the folder of those that are shipped, with or without a leading `configs/`.
        field: What named it, for the error.

    Returns:
        The file.

    Raises:
        InputError: If there is none; the nearest names are told, or the new name of one that has been renamed.
    """
    if Path(name).is_file():
        return Path(name)
    parts = PurePath(name).parts
    inner = PurePath(*parts[1:]) if parts[:1] == ("configs",) else PurePath(name)
    folder = shipped_configs()
    if not inner.is_absolute() and inner.suffix and (folder / inner).is_file():
        return folder / inner
    if Path(name).is_dir():
        raise InputError("a configuration that can be read", f"{name}, a folder", field)
    key = inner.as_posix()
    new = OLD_CONFIGS.get(key) or OLD_CONFIGS.get(f"configs/{key}")
    if new is None and inner.parts[:1] == ("fit",):
        successor = PurePath("classifier", *inner.parts[1:])
        new = f"--config {successor.as_posix()}" if (folder / successor).is_file() else None
    if new is not None:
        raise InputError("a configuration that exists", f"{name}, which is now {new}", field)
    known = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml"))
    same_stem = [other for other in known if PurePath(other).stem == inner.stem]
    near = list(dict.fromkeys([*same_stem, *difflib.get_close_matches(key, known, n=3, cutoff=0.6)]))[:3]
    hint = f"; near it are {', '.join(near)}" if near else ""
    raise InputError("a configuration that exists", f"{name}{hint}", field)


def with_configs_found(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Replace the name after each ``--config`` by the path of the file.

    Args:
        arguments: Arguments of a command.

    Returns:
        The arguments with paths, and the names of the configurations as they were given.

    Raises:
        InputError: If a configuration does not exist.
    """
    found, names = [], []
    follows = False
    for argument in arguments:
        prefix, name = ("", argument) if follows else ("--config=", argument.removeprefix("--config="))
        if (follows or argument.startswith(prefix)) and not _is_content(name):
            names.append(name)
            argument = f"{prefix}{find_config(name)}"
        found.append(argument)
        follows = argument == "--config"
    return found, names


def _is_content(value: str) -> bool:
    """Whether the value of ``--config`` is itself YAML and not the name of a file, or another flag."""
    return "\n" in value or ": " in value or value.startswith(("{", "--"))


def run_name(configs: Sequence[str], folder: str = "") -> str:
    """Name a run after its configurations: their stems, joined (``<target>_<attack>``).

    Args:
        configs: Their names.
        folder: Only those that lie in a folder of this name count, if there are any; all if it is empty.

    Example:
        >>> run_name(["configs/target/att_softmax.yaml", "configs/attack/mi_face.yaml"])
        'att_softmax_mi_face'
        >>> run_name([])
        'default'
    """
    chosen = [name for name in configs if folder and PurePath(name).parent.name == folder] or configs
    return "_".join(PurePath(name).stem for name in chosen) or "default"


def explain(command: str, arguments: Sequence[str]) -> MIError | None:
    """Say more of arguments that could not be parsed: which file is no YAML, or what an old name is called now.

    Args:
        command: The command.
        arguments: Its arguments, configurations by their paths.

    Returns:
        What is wrong; None if it is neither.
    """
    for flag, path in pairwise(arguments):
        if flag == "--config" and not _is_content(path):
            try:
                read_yaml(path, "--config")
            except InputError as error:
                return error
    return _new_name(command, arguments)


def _new_name(command: str, arguments: Sequence[str]) -> MIError | None:
    """What the first name of the released layout is called now, if there is one in the arguments."""
    keys = OLD_KEYS.get(command, {})
    for key, value in _named(arguments):
        plain = ".".join(part for part in key.split(".") if part != "init_args" and not part.isdecimal())
        for pattern, new in keys.items():
            if fnmatch.fnmatchcase(plain, pattern):
                return InputError(f"the key {new}, as it is called now", plain, f"--{key}")
        if isinstance(value, str) and value in OLD_CLASSES:
            return InputError(f"the class {OLD_CLASSES[value]}, as it is called now", value, f"--{key}")
    return None


def _named(arguments: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Give every dotted key that arguments and their configurations name, with its value, inner nodes included."""
    for place, argument in enumerate(arguments):
        if not argument.startswith("--"):
            continue
        flag, given, value = argument.removeprefix("--").partition("=")
        if not given:
            value = arguments[place + 1] if place + 1 < len(arguments) else ""
        try:
            content = yaml.safe_load(Path(value).read_text(encoding="utf-8") if flag == "config" else value)
        except (OSError, ValueError, yaml.YAMLError):
            content = value
        yield from _nodes(content, "" if flag == "config" else flag.removesuffix("+"))


def _nodes(tree: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Give the dotted key and the value of every node of a tree."""
    if key:
        yield key.removesuffix(".class_path"), tree
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list) else ()
    for name, value in items:
        yield from _nodes(value, f"{key}.{name}" if key else str(name))
