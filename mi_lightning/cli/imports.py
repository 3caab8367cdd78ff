"""Modules that arguments and configurations name (``--import``, ``imports``), and which class paths are allowed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import set_parsing_settings

from mi_lightning.errors import InputError
from mi_lightning.imports import PACKAGES, VARIABLE, active, using

FLAG = "--import"

#: Key of a configuration, and what its help says.
KEY = "imports"
HELP = (
    "Modules of yours, installed or in the working folder, that are imported first, so that their classes can be named;"
    f" {FLAG} MODULE adds one, before or after other flags, as does the environment variable {VARIABLE} (names with"
    " commas between them). They are code, and run."
)


def take(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the flags that name modules out of arguments.

    Returns:
        The modules, and the arguments that are left.

    Raises:
        InputError: If a flag names none.

    Example:
        >>> take(["--import", "mynet", "fit", "--import=more", "--config", "a.yaml"])
        (['mynet', 'more'], ['fit', '--config', 'a.yaml'])
    """
    names: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        flag, equals, value = argument.partition("=")
        if flag not in (FLAG, f"--{KEY}", f"--{KEY}+"):
            rest.append(argument)
            continue
        value = value if equals else next(left, "")
        if not value or value.startswith("-"):
            raise InputError("the name of a module", value or "none", FLAG)
        names += [value] if flag == FLAG else _names(yaml.safe_load(value), f"--{KEY}")
    return names, rest


@contextmanager
def imported(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Import what arguments, their configurations and the environment name, for as long as the context lasts.

    Args:
        arguments: Arguments of a command, configurations by their paths or their content.

    Yields:
        The arguments, with all names in one flag at their end, so that the configuration of a run has them.
    """
    flags, rest = take(arguments)
    before = active()
    with using(before, VARIABLE), using(_of_configs(rest), KEY), using(flags, FLAG), allowed(active()):
        yield [*rest, f"--{KEY}={json.dumps(active())}"] if active() else rest


@contextmanager
def imported_of(config: Mapping[str, Any]) -> Iterator[None]:
    """Import what the content of a configuration names, for as long as the context lasts."""
    with using(_names(config.get(KEY), KEY), KEY), allowed(active()):
        yield


@contextmanager
def allowed(names: Sequence[str]) -> Iterator[None]:
    """Let class paths name what lies in `mi_lightning.imports.PACKAGES` and in packages that were asked for, only.

    The parser looks at where the object was defined that a path leads to, not only at the path, and holds it to the
    type of its argument.
    """
    tops = {name.partition(".")[0] for name in names} - _ALLOWED - {*PACKAGES}
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[*PACKAGES, *tops])
    _ALLOWED.update(tops)
    try:
        yield
    finally:
        set_parsing_settings(import_path_denylist=list(tops))
        _ALLOWED.difference_update(tops)


_ALLOWED: set[str] = set()  # what commands that run now have allowed; the parser has one list for a process


def _of_configs(arguments: Sequence[str]) -> list[str]:
    """Names of the modules in all configurations among arguments."""
    found: list[str] = []
    for place, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag != "--config":
            continue
        value = value if equals else arguments[place + 1] if place + 1 < len(arguments) else ""
        try:
            content = yaml.safe_load(Path(value).read_text(encoding="utf-8") if _is_file(value) else value)
        except (OSError, ValueError, yaml.YAMLError):
            continue  # the parser says what is wrong with it
        if isinstance(content, Mapping):
            found += _names(content.get(KEY), KEY)
    return found


def _is_file(value: str) -> bool:
    try:
        return Path(value).is_file()
    except (OSError, ValueError):  # the content of a configuration, which can be no path
        return False


def _names(value: Any, field: str) -> list[str]:
    """Names as they stand in a configuration: a list, one name, or nothing."""
    names = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("a list of names of modules", value, field)
    return names
