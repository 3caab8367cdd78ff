from __future__ import annotations

import io
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mi_lightning.errors import InputError, MIError
from mi_lightning.io import alone, ensure_writable, made_whole, one_line, read_json, read_text, read_yaml
from mi_lightning.io import write_atomically as write

FULL = OSError(28, "No space left on device")
WRITERS = {
    "numpy": lambda file: np.save(file, np.zeros(100_000)),
    "compressed": lambda file: np.savez_compressed(file, a=np.random.default_rng(0).random(100_000)),
    "torch": lambda file: torch.save({"a": torch.zeros(100_000)}, file),
}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


class FullDisk(io.RawIOBase):
    """A file on a disk that has room for 100 bytes."""

    def __init__(self) -> None:
        self.room = 100

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise FULL
        return len(data)


def on_a_full_disk(writer):
    """A writer that meets a disk which fills while it writes: the first bytes are there."""

    def write_some(file):
        file.write(b"half")
        writer(FullDisk())

    return write_some


@pytest.mark.parametrize(("content", "expected"), [(b"\x00\xff", b"\x00\xff"), ("für", "für".encode())])
def test_bytes_and_text(tmp_path, content, expected):
    write(tmp_path / "a" / "b" / "file", content)
    assert (tmp_path / "a" / "b" / "file").read_bytes() == expected
    assert names(tmp_path / "a" / "b") == ["file"]


def test_a_writer(tmp_path):
    write(str(tmp_path / "x.npy"), lambda file: np.save(file, np.arange(3)))
    assert np.load(tmp_path / "x.npy").tolist() == [0, 1, 2]
    write(tmp_path / "x.ckpt", lambda file: torch.save({"a": torch.ones(2)}, file))
    assert torch.load(tmp_path / "x.ckpt", weights_only=True)["a"].tolist() == [1, 1]


@pytest.mark.parametrize("writer", WRITERS)
def test_a_disk_that_fills_leaves_the_old_file_and_nothing_else(tmp_path, writer):
    path = tmp_path / "file"
    write(path, b"old")
    with pytest.raises(MIError, match=r"^cannot write the checkpoint .*file: No space left on device$"):
        write(path, on_a_full_disk(WRITERS[writer]), what="the checkpoint")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_bytes_on_a_disk_that_is_full(tmp_path):
    path = tmp_path / "file"
    partial = path.with_name(f".file.{os.getpid()}.partial")
    partial.symlink_to("/dev/full")
    with pytest.raises(MIError, match=r"^cannot write .*file: No space left on device$"):
        write(path, b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_writer_is_passed_on(tmp_path):
    def broken(file):
        file.write(b"half")
        raise RuntimeError("not a matter of the disk")

    with pytest.raises(RuntimeError, match="not a matter of the disk"):
        write(tmp_path / "file", broken)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MIError, match=r"^cannot write .*file/x: .*/file is no folder$"):
        write(tmp_path / "file" / "x", b"")
    with pytest.raises(MIError, match=r"^cannot write .*file/x/y: Not a directory$"):
        write(tmp_path / "file" / "x" / "y", b"")


def test_a_folder_appears_whole(tmp_path):
    for content in ("first", "second"):
        with made_whole(tmp_path / "cache" / "key") as new:
            (new / "table").write_text(content)
            assert not (tmp_path / "cache" / "key" / "table").exists() or content == "second"
        assert (tmp_path / "cache" / "key" / "table").read_text() == content
    assert names(tmp_path / "cache") == ["key"]


def test_a_folder_that_was_made_by_a_quicker_process_stays(tmp_path, monkeypatch):
    # between the removal of what was there and the renaming, the other process finishes
    monkeypatch.setattr("shutil.rmtree", lambda path, ignore_errors: None)
    with made_whole(tmp_path / "key") as new:
        (new / "table").write_text("ours")
        (tmp_path / "key").mkdir()
        (tmp_path / "key" / "table").write_text("theirs")
    assert (tmp_path / "key" / "table").read_text() == "theirs"


@pytest.mark.parametrize("error", [FULL, RuntimeError("broken")])
def test_a_folder_that_cannot_be_filled_leaves_the_old_one(tmp_path, error):
    with made_whole(tmp_path / "key") as new:
        (new / "table").write_text("old")
    words = r"^cannot write .*key: No space left on device$" if error is FULL else "^broken$"

    def fill():
        with made_whole(tmp_path / "key") as new:
            (new / "table").write_text("new")
            raise error

    with pytest.raises((MIError, RuntimeError), match=words):
        fill()
    assert (tmp_path / "key" / "table").read_text() == "old"
    assert names(tmp_path) == ["key"]


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path):
    ensure_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"a folder that can be written, got .*file, which is a file \(output\)$"):
        ensure_writable(tmp_path / "file", "output")
    with pytest.raises(InputError, match=r"a folder that can be written, got .*below: Not a directory$"):
        ensure_writable(str(tmp_path / "file" / "below"))


def try_to_be_alone(folder):
    try:
        with alone(folder, "output", what="sweep"):
            return "alone"
    except InputError as error:
        return str(error)


def test_one_process_at_a_time(tmp_path):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        with alone(tmp_path):
            refused = pool.apply(try_to_be_alone, (tmp_path,))
        assert refused == f"expected a folder where no other sweep is at work, got {tmp_path} (output)"
        assert pool.apply(try_to_be_alone, (tmp_path,)) == "alone"


def test_reading(tmp_path):
    path = tmp_path / "file"
    path.write_text('{"a": [1, null]}', encoding="utf-8")
    assert read_text(path) == '{"a": [1, null]}'
    assert read_json(path) == read_yaml(path) == {"a": [1, None]}


@pytest.mark.parametrize(
    ("read", "content", "words"),
    [
        (read_text, None, r"^cannot read .*file: No such file or directory$"),
        (read_text, b"\xff", r"^.*file is damaged \(no text in UTF-8: .*\)$"),
        (read_json, b"{", r"^.*file is damaged \(.*\)$"),
        (read_yaml, None, r"^expected a configuration that can be read, got .*file: No such file or directory$"),
        (read_yaml, b"a: [\n", r"^expected a configuration in YAML, got .*file: .*$"),
        (read_yaml, b"\xff", r"^expected a configuration in YAML, got .*file: .*$"),
        (read_yaml, b"- 1", r"^expected a configuration of keys and values, got .*file$"),
    ],
)
def test_what_cannot_be_read(tmp_path, read, content, words):
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(MIError, match=words) as caught:
        read(tmp_path / "file")
    assert "\n" not in str(caught.value)


def test_the_field_is_named(tmp_path):
    with pytest.raises(InputError, match=r"\(fit\)$"):
        read_yaml(tmp_path / "file", "fit")


def test_one_line():
    assert one_line(OSError(2, "a\n b")) == "[Errno 2] a b"
