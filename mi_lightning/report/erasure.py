"""Erasing a person from the folder of a run, an audit or a sweep: a reconstruction is personal data.

What is done is planned first, file by file, and written down in a journal; every step may be repeated. So an erasure
that was stopped is finished by the next one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from mi_lightning.errors import InputError, MIError
from mi_lightning.io import read_json, write_atomically
from mi_lightning.report.erased_files import arrays_without, audit_without, page_without, results_without, rows_of
from mi_lightning.report.formats import csv_table
from mi_lightning.report.manifest import MANIFEST, check_manifest, renew_manifest
from mi_lightning.report.withholding import replacing

#: Who is being erased and from which files; there only while that is under way.
JOURNAL = ".erasing.json"
#: What stands in the place of a name.
ERASED = "erased"

_AUDIT_FILES = ("audit.json", "report.html", "junit.xml", "audit.sarif", "model_card.md")
_SEEN = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".svg", ".mp4", ".npy", ".npz", ".pt")
_HEARD = (".wav", ".mp3", ".ogg", ".flac", ".opus")
_CHECKPOINTS = (".ckpt", ".safetensors", ".onnx", ".pth")
#: A curve over all people; how sure a target of a sweep was of test photographs, without which the run would count as
#: unfinished, and the same sweep would attack the person again.
_FIGURES_ALONE = ("curves.svg", "utility.npz")


@dataclass(frozen=True)
class Step:
    """What is done to a file.

    Attributes:
        path: The file.
        make: Gives its new content when its turn comes; None if it is deleted.
        why: What it held of the person.
    """

    path: Path
    make: Callable[[], str | bytes] | None
    why: str


@dataclass
class Erasure:
    """What erasing people from a folder takes.

    Attributes:
        folder: The folder.
        people: Labels of each person, by name.
        steps: What is done to which file, in order.
        checkpoints: Files that are left alone and know the person.
        unread: Files that are left alone since nothing can be told of what they hold.
    """

    folder: Path
    people: dict[str, list[int]]
    steps: list[Step] = field(default_factory=list)
    checkpoints: list[Path] = field(default_factory=list)
    unread: list[Path] = field(default_factory=list)

    def do(self) -> None:
        """Erase: each file is written whole or not at all, and what was stopped is finished when it is done again.

        Raises:
            MIError: If a file cannot be written or deleted.
        """
        journal = self.folder / JOURNAL
        known = _journal(self.folder)
        touched = sorted({*known.get("touched", []), *(self._inside(step.path) for step in self.steps)})
        # their manifests will call them right: what was wrong with one before must not be forgotten
        wrong = known.get("wrong") if known else self._wrong(touched)
        write_atomically(journal, json.dumps({"people": self.people, "touched": touched, "wrong": wrong}) + "\n")
        for step in self.steps:
            if step.make is not None:
                write_atomically(step.path, step.make())
                continue
            try:
                step.path.unlink(missing_ok=True)
            except OSError as error:
                raise MIError(f"cannot delete {step.path}: {error.strerror}; the same command goes on") from error
        self._renew_manifests(touched, wrong or [])
        journal.unlink(missing_ok=True)

    def _manifests(self) -> list[Path]:
        """The manifests, those of the inner folders first: they are files of the outer ones."""
        return sorted(self.folder.rglob(MANIFEST), key=lambda path: len(path.parts), reverse=True)

    def _wrong(self, touched: Sequence[str]) -> list[str]:
        """What is not as its manifest says of the files that will be touched."""
        folders = [manifest.parent for manifest in self._manifests()]
        outermost = [
            each for each in folders if not any(each != other and each.is_relative_to(other) for other in folders)
        ]
        lines = {line for each in outermost for line in check_manifest(each)}
        names = {PurePosixPath(path).name for path in touched}
        return sorted(line for line in lines if any(name in line for name in names))

    def _renew_manifests(self, touched: Sequence[str], wrong: Sequence[str]) -> None:
        """Say in each manifest what its files are now."""
        changed = set(touched)
        note = f"people were erased from these files on {datetime.now(UTC).date().isoformat()}"
        note += f"; before that: {'; '.join(wrong)}" if wrong else ""
        for manifest in self._manifests():
            inside = [self.folder / path for path in changed]
            own = [path for path in inside if path.is_relative_to(manifest.parent)]
            if own:
                renew_manifest(manifest.parent, [p.relative_to(manifest.parent).as_posix() for p in own], note)
                changed.add(self._inside(manifest))

    def _inside(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def plan_erasure(folder: str | Path, people: Sequence[str]) -> Erasure:
    """Find out what erasing people takes; nothing is written.

    Args:
        folder: Folder of a run, an audit or a sweep.
        people: Names or labels, each also several with commas between; ``name:7`` and ``index:7`` say which is meant.

    Raises:
        InputError: If somebody is unknown, could be two people, is the last one left in a run, or the folder is a part
            of another that shows the same people.
        MIError: If there is no run in the folder, or one cannot be read.
    """
    folder = Path(folder)
    runs = sorted(path.parent for path in folder.rglob("results.json"))
    if not runs:
        raise MIError(f"no run in {folder}: name the folder of a run (mi-lightning invert), an audit or a sweep")
    _refuse_inner(folder)
    known = _journal(folder)
    labels: dict[str, set[int]] = {name: set(of) for name, of in known.get("people", {}).items()}
    half_done = set(labels)
    for run in runs:
        for row in rows_of(run):
            labels.setdefault(str(row["name"]), set()).add(int(row["label"]))
    chosen = {_choose(part, labels) for person in people for part in _parts(person, labels)} | half_done
    found = Erasure(folder, {name: sorted(labels[name]) for name in sorted(chosen)})
    for run in runs:
        if all(str(row["name"]) in chosen for row in rows_of(run)):
            raise InputError(f"somebody left in {run} (delete the folder)", "everybody", "person")
    _plan(found, runs)
    return found


def _parts(person: str, labels: Mapping[str, set[int]]) -> list[str]:
    """People with commas between; a name in which a comma stands is one."""
    if person.strip().removeprefix("name:") in labels:
        return [person.strip()]
    return [part.strip() for part in person.split(",") if part.strip()]


def _choose(person: str, labels: Mapping[str, set[int]]) -> str:
    """The name of a person by name or label."""
    kind, colon, rest = person.partition(":")
    by = kind if colon and kind in ("name", "index") else ""
    text = rest if by else person
    named = text if text in labels and by != "index" else None
    indexed = {name for name, of in labels.items() if text.isdecimal() and int(text) in of} if by != "name" else set()
    found = indexed | ({named} if named is not None else set())
    if len(found) == 1:
        return found.pop()
    if not found:
        raise InputError(f"one of the {len(labels)} people of this folder, by name or index", person, "person")
    readings = f"{', '.join(sorted(found))}; name:{text} and index:{text} say which is meant"
    raise InputError("one person", f"{person}, which could be {readings}", "person")


def _refuse_inner(folder: Path) -> None:
    """Refuse a run of an audit or a sweep: what is above it shows the same people."""
    for above in list(folder.resolve().parents)[:3]:
        if (above / "audit.json").is_file() or (above / "sweep.json").is_file():
            raise InputError(f"the whole folder {above}, whose pages show the same people", folder, "run")


def _journal(folder: Path) -> dict[str, Any]:
    """What an erasure that was stopped has left; empty if there is none."""
    path = folder / JOURNAL
    known = read_json(path) if path.is_file() else {}
    return known if isinstance(known, dict) else {}


def _plan(found: Erasure, runs: Sequence[Path]) -> None:
    """Add the steps: the files of runs, what else lies there, and the pages of audits last."""
    names = list(found.people)
    said = replacing(dict.fromkeys(names, ERASED))
    audits = [path.parent for path in sorted(found.folder.rglob("audit.json"))]
    done = {run / name for run in runs for name in ("results.json", "reconstructions.npz", "per_label.csv")}
    done |= {audit / name for audit in audits for name in _AUDIT_FILES}
    for path in sorted(path for path in found.folder.rglob("*") if path.is_file() and path not in done):
        if path.name not in (MANIFEST, JOURNAL):
            _plan_file(found, path, said)
    for run in runs:
        _plan_run(found, run, names)
    for audit in audits:
        found.steps.append(Step(audit / "audit.json", partial(audit_without, audit, said), "a note"))
        for name in _AUDIT_FILES[1:]:
            if (audit / name).is_file():
                made = partial(page_without, audit, name)
                found.steps.append(Step(audit / name, made, "the person's card" if name == "report.html" else "names"))


def _plan_run(found: Erasure, run: Path, names: Sequence[str]) -> None:
    """The files that a run keeps of each row; its results last, since they say who the rows are."""
    gone = {label for name in names for label in found.people[name]} & {
        int(row["label"]) for row in rows_of(run) if str(row["name"]) in names
    }
    if gone:
        arrays, table = run / "reconstructions.npz", run / "per_label.csv"
        if arrays.is_file():
            found.steps.append(Step(arrays, lambda: arrays_without(arrays, gone), "arrays of the person's rows"))
        if table.is_file():
            kept = [row for row in rows_of(run) if str(row["name"]) not in names]
            said = replacing(dict.fromkeys(names, ERASED))
            text = said(csv_table(kept, ("label", "name")))
            found.steps.append(Step(table, lambda: text, "the person's rows"))
    results = run / "results.json"
    found.steps.append(Step(results, lambda: results_without(results, names, ERASED), "the person's rows"))


def _plan_file(found: Erasure, path: Path, said: Callable[[str], str]) -> None:
    """What is done to a file that is not one of those that every run or audit has."""
    suffix = path.suffix.lower()
    if suffix in _CHECKPOINTS:
        found.checkpoints.append(path)
    elif "tfevents" in path.name:
        found.steps.append(Step(path, None, "pictures and sounds of everybody, for TensorBoard"))
    elif suffix in _HEARD and path.parent.name == "audio":
        if any(re.match(rf"{label:03d}_{_safe(name)}(_|\.)", path.name) for name, label in _pairs(found)):
            found.steps.append(Step(path, None, "the person's voice"))
    elif path.name in _FIGURES_ALONE:
        return
    elif suffix in (*_SEEN, *_HEARD):
        found.steps.append(Step(path, None, "a picture or sound of everybody, or of nobody knows whom"))
    elif suffix in (".html", ".htm") or _is_study_key(path):
        found.steps.append(Step(path, None, "a page with everybody, or its key: make it anew"))
    else:
        _plan_text(found, path, said)


def _plan_text(found: Erasure, path: Path, said: Callable[[str], str]) -> None:
    """Take names out of a text; a file that is none is told."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        found.unread.append(path)
        return
    except OSError as error:
        raise MIError(f"cannot read {path}: {error.strerror}") from error
    if (without := said(text)) != text:
        found.steps.append(Step(path, lambda: without, "the person's name"))


def _is_study_key(path: Path) -> bool:
    """Whether a file is the key of a study, which says whom it asks about."""
    return path.suffix == ".json" and PurePosixPath(path.name).stem.endswith("_key")


def _pairs(found: Erasure) -> list[tuple[str, int]]:
    return [(name, label) for name, labels in found.people.items() for label in labels]


def _safe(name: str) -> str:
    """A name as it stands in the names of sound files."""
    return re.escape(re.sub(r"[^A-Za-z0-9-]+", "_", name))
