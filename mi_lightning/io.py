"""Files: written whole or not at all, read as plain values, and every failure told in one line."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import yaml

from mi_lightning.errors import InputError, MIError

_FCNTL: Any = import_module("fcntl") if find_spec("fcntl") else None  # not on every system

#: What a file is made of: its bytes, its text (UTF-8), or a function that writes into an open binary file, such as
#: ``lambda file: np.save(file, array)`` or ``lambda file: torch.save(state, file)``.
Content = bytes | str | Callable[[IO[bytes]], object]


#: Files that would have been written, and their sizes in bytes, while nothing is.
_WOULD_WRITE: ContextVar[dict[Path, int] | None] = ContextVar("_WOULD_WRITE", default=None)


@contextmanager
def writing_nothing() -> Iterator[dict[Path, int]]:
    """Let nothing be written by the functions of this module while the block runs.

    Yields:
        Files that would have been, and their sizes in bytes.

    Example:
        >>> with writing_nothing() as files:
        ...     write_atomically("page.html", "text")
        >>> files, Path("page.html").exists()
        ({PosixPath('page.html'): 4}, False)
    """
    files: dict[Path, int] = {}
    token = _WOULD_WRITE.set(files)
    try:
        yield files
    finally:
        _WOULD_WRITE.reset(token)


def nothing_is_written() -> bool:
    """Whether a block of :func:`writing_nothing` runs."""
    return _WOULD_WRITE.get() is not None


def write_atomically(path: str | Path, content: Content, *, what: str = "") -> None:
    """Write a file so that it is there whole or not at all; its folder is made if need be.

    A disk that fills up, or a writer that fails, leaves the file that was there before, and nothing else.

    Args:
        path: File to write; one that is there is replaced.
        content: See :data:`Content`.
        what: What it is called in the error, such as ``"the checkpoint"``; only its path is named if empty.

    Raises:
        MIError: If it cannot be written, in one line. What else the writer raises is passed on.
    """
    path = Path(path)
    if (would := _WOULD_WRITE.get()) is not None:
        would[path] = _size(content)
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                _write(content, file)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise MIError(f"cannot write {_named(what, path)}: {_reason(error, path.parent)}") from error


def write_private(path: str | Path, text: str) -> None:
    """Write a text that only its owner may read, where the system knows owners; else as :func:`write_atomically`.

    Raises:
        MIError: If it cannot be written.
    """

    def write(file: IO[bytes]) -> None:
        with suppress(OSError):
            os.fchmod(file.fileno(), 0o600)
        file.write(text.encode())

    write_atomically(path, write)


def _write(content: Content, file: IO[bytes]) -> None:
    if isinstance(content, bytes | str):
        file.write(content.encode() if isinstance(content, str) else content)
        return
    try:
        content(file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):  # torch's writer says only that something went wrong
            raise error.__context__ from error
        raise


def _size(content: Content) -> int:
    """Size of a file of this content, in bytes."""
    buffer = BytesIO()
    _write(content, buffer)
    return len(buffer.getvalue())


@contextmanager
def made_whole(folder: str | Path) -> Iterator[Path]:
    """Fill a folder that appears whole or not at all, under its name, in the place of one that is there.

    Of two processes that make the same folder at once the quicker one's stays.

    Args:
        folder: The folder.

    Yields:
        An empty folder beside it, to be filled; it takes the name when the block ends without an error.

    Raises:
        MIError: If it cannot be made, or something in it not be written, in one line.

    Example:
        >>> with tempfile.TemporaryDirectory() as home:
        ...     with made_whole(f"{home}/cache/key") as new:
        ...         _ = (new / "table.json").write_text("{}")
        ...     [path.name for path in Path(home).rglob("*") if path.is_file()]
        ['table.json']
    """
    folder = Path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        before = _identity(folder)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
        try:
            yield partial
            if _identity(folder) not in (None, before):  # another process was quicker, and may be reading it
                return
            shutil.rmtree(folder, ignore_errors=True)
            try:
                partial.rename(folder)
            except OSError:
                if not folder.is_dir():  # another process was quicker: its copy is as good
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise MIError(f"cannot write {folder}: {_reason(error, folder.parent)}") from error


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from one that takes its place; None if there is none."""
    with suppress(OSError):
        state = folder.stat()
        return state.st_dev, state.st_ino
    return None


def ensure_writable(folder: str | Path, field: str = "") -> None:
    """Make a folder and see that a file can be written there; nothing stays behind but the folder.

    Where nothing is written (:func:`writing_nothing`), only the permissions are looked at.

    Args:
        folder: The folder.
        field: Argument that named it, for the error.

    Raises:
        InputError: If it cannot be made or written.
    """
    folder = Path(folder)
    if nothing_is_written():
        _ensure_allowed(folder, field)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".writable.", dir=folder)
        os.close(descriptor)
        Path(name).unlink()
    except FileExistsError as error:  # only of mkdir
        raise InputError("a folder that can be written", f"{folder}, which is a file", field) from error
    except OSError as error:
        raise InputError("a folder that can be written", f"{folder}: {error.strerror}", field) from error


def _ensure_allowed(folder: Path, field: str) -> None:
    """See that a folder could be made and written, by what is there of it."""
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not there.is_dir():
        got = f"{folder}, which is a file" if there == folder else f"{folder}: {there} is a file"
        raise InputError("a folder that can be written", got, field)
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError("a folder that can be written", f"{folder}: {there} cannot be", field)


@contextmanager
def alone(folder: str | Path, field: str = "", *, what: str = "process") -> Iterator[None]:
    """Keep a second process out of a folder while the block runs, where the system can.

    Args:
        folder: The folder; a file ``.lock`` stays in it.
        field: Argument that named it, for the error.
        what: What works there, for the error.

    Raises:
        InputError: If another is at work there.
    """
    if _FCNTL is None or nothing_is_written():  # in the first case the user has to see to it
        yield
        return
    with (Path(folder) / ".lock").open("w") as lock:
        try:
            _FCNTL.flock(lock, _FCNTL.LOCK_EX | _FCNTL.LOCK_NB)
        except OSError:
            raise InputError(f"a folder where no other {what} is at work", folder, field) from None
        yield


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8.

    Raises:
        MIError: If it cannot be read, or is no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise MIError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MIError(f"{path} is damaged (no text in UTF-8: {one_line(error)})") from error


def read_json(path: str | Path) -> Any:
    """Read a file of JSON.

    Raises:
        MIError: If it cannot be read, or is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise MIError(f"{path} is damaged ({one_line(error)})") from error


def read_yaml(path: str | Path, field: str = "") -> dict[str, Any]:
    """Read a file of keys and values in YAML.

    Args:
        path: The file.
        field: Argument that named it, for the error.

    Raises:
        InputError: If it cannot be read, is no YAML, or holds something else.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("a configuration that can be read", f"{path}: {error.strerror}", field) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError("a configuration in YAML", f"{path}: {one_line(error)}", field) from error
    if not isinstance(content, dict):
        raise InputError("a configuration of keys and values", path, field)
    return content


def one_line(error: BaseException) -> str:
    r"""What an error of somebody else says, in one line; its class if it says nothing.

    Example:
        >>> one_line(ValueError("two\n  lines")), one_line(KeyError())
        ('two lines', 'KeyError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def _named(what: str, path: Path) -> str:
    return f"{what} {path}" if what else str(path)


def _reason(error: OSError, parent: Path) -> str:
    if isinstance(error, FileExistsError) and not parent.is_dir():  # of mkdir
        return f"{parent} is no folder"
    return error.strerror or one_line(error)
