"""Every part that refuses a number, in every place where it may stand: the error names the flag of that place."""

from __future__ import annotations

import importlib
import inspect
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from mi_lightning.attacks.spaces import PixelSpace
from mi_lightning.cli.places import Places
from mi_lightning.cli.runner import CommandLine
from mi_lightning.errors import InputError, MIError

WRONG = (-1, 0, 2, -0.5, 1.5, math.nan, math.inf)

#: Arguments of an attack, some of which `Inversion` hands on.
ARGUMENTS = set(CommandLine().complete("invert", {})["model"])
INITIALIZER = "initializer" if "initializer" in inspect.signature(PixelSpace).parameters else "initial"


@dataclass(frozen=True)
class Role:
    """Parts of one kind, and where they stand.

    Attributes:
        package: What exports them.
        place: Dotted key, where a number is a place in a list; what stands before it there is ``first``.
        first: Parts that stand before it in a list.
        command: Command whose configuration it is.
    """

    package: str
    place: str
    first: tuple[str, ...] = ()
    command: str = "invert"


DEFENSE = "mi_lightning.targets.defenses.HardLabel"
ROLES = (
    Role("attacks.spaces", "model.space"),
    Role("attacks.costs", "model.cost"),
    Role("attacks.priors", "model.priors.1", ("mi_lightning.attacks.priors.L2",)),
    Role("attacks.filters", "model.gradient_filter"),
    Role(
        "attacks.filters",
        "model.gradient_filter.init_args.filters.1",
        ("mi_lightning.attacks.filters.UnitRMS",),
    ),
    Role("attacks.estimators", "model.estimator"),
    Role("attacks.initializers", f"model.space.init_args.{INITIALIZER}"),
    Role("attacks.steps", "model.step"),
    Role("attacks.selection", "model.selection"),
    Role("attacks.projections", "model.projections.0"),
    Role("attacks.transforms", "model.transforms.0"),
    Role("targets.defenses", "model.defenses.1", (DEFENSE,)),
    Role("lightning.callbacks", "trainer.callbacks.1", ("mi_lightning.lightning.callbacks.ResultsWriter",)),
    Role("data", "data"),
    Role("classifiers", "model", command="fit"),
    Role("data", "data", command="fit"),
)

#: What parts need that has no default, as a configuration has it, by the name of the argument.
NEEDED: dict[str, Any] = {
    "filters": [{"class_path": "mi_lightning.attacks.filters.UnitRMS"}],
    "path": "x",
    "root": "x",
    "decoder": {"class_path": "mi_lightning.public_models.FaceDecoder"},
}

#: Classes round a place that is inside another part.
ROUND = {
    "model.gradient_filter.init_args.filters": "mi_lightning.attacks.filters.FilterChain",
    f"model.space.init_args.{INITIALIZER}": "mi_lightning.attacks.spaces.PixelSpace",
}


def parts(role: Role) -> Iterator[type]:
    """The classes that a role's package exports and that can be made."""
    try:
        package = importlib.import_module(f"mi_lightning.{role.package}")
    except ModuleNotFoundError:
        return
    names = getattr(package, "__all__", [name for name in dir(package) if name[0].isupper()])
    for name in names:
        part = getattr(package, name)
        if inspect.isclass(part) and not inspect.isabstract(part) and part.__module__.startswith("mi_lightning."):
            yield part


def refused(part: type) -> Iterator[tuple[dict[str, Any], InputError]]:
    """For each argument of a part that is a number: the first wrong one that it refuses, and what it says."""
    parameters = inspect.signature(part).parameters
    needed = {name: NEEDED[name] for name, p in parameters.items() if name in NEEDED and p.default is p.empty}
    linked = {"input_shape": (1, 28, 24), "num_classes": 4}
    given = {name: value for name, value in linked.items() if name in parameters}
    for name, parameter in parameters.items():
        words = str(parameter.annotation)
        if not re.search(r"\b(int|float)\b", words) or name in linked or "[" in words:
            continue
        for wrong in WRONG:
            if "float" not in words and not isinstance(wrong, int):
                continue
            try:
                part(**given | dict.fromkeys(needed) | {name: wrong})
            except InputError as error:
                if error.field in (name, "") or error.field.startswith("--"):
                    yield needed | {name: wrong}, error
                    break
            except Exception:  # noqa: BLE001  # needs more than this test knows to give
                continue


def cases() -> Iterator[Any]:
    for role in ROLES:
        if role.place.startswith("model.") and role.place.split(".")[1] not in ARGUMENTS:
            continue
        for part in parts(role):
            for arguments, error in refused(part):
                name = list(arguments)[-1]
                yield pytest.param(role, part, arguments, name, error, id=f"{role.place}-{part.__name__}-{name}")


def configured(role: Role, part: type, arguments: dict[str, Any]) -> dict[str, Any]:
    """A configuration with a part in its place."""
    node: Any = {"class_path": f"mi_lightning.{role.package}.{part.__name__}", "init_args": arguments}
    keys = role.place.split(".")
    while keys:
        key = keys.pop()
        if key.isdecimal():
            node = [*({"class_path": path} for path in role.first), node]
        elif key == "init_args":
            node = {"init_args": node}
        else:
            node = {key: node}
            here = ".".join([*keys, key])
            if here in ROUND:
                node = {"class_path": ROUND[here], "init_args": node}
                keys.pop()  # the init_args that this was
    if role.command == "fit":
        node.setdefault("data", {"class_path": "mi_lightning.data.AttFaces"})
        node.setdefault("model", {"class_path": "mi_lightning.classifiers.SoftmaxRegression"})
    return dict(node)


@pytest.fixture(scope="module")
def runner():
    return CommandLine()


@pytest.mark.parametrize(("role", "part", "arguments", "name", "error"), list(cases()))
def test_the_flag_is_the_place(runner, role, part, arguments, name, error):
    if not error.field or error.field.startswith("--"):
        pytest.xfail("the part does not name its argument yet")
    flag = f"--{role.place}.init_args.{name}"
    with pytest.raises(MIError, match=rf"expected .* \({re.escape(flag)}\)$"):
        runner.complete(role.command, configured(role, part, arguments), check=True)


def test_there_is_something_to_test():
    found = list(cases())
    assert len({case.values[0].place for case in found}) >= 8
    assert len(found) > 40


# ------------------------------------------------------------------------------------------------ places themselves


class Leaf:
    """Refuses sizes below 1, at once or later."""

    def __init__(self, size: int = 1, late: int = 1) -> None:
        if size < 1:
            raise InputError("size >= 1", size, field="size")
        self.late = late

    def bind(self) -> None:
        if self.late < 1:
            raise InputError("late >= 1", self.late, field="late")


class Branch:
    """Holds parts, and makes one of its own."""

    def __init__(self, parts: list[Any], own: int = 1) -> None:
        self.parts = parts
        if own < 1:
            raise InputError("own >= 1", own, field="own")

    def bind(self) -> None:
        for part in self.parts:
            part.bind()


LEAF, BRANCH = (f"{__name__}.{name}" for name in ("Leaf", "Branch"))


def made(monkeypatch, leaves: list[dict[str, Any]], own: int = 1) -> tuple[Places, Any]:
    monkeypatch.setattr("mi_lightning.cli.places._class", lambda path: {LEAF: Leaf, BRANCH: Branch}[path])
    nodes = [{"class_path": LEAF, "init_args": leaf} for leaf in leaves]
    branch = {"class_path": BRANCH, "init_args": {"parts": nodes, "own": own}}
    places = Places({"model": {"space": branch}, "jobs": 1}, {"model": dict})
    with places.flags():
        return places, places.make(Branch, parts=[places.make(Leaf, **leaf) for leaf in leaves], own=own)


def test_repeated_parts_are_told_apart(monkeypatch):
    with pytest.raises(InputError, match=r"got 0 \(--model.space.init_args.parts.2.init_args.size\)$"):
        made(monkeypatch, [{"size": 2}, {"size": 1}, {"size": 0}])
    with pytest.raises(InputError, match=r"got 0 \(--model.space.init_args.own\)$"):
        made(monkeypatch, [{"size": 1}], own=0)


def test_equal_parts_that_fail_later_are_told_apart(monkeypatch):
    places, branch = made(monkeypatch, [{"late": 1}, {"late": 1}, {"late": 1}])
    branch.parts[1].late = 0
    with pytest.raises(InputError, match=r"\(--model.space.init_args.parts.1.init_args.late\)$"), places.flags():
        branch.bind()


@pytest.mark.parametrize(
    ("field", "flag"), [("jobs", "--jobs"), ("jobs.3", "--jobs.3"), ("--as.it.is", "--as.it.is"), ("other", "other")]
)
def test_arguments_of_the_command_itself(monkeypatch, field, flag):
    places, _ = made(monkeypatch, [])
    with pytest.raises(InputError, match=rf"\({flag}\)$"), places.flags():
        raise InputError("a", "b", field=field)


def test_an_error_behind_another_is_the_one_that_is_mended(monkeypatch):
    places, branch = made(monkeypatch, [{"late": 1}])
    branch.parts[0].late = 0

    def wrapped() -> None:
        try:
            branch.bind()
        except InputError as error:
            raise RuntimeError("wrapped") from error

    with pytest.raises(RuntimeError) as caught, places.flags():
        wrapped()
    assert str(caught.value.__cause__).endswith("(--model.space.init_args.parts.0.init_args.late)")
