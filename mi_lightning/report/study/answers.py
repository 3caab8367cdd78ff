"""What judges have answered, read from their files and held against the key."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_lightning.errors import InputError, MIError
from mi_lightning.io import read_json
from mi_lightning.report.schema.check import problem
from mi_lightning.report.study.page import KEY_VERSION, digest_of
from mi_lightning.report.study.plan import CANNOT_TELL, DIFFERENT, NONE, SAME

#: Of the file that the page saves.
ANSWERS_VERSION = 1

_STRINGS = {"type": "array", "items": {"type": "string"}}
ANSWERS_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["schema_version", "study", "judge", "finished", "answers"],
    "properties": {
        "schema_version": {"const": ANSWERS_VERSION},
        "study": {"type": "string"},
        "judge": {"type": "string"},
        "finished": {"type": "boolean"},
        "answers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["item", "kind", "options", "answer", "milliseconds"],
                "properties": {
                    "item": {"type": "string"},
                    "kind": {"type": "string"},
                    "options": _STRINGS,
                    "answer": {"type": "string"},
                    "milliseconds": {"type": "integer"},
                },
            },
        },
    },
}
KEY_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["schema_version", "study", "title", "settings", "runs", "samples", "questions"],
    "properties": {
        "schema_version": {"const": KEY_VERSION},
        "study": {"type": "string"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "sha256"],
                "properties": {"name": {"type": "string"}, "sha256": {"type": "string"}},
            },
        },
        "questions": {"type": "object"},
    },
}


@dataclass(frozen=True)
class Key:
    """Which answers are right.

    Attributes:
        path: Where it was read.
        data: Content of the file, which fits :data:`KEY_SCHEMA`.
    """

    path: Path
    data: Mapping[str, Any]

    @property
    def study(self) -> str:
        """Name of the study."""
        return str(self.data["study"])

    @property
    def questions(self) -> Mapping[str, Mapping[str, Any]]:
        """Every question by its item: kind, run, label, name, check, options, answer, recognised."""
        questions: Mapping[str, Mapping[str, Any]] = self.data["questions"]
        return questions


@dataclass(frozen=True)
class Answers:
    """What one judge has answered.

    Attributes:
        judge: The judge's code.
        finished: Whether every question was answered.
        answer: Answer to each item: a sample, ``"none"``, ``"same"``, ``"different"`` or ``"cannot_tell"``.
        milliseconds: How long the judge looked at each item.
    """

    judge: str
    finished: bool
    answer: Mapping[str, str]
    milliseconds: Mapping[str, int]


def read_key(path: str | Path) -> Key:
    """Read the key of a study.

    Raises:
        MIError: If it is missing or damaged, or is no such key.
    """
    path = Path(path)
    data = read_json(path)
    if wrong := problem(data, KEY_SCHEMA):
        raise MIError(f"{path} is no key of a study: {wrong}")
    if digest_of(data) != data["study"]:
        raise MIError(f"{path} was changed since it was written: use the key that mi-lightning study wrote")
    return Key(path, data)


def read_answers(paths: Sequence[str | Path], key: Key) -> list[Answers]:
    """Read the files that the judges saved.

    Args:
        paths: Files, or folders of them: there every ``*.json`` but the key.
        key: The key of the study.

    Returns:
        One for each judge, in the order of their codes.

    Raises:
        InputError: If there is none, or a judge has two.
        MIError: If one is damaged, empty, or of another study.
    """
    files = [file for path in paths for file in _files(Path(path), key)]
    if not files:
        raise InputError("files of answers", "none", "answers")
    found: dict[str, tuple[Path, Answers]] = {}
    for file in files:
        answers = _read(file, key)
        if answers.judge in found:
            both = f"two of {answers.judge}: {found[answers.judge][0]} and {file}"
            raise InputError("one file of answers for each judge", both, "answers")
        found[answers.judge] = file, answers
    return [answers for _, (_, answers) in sorted(found.items())]


def _files(path: Path, key: Key) -> list[Path]:
    if not path.is_dir():
        return [path]
    return [file for file in sorted(path.glob("*.json")) if file.resolve() != key.path.resolve()]


def _read(path: Path, key: Key) -> Answers:
    """Read one file.

    Raises:
        MIError: If it is damaged, empty, or of another study.
    """
    data = read_json(path)
    if wrong := problem(data, ANSWERS_SCHEMA):
        raise MIError(f"{path} is no file of answers: {wrong}")
    if data["study"] != key.study:
        raise MIError(f"{path} answers another study ({data['study']}) than {key.path} ({key.study}): use its own key")
    if not data["answers"]:
        raise MIError(f"{path} holds no answers: leave it out")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,24}", data["judge"]):
        raise MIError(f"{path} is damaged: {data['judge'][:40]!r} is no code of a judge")
    answer: dict[str, str] = {}
    for given in data["answers"]:
        if wrong := _mistake(given, key.questions.get(given["item"]), seen=given["item"] in answer):
            raise MIError(f"{path} is damaged: {given['item']} {wrong}")
        answer[given["item"]] = given["answer"]
    milliseconds = {given["item"]: int(given["milliseconds"]) for given in data["answers"]}
    return Answers(data["judge"], bool(data["finished"]), answer, milliseconds)


def _mistake(given: Mapping[str, Any], question: Mapping[str, Any] | None, *, seen: bool) -> str | None:
    """What is wrong with an answer."""
    if question is None:
        return "is no question of this study"
    if seen:
        return "is answered twice"
    if given["kind"] != question["kind"] or sorted(given["options"]) != question["options"]:
        return "is not the question that the study asks"
    allowed = [*question["options"], NONE] if question["kind"] == "line_up" else [SAME, DIFFERENT, CANNOT_TELL]
    if given["answer"] not in allowed:
        return f"has an answer that it does not offer ({given['answer'][:40]})"
    return "took less than no time" if given["milliseconds"] < 0 else None
