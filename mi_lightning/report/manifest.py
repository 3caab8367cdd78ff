"""``manifest.json``: the SHA-256 of every file in a folder but itself, so that a changed byte is found."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from mi_lightning.errors import MIError
from mi_lightning.io import one_line, read_text, write_atomically
from mi_lightning.report.schema import problem

MANIFEST = "manifest.json"

SCHEMA_VERSION = 1

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["schema_version", "created", "files", "partial", "digest"],
    "properties": {
        "schema_version": {"type": "integer", "const": SCHEMA_VERSION},
        "created": {"type": "string"},
        "files": {"type": "object"},
        "partial": {"type": "array", "items": {"type": "string"}},
        "notes": {"type": "array", "items": {"type": "string"}},  # only where there are any
        "digest": {"type": "string"},
    },
}

_ENTRY: dict[str, Any] = {
    "type": "object",
    "required": ["sha256", "bytes"],
    "properties": {"sha256": {"type": "string"}, "bytes": {"type": "integer"}},
}

_PIECE = 1 << 20  # bytes that are read at once

#: Called with the bytes that were just read and the bytes of all files.
Progress = Callable[[int, int], None]

Entries = Mapping[str, Mapping[str, Any]]


@dataclass
class _Listing:
    """What lies in a folder, by paths with forward slashes relative to it.

    Attributes:
        files: The files, in the order of their paths, and the size of each in bytes.
        partial: What a writer that was stopped has left: it is no file of the folder yet.
        wrong: Paths that are no plain files, and what they are.
    """

    files: dict[str, int] = field(default_factory=dict)
    partial: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)


def write_manifest(folder: str | Path) -> Path:
    """Write ``manifest.json``: every file below the folder but itself, with its SHA-256 and size.

    To be called after everything else is written. Manifests of folders below are files like any other. What a writer
    that was stopped has left behind (``.name.partial``) is not listed as a file, but its presence is told. The file
    ends with a digest of its own content, which shows an accident; like the whole it is no signature.

    Args:
        folder: The folder.

    Returns:
        Path of the manifest.

    Raises:
        MIError: If a file cannot be read or written, or something is no plain file: a link that leaves the folder, a
            link to a folder, a pipe.
    """
    folder = Path(folder)
    listing = _listing(folder)
    if listing.wrong:
        path, what = next(iter(listing.wrong.items()))
        raise MIError(f"cannot list {_shown(path)} in the manifest of {folder}: it is {what}; put a copy in its place")
    entries = _entries(folder, listing, None)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    write_atomically(folder / MANIFEST, _text(created, entries, listing.partial))
    return folder / MANIFEST


def complete_manifest(folder: str | Path, *renewed: str) -> None:
    """List what has come into a folder since its manifest was written; what was listed stays as it was.

    So a change to a listed file still shows, where a manifest made anew would hide it.

    Args:
        folder: The folder; nothing happens if it has no manifest.
        renewed: Paths of files that were written again on purpose.

    Raises:
        MIError: If the manifest is damaged, or as of :func:`write_manifest`.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        return
    data, listing = read_manifest(folder), _listing(folder)
    listing.files = {p: size for p, size in listing.files.items() if p in renewed or p not in data["files"]}
    entries = data["files"] | _entries(folder, listing, None)
    write_atomically(folder / MANIFEST, _text(data["created"], entries, listing.partial, data.get("notes", ())))


def renew_manifest(folder: str | Path, touched: Collection[str], note: str) -> None:
    """Say of some files alone what they are now: those that are gone are listed no more, and a note says why.

    What was listed of other files stays as it was, so a change to one of them still shows.

    Args:
        folder: The folder; nothing happens if it has no manifest.
        touched: Paths of files, relative to the folder, that were written again or deleted on purpose.
        note: Kept in the manifest, once.

    Raises:
        MIError: If the manifest is damaged, or as of :func:`write_manifest`.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        return
    data, listing = read_manifest(folder), _listing(folder)
    listing.files = {path: size for path, size in listing.files.items() if path in touched and path in data["files"]}
    kept = {path: entry for path, entry in data["files"].items() if path not in touched}
    notes = list(dict.fromkeys([*data.get("notes", ()), note]))
    entries = kept | _entries(folder, listing, None)
    write_atomically(folder / MANIFEST, _text(data["created"], entries, listing.partial, notes))


def read_manifest(folder: str | Path) -> dict[str, Any]:
    """Read a manifest.

    Args:
        folder: Folder in which it lies.

    Returns:
        Its content: ``schema_version``, ``created``, ``files``, ``partial``, ``digest``.

    Raises:
        MIError: If there is none, or it is not, byte for byte, what :func:`write_manifest` wrote.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise MIError(f"no {MANIFEST} in {folder}: nothing says what the files were like")
    text = read_text(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MIError(f"{path} is damaged ({one_line(error)})") from error
    wrong = problem(data, _SCHEMA) or next(
        (w for key, e in data["files"].items() if (w := problem(e, _ENTRY, key))), None
    )
    if wrong:
        raise MIError(f"{path} is damaged ({wrong})")
    if text != _text(data["created"], data["files"], data["partial"], data.get("notes", ())):
        raise MIError(f"{path} is damaged (its digest is not that of its content)")
    return dict(data)


def manifest_sha256(folder: str | Path) -> str:
    """Return the SHA-256 of a folder's ``manifest.json``, which stands for everything in the folder.

    Raises:
        MIError: If it cannot be read.
    """
    return _sha256(Path(folder) / MANIFEST, None)


def check_manifest(folder: str | Path, progress: Progress | None = None) -> list[str]:
    """Compare the files of a folder with its manifest, and with the manifests of the folders below.

    Args:
        folder: The folder.
        progress: Told of what was read.

    Returns:
        One line a problem: what was changed, is missing, was added, is unfinished or damaged. Empty if there is none.

    Raises:
        MIError: If there is no manifest, or a file cannot be read.
    """
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        read_manifest(folder)  # which says so
    listing = _listing(folder)
    problems = {path: f"changed: {_shown(path)} is {what}" for path, what in listing.wrong.items()}
    problems |= {
        path: f"unfinished: {_shown(path)} was left by a writer that was stopped; delete it" for path in listing.partial
    }
    found = _entries(folder, listing, progress)
    below = [str(PurePosixPath(path).parent) for path in found if PurePosixPath(path).name == MANIFEST]
    for inner in ("", *below):
        if f"{inner}/{MANIFEST}" not in problems:  # else its own words count for nothing
            _compare(folder, inner, found, problems)
    return [problems[path] for path in sorted(problems)]


def _compare(folder: Path, inner: str, found: Entries, problems: dict[str, str]) -> None:
    """Add what the manifest of a folder below says; what is told of a path already is not told twice."""
    prefix = f"{inner}/" if inner else ""
    try:
        listed: Entries = {f"{prefix}{path}": entry for path, entry in read_manifest(folder / inner)["files"].items()}
    except MIError as error:
        problems[f"{prefix}{MANIFEST}"] = str(error).replace(f"{folder / inner / MANIFEST}", f"{prefix}{MANIFEST}", 1)
        return
    own = f"{prefix}{MANIFEST}"
    for path in sorted({*listed, *(path for path in found if path.startswith(prefix) and path != own)}):
        if path in problems:
            continue
        if path not in found:
            problems[path] = f"missing: {_shown(path)} is in {own}"
        elif path not in listed:
            problems[path] = f"added: {_shown(path)} is not in {own}"
        elif dict(found[path]) != dict(listed[path]):
            problems[path] = f"changed: {_shown(path)} is not what {own} says"


def _text(created: str, entries: Entries, partial: list[str], notes: Sequence[str] = ()) -> str:
    """The one text of a manifest of this content."""
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "created": created,
        "files": {path: {key: entries[path][key] for key in ("sha256", "bytes")} for path in sorted(entries)},
        "partial": sorted(partial),
        **({"notes": list(notes)} if notes else {}),
    }
    content["digest"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps(content, indent=2) + "\n"


def _entries(folder: Path, listing: _Listing, progress: Progress | None) -> dict[str, dict[str, Any]]:
    """SHA-256 and size of each file of a listing."""
    total = sum(listing.files.values())
    told = None if progress is None else lambda count: progress(count, total)
    entries = {}
    for path in listing.files:
        sha256 = _sha256(folder / path, told)
        entries[path] = {"sha256": sha256, "bytes": (folder / path).stat().st_size}
    return entries


def _sha256(path: Path, told: Callable[[int], None] | None) -> str:
    """SHA-256 of a file, read piece by piece."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                if told is not None:
                    told(len(piece))
    except OSError as error:
        raise MIError(f"cannot read {path}: {error.strerror or one_line(error)}") from error
    return digest.hexdigest()


def _listing(folder: Path) -> _Listing:
    """List everything below a folder but its own manifest; nothing is opened."""
    listing = _Listing()
    home = folder.resolve()
    try:
        for path, entry in sorted(_walk(folder, "")):
            if path == MANIFEST and not entry.is_symlink():
                continue
            if _is_partial(PurePosixPath(path).name):
                listing.partial.append(path)
            elif what := _wrong(home, entry):
                listing.wrong[path] = what
            else:
                listing.files[path] = entry.stat().st_size
    except OSError as error:
        raise MIError(f"cannot read {folder}: {error.strerror or one_line(error)}") from error
    return listing


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Relative path and path of everything below a folder that is no folder; partial folders count as one thing."""
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False) and not _is_partial(entry.name):
                yield from _walk(Path(entry.path), f"{path}/")
            else:
                yield path, Path(entry.path)


def _is_partial(name: str) -> bool:
    """Whether a name is one under which `mi_lightning.io` writes before a file or folder is whole."""
    return name.startswith(".") and name.endswith(".partial")


def _wrong(home: Path, path: Path) -> str | None:
    """What something is that is no plain file, nor a link to one within the folder ``home``; None if it is."""
    if path.is_symlink():
        goal = Path(os.path.realpath(path))
        if not goal.is_relative_to(home):
            return "a link that leaves the folder"
        if not goal.is_file():
            return "a link to a folder" if goal.is_dir() else "a link to nothing"
        return None
    return None if stat.S_ISREG(os.lstat(path).st_mode) else "no plain file"


def _shown(path: str) -> str:
    """A path as it stands in one line of text."""
    return path if path.isprintable() else ascii(path)
