"""Which flag an error is about: leaves name an argument of theirs, the command line knows where the part stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import FrameType
from typing import Any

from mi_lightning.errors import InputError, root_error
from mi_lightning.loggers import to_make


@dataclass(frozen=True, eq=False)
class Place:
    """Where a part stands in a configuration.

    Attributes:
        key: Dotted key, such as ``model.priors.1``.
        inside: What comes before the name of one of its arguments, such as ``model.priors.1.init_args.``.
        made_of: Class of the part.
        arguments: Its arguments as they stand there.
    """

    key: str
    inside: str
    made_of: type | None
    arguments: Mapping[str, Any]


class Places:
    """The parts of a configuration, and the object that was made of each.

    Give :meth:`make` to jsonargparse as an instantiator of all classes, and run what may fail within :meth:`flags`.

    Args:
        config: Complete configuration of a command.
        groups: Keys whose content is the arguments of a class, and the class.
    """

    def __init__(self, config: Mapping[str, Any], groups: Mapping[str, type]) -> None:
        """List the places in the order in which jsonargparse makes their parts."""
        self._config = config
        self._places: list[Place] = []
        for key, value in config.items():
            group = groups.get(key)
            if group is not None and isinstance(value, Mapping) and "class_path" not in value:
                self._places += _below(value, f"{key}.")
                self._places.append(Place(key, f"{key}.", group, value))
            else:
                self._places += _walk(value, key)
        self._made: dict[int, tuple[object, Place]] = {}  # with the object itself, so that its id stays its own

    def make(self, class_type: type, /, *args: Any, **kwargs: Any) -> Any:
        """Make a part and remember where it stands."""
        place = self._place_of(class_type, kwargs)
        made = to_make(class_type)(*args, **kwargs)
        if place is not None:
            self._made[id(made)] = (made, place)
        return made

    def note(self, made: object, key: str) -> None:
        """Remember where a part stands that was made elsewhere."""
        for place in self._places:
            if place.key == key:
                self._made[id(made)] = (made, place)

    @contextmanager
    def flags(self) -> Iterator[None]:
        """Let errors about an argument of a part name its full flag."""
        try:
            yield
        except Exception as error:
            found = root_error(error)
            if isinstance(found, InputError) and found.field and not found.field.startswith("--"):
                key = self._key_of(found.field, [frame for link in _chain(error) for frame in _frames(link)])
                if key is not None:
                    InputError.__init__(found, found.expected, found.got, f"--{key}")
            raise

    def _place_of(self, class_type: type, arguments: Mapping[str, Any]) -> Place | None:
        """The place whose part is made now: the first of this class and these plain values that has not had its turn.

        The part of a place may be made several times (an optimizer): then the last place is kept to.
        """
        alike = [place for place in self._places if place.made_of is class_type]
        alike = [place for place in alike if _agree(place.arguments, arguments)] or alike
        taken = {id(place) for _, place in self._made.values()}
        return next((place for place in alike if id(place) not in taken), alike[-1] if alike else None)

    def _key_of(self, field: str, frames: list[FrameType]) -> str | None:
        """The dotted key of an argument that code within these frames (innermost first) found wanting."""
        first = field.partition(".")[0]
        for frame in frames:
            place = self._standing(frame)
            if place is not None and first in place.arguments:
                return place.inside + field
        return _spelled_out(self._config, field) if first in self._config else None

    def _standing(self, frame: FrameType) -> Place | None:
        """The place of the part that a frame makes or belongs to."""
        here = frame.f_locals.get("self")
        if here is self and frame.f_code is Places.make.__code__:
            place: Place | None = frame.f_locals.get("place")
            return place
        made, place = self._made.get(id(here), (None, None))
        return place if made is here else None


def _walk(node: Any, key: str) -> Iterator[Place]:
    """Give the places of a node and below it, the inner ones first."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            yield from _walk(item, f"{key}.{number}")
    elif isinstance(node, Mapping):
        if not isinstance(node.get("class_path"), str):
            yield from _below(node, f"{key}.")
            return
        arguments = node.get("init_args") or {}
        yield from _below(arguments, f"{key}.init_args.")
        yield Place(key, f"{key}.init_args.", _class(node["class_path"]), arguments)


def _below(arguments: Mapping[str, Any], prefix: str) -> Iterator[Place]:
    for name, value in arguments.items():
        yield from _walk(value, f"{prefix}{name}")


def _class(path: str) -> type | None:
    """The class of a dotted path; None if it is none."""
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except (ImportError, ValueError):
        return None
    return found if isinstance(found, type) else None


def _agree(written: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether numbers and words that were written are those that were given."""
    plain = {key: value for key, value in written.items() if isinstance(value, bool | int | float | str)}
    return all(key in given and (given[key] == value or value != value) for key, value in plain.items())


def _spelled_out(config: Mapping[str, Any], field: str) -> str:
    """A dotted key with ``init_args`` wherever a class path stands between."""
    node: Any = config
    spelled = []
    for part in field.split("."):
        if isinstance(node, Mapping) and "class_path" in node and part not in node:
            spelled.append("init_args")
            node = node.get("init_args")
        spelled.append(part)
        node = node.get(part) if isinstance(node, Mapping) else None
    return ".".join(spelled)


def _chain(error: BaseException) -> list[BaseException]:
    """The errors that led to this one, the first of them first."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return chain[::-1]


def _frames(error: BaseException) -> list[FrameType]:
    """The frames that an error went through, the innermost first."""
    frames = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames[::-1]
