"""What the contract tests share: parts are found by their export, so that a new one is tested by being exported."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

import pytest


def exported(package: ModuleType, base: type) -> list[type]:
    """The classes that a package exports under a base, without abstract ones."""
    found = (getattr(package, name) for name in package.__all__)
    return [part for part in found if inspect.isclass(part) and issubclass(part, base) and not inspect.isabstract(part)]


def example(part: type, examples: Mapping[type, Callable[..., Any]], where: str) -> Callable[..., Any]:
    """How to make a part; a part that nobody knows how to make fails, and says what is to be done."""
    if part not in examples:
        pytest.fail(f"{part.__name__} is exported but has no example: add one to EXAMPLES in {where}")
    return examples[part]


def plain(value: object) -> bool:
    """Whether a value is made of what JSON can say."""
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and plain(entry) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def named(parts: Iterable[type]) -> list[Any]:
    """Parameters of a test, one a part, by their names."""
    return [pytest.param(part, id=part.__name__) for part in parts]
