"""What lies in a folder of people: links, names, kinds of pictures that are not read; two runs at once; dry runs."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mi_lightning.data import FaceFolder
from mi_lightning.data.people import natural
from mi_lightning.errors import InputError
from mi_lightning.io import writing_nothing

SIZE = (8, 6)


def save(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 6), level, np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "people"
    for place, name in enumerate(["anna/1.png", "anna/2.png", "bo/1.png", "bo/2.png"]):
        save(root / name, 20 * place)
    return root


def make(root: Path, **arguments) -> FaceFolder:
    return FaceFolder(str(root), **{"size": SIZE, "cache_dir": str(root.parent / "cache")} | arguments)


def told(data: FaceFolder) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data.setup()
    return " ".join(str(each.message) for each in caught)


def test_natural_order():
    assert sorted(["s10", "s2", "S1", "s²"], key=natural) == ["S1", "s2", "s10", "s²"]


@pytest.mark.parametrize(("link", "to"), [("anna/3.png", "nowhere.png"), ("anna/all", "."), ("cleo", "nowhere")])
def test_links_that_lead_to_no_file_are_named(folder, link, to):
    (folder / link).symlink_to(to)
    data = make(folder)
    assert f"1 links lead to no file (those to folders are not followed), and are left out: {link}" in told(data)
    assert len(data.train_x) + len(data.test_x) == 4
    assert data.describe()["left_out"]["no_picture"] == 1


def test_links_to_files_and_to_a_persons_folder_are_followed(folder, tmp_path):
    save(tmp_path / "elsewhere" / "1.png", 200)
    save(tmp_path / "elsewhere" / "2.png", 220)
    (folder / "cleo").symlink_to(tmp_path / "elsewhere")
    (folder / "bo" / "3.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    data = make(folder)
    assert data.class_names == ("anna", "bo", "cleo")
    assert "different people have the same pixels: bo/3.png = cleo/1.png" in told(data)


def test_pictures_that_are_not_read_are_named_where_nothing_else_is_there(folder):
    (folder / "cleo").mkdir()
    (folder / "cleo" / "IMG_1.HEIC").write_bytes(b"x")
    with pytest.raises(InputError, match=r"got 0 of cleo; IMG_1\.HEIC is of a kind that is not read: convert it"):
        make(folder).setup()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes on Linux")
@pytest.mark.parametrize("name", [b"cl\xe9o", b"cl\neo"])
def test_names_that_no_report_can_hold_are_refused(folder, name):
    there = os.fsencode(folder) + b"/" + name
    save(Path(os.fsdecode(there)) / "1.png", 1)
    with pytest.raises(InputError, match=r"names of people in .* that are text, got 'cl\\"):
        _ = make(folder).class_names


def test_a_file_that_changed_behind_its_time_is_decoded_again(folder):
    """A copy that keeps times, or a change of permissions, shows in the time of the entry alone."""
    path = save(folder / "anna" / "3.bmp", 3)
    first = make(folder)
    first.setup()
    before = path.stat()
    save(path, 4)
    assert path.stat().st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = make(folder)
    second.setup()
    assert second._store.sha256 != first._store.sha256


def test_a_dry_run_leaves_nothing(folder, tmp_path):
    with writing_nothing():
        data = make(folder)
        assert data.train_x.shape == (2, 1, *SIZE)
        place = data._store.folder
    assert place.is_dir()
    del data
    gc.collect()
    assert not place.exists()
    assert not (tmp_path / "cache").exists()


def test_two_processes_at_once_use_the_store_of_the_quicker(folder, monkeypatch):
    """The slower one finds a whole store under the name when it is done, and another may be reading that."""
    data, other = make(folder), make(folder)
    read, held = data._read, []

    def overtaken(*arguments):
        other.setup()
        held.append((other._store.folder / "table.json").stat().st_ino)
        return read(*arguments)

    monkeypatch.setattr(data, "_read", overtaken)
    data.setup()
    assert data._store == other._store
    assert (data._store.folder / "table.json").stat().st_ino == held[0]
    assert len(list((folder.parent / "cache").iterdir())) == 1
