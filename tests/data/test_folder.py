"""Any folder of photographs: what is found, named, refused, divided; and that reading needs no memory."""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.data import AttFaces, FaceFolder, WithoutPeople
from mi_lightning.data.grouped import split_groups
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import writing_nothing
from mi_lightning.judging.make import make_judge
from mi_lightning.targets import WhiteBox

SIZE = (20, 16)


def save(path: Path, seed: int, shape: tuple[int, ...] = (30, 24, 3)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three people of any names, several formats, uneven numbers, gaps in the numbers."""
    root = tmp_path / "people"
    for seed, name in enumerate(
        ["Zoë B./1.jpg", "Zoë B./7.JPG", "Zoë B./20.png", "anna/deep/er/x.webp", "anna/y.bmp", "s10/a.png", "s10/b.png"]
    ):
        save(root / name, seed)
    save(root / "s10" / "c.pgm", 90, (40, 40))
    save(root / "s10" / "10.png", 91, (12, 50))
    return root


def make(root: Path, **arguments) -> FaceFolder:
    return FaceFolder(str(root), **{"size": SIZE, "test_per_person": 1} | arguments)


def content(data: FaceFolder) -> dict[str, list[str]]:
    """Names of the files on each side."""
    data.setup()
    names = [each.name for each in data._store.photographs]
    return {part: [names[place] for place in data._index[part].tolist()] for part in ("train", "test")}


# ------------------------------------------------------------------------------------------------ what is found


@pytest.mark.parametrize("channels", [1, 3])
def test_any_names_formats_and_numbers(folder, channels):
    data = make(folder, channels=channels)
    assert data.class_names == ("Zoë B.", "anna", "s10")  # as sorted() has them, and ImageFolder
    data.setup()
    assert data.train_y.bincount().tolist() == [2, 1, 3]
    assert data.test_y.bincount().tolist() == [1, 1, 1]
    assert tuple(data.train_x.shape) == (6, channels, *SIZE)
    assert data.input_shape == (channels, *SIZE)


def test_pixels_are_those_of_the_file(tmp_path):
    for name, seed in (("a/1.png", 0), ("a/2.png", 1), ("b/1.png", 2), ("b/2.png", 3)):
        save(tmp_path / name, seed, (*SIZE, 3))
    data = make(tmp_path, channels=3, split="first")
    data.setup()
    expected = np.random.default_rng(2).integers(0, 256, (*SIZE, 3), dtype=np.uint8).transpose(2, 0, 1)
    assert np.array_equal((data.train_x[1] * 255).round().numpy().astype(np.uint8), expected)


def test_the_att_faces_are_what_their_own_module_reads(face_folder):
    att = AttFaces(str(face_folder), test_per_person=2, split="first")
    data = FaceFolder(str(face_folder), size=att.input_shape[1:], test_per_person=2, split="first")
    for each in (att, data):
        each.setup()
    assert data.class_names == att.class_names
    assert torch.equal(data.train_x, att.train_x)
    assert torch.equal(data.test_x, att.test_x)


def test_order_of_the_labels(tmp_path):
    for person in ("s1", "s2", "s10", "s11"):
        for number in (1, 2):
            save(tmp_path / person / f"{number}.png", hash((person, number)) % 1000)
    torchvision = pytest.importorskip("torchvision.datasets")
    assert make(tmp_path).class_names == tuple(torchvision.ImageFolder(str(tmp_path)).classes)
    assert make(tmp_path).class_names == tuple(np.unique(["s1", "s2", "s10", "s11"]).tolist())  # classes_ of estimators
    assert make(tmp_path).class_names == ("s1", "s10", "s11", "s2")
    assert make(tmp_path, order="natural").class_names == ("s1", "s2", "s10", "s11")
    data = make(tmp_path, people=["s11", "s1"])
    assert data.class_names == ("s11", "s1")
    assert set(content(data)["test"]) <= {"s1/1.png", "s1/2.png", "s11/1.png", "s11/2.png"}


def test_what_is_no_picture_is_named(folder):
    (folder / "anna" / "notes.txt").write_text("")
    (folder / "anna" / ".DS_Store").write_text("")
    (folder / ".cache").mkdir()
    save(folder / "anna" / "old.tiff", 5)
    save(folder / "loose.png", 6)
    (folder / "README.md").write_text("")  # a page about the folder is no lost picture
    with pytest.warns(UserWarning, match=r"4 files are hidden or no pictures, and left out: loose.png, .* and 1 more"):
        assert "anna/old.tiff" not in [*chain(*content(data := make(folder)).values())]
    assert data.class_names == ("Zoë B.", "anna", "s10")
    assert data.describe()["left_out"] == {"no_picture": 4, "damaged": 0, "no_face": 0, "no_face_taken_whole": 0}


def test_nothing_is_said_where_nothing_is_left_out(folder):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = make(folder)
        data.setup()
    assert [str(each.message) for each in said] == []
    assert set(data.describe()["left_out"].values()) == {0}


# ------------------------------------------------------------------------------------------------ what is refused


def test_damaged_files_are_named_and_left_out_only_when_told(folder):
    whole = (folder / "s10" / "a.png").read_bytes()
    (folder / "s10" / "a.png").write_bytes(whole[: len(whole) // 2])
    (folder / "anna" / "z.jpg").write_bytes(b"nothing")
    with pytest.raises(
        InputError, match=r"10 photographs in .* or damaged skip, got damaged: anna/z.jpg \(no picture that .*s10/a.png"
    ):
        make(folder).setup()
    with pytest.warns(UserWarning, match=r"2 files are damaged, and left out: anna/z.jpg"):
        names = [*chain(*content(make(folder, damaged="skip")).values())]
    assert len(names) == 8
    assert "s10/a.png" not in names


def test_people_with_too_few_photographs_are_named(folder):
    save(folder / "one" / "1.png", 50)
    (folder / "empty").mkdir()
    with pytest.raises(
        InputError, match=r"2 photographs or more of each person in .*, got 0 of empty, 1 of one \(root\)"
    ):
        make(folder).setup()
    with pytest.raises(
        InputError, match=r"4 photographs or more .*, got 3 of Zoë B., 2 of anna, 0 of empty and 1 more"
    ):
        make(folder, test_per_person=3).setup()


def test_a_person_of_one_photograph_twice_has_too_few(folder):
    (folder / "anna" / "y.bmp").unlink()
    (folder / "anna" / "again.webp").write_bytes((folder / "anna" / "deep" / "er" / "x.webp").read_bytes())
    with pytest.raises(InputError, match=r"2 different photographs or more of each person .*, got 1 of anna"):
        make(folder).setup()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 5)}, r"expected size \[height, width\] in pixels, got \[0, 5\] \(size\)"),
        ({"channels": 2}, r"expected channels 1 or 3, got 2 \(channels\)"),
        ({"no_face": "guess"}, "no_face whole or skip or error"),
        ({"damaged": "mend"}, "damaged error or skip"),
        ({"order": "random"}, "order sorted or natural"),
        ({"test_fraction": 1.0, "test_per_person": None}, "0 < test_fraction < 1"),
        ({"test_per_person": 0}, "test_per_person >= 1"),
        ({"test_fraction": 0.5}, "one of test_fraction, test_per_person and by_folder"),
        ({"memory_gb": 0}, "memory_gb > 0"),
        ({"people": ["anna"]}, "two different people or more"),
        ({"people": ["anna", "anna"]}, "two different people or more"),
    ],
)
def test_arguments(folder, arguments, message):
    with pytest.raises(InputError, match=message):
        make(folder, **arguments)


def test_folders_that_are_none(folder, tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"got .*none, no folder \(root\)"):
        make(tmp_path / "none").setup()
    monkeypatch.delenv("MI_FACES", raising=False)
    with pytest.raises(InputError, match="variable MI_FACES, got neither"):
        FaceFolder()
    monkeypatch.setenv("MI_FACES", str(folder))
    assert FaceFolder().class_names == ("Zoë B.", "anna", "s10")
    save(tmp_path / "flat" / "a.png", 0)
    with pytest.raises(InputError, match=r"folders of two people or more, got none in .* beside 1 pictures"):
        make(tmp_path / "flat").setup()
    with pytest.raises(InputError, match=r"a folder of each person in .*, got none of bob \(people\)"):
        make(folder, people=["anna", "bob"]).setup()


# ------------------------------------------------------------------------------------------------ how it is divided


@pytest.mark.parametrize("split", ["random", "first"])
def test_the_same_pixels_stay_on_one_side_and_are_named(tmp_path, split):
    for person in ("a", "b"):
        for number in range(6):
            save(tmp_path / person / f"{number}.png", 10 * ord(person) + number)
    Image.open(tmp_path / "a" / "0.png").save(tmp_path / "a" / "5.png", compress_level=1)  # other bytes, same pixels
    assert (tmp_path / "a" / "0.png").read_bytes() != (tmp_path / "a" / "5.png").read_bytes()
    for seed in range(6):
        with pytest.warns(UserWarning, match=r"1 sets .* stay on one side of the split: a/0.png = a/5.png"):
            sides = content(make(tmp_path, split=split, split_seed=seed, test_per_person=2))
        assert len({part for part in sides if {"a/0.png", "a/5.png"} & set(sides[part])}) == 1
        assert [sum(name.startswith(person) for name in sides["test"]) for person in "ab"] == [2, 2]


def test_the_same_pixels_under_two_names_are_named(folder):
    (folder / "s10" / "copy.bmp").write_bytes((folder / "anna" / "y.bmp").read_bytes())
    with pytest.warns(
        UserWarning, match="1 sets of photographs of different people have the same pixels: anna/y.bmp ="
    ):
        make(folder).setup()


def test_a_share_of_each_person(folder):
    data = make(folder, test_per_person=None, test_fraction=0.5)
    data.setup()
    assert data.test_y.bincount().tolist() == [2, 1, 2]
    usual = make(folder, test_per_person=None)
    usual.setup()
    assert usual.test_y.bincount().tolist() == [1, 1, 1]
    assert usual.describe()["test_fraction"] == 0.3


def test_groups_are_whole_and_somebody_is_left_to_train_on():
    y = torch.tensor([0] * 5 + [1] * 3 + [2] * 4)
    groups = ["p", "p", "p", "p", "q", 1, 1, 2, "a", "b", "c", "d"]
    for seed in range(8):
        train, test = split_groups(y, groups, "random", seed, count=2, share=0.3)
        assert sorted([*train.tolist(), *test.tolist()]) == list(range(12))
        assert not {(int(y[k]), groups[k]) for k in train} & {(int(y[k]), groups[k]) for k in test}
        tested = y[test].bincount().tolist()
        assert tested[0] == 1  # four that belong together are more than were asked for
        assert tested[1] in (1, 2)
        assert tested[2] == 2
        assert y[train].unique().tolist() == [0, 1, 2]


def test_by_folder(tmp_path):
    for seed, name in enumerate(["train/b/1.png", "train/b/2.png", "train/a/x.png", "test/a/1.png", "test/b/9.png"]):
        save(tmp_path / name, seed)
    data = make(tmp_path, by_folder=True, test_per_person=None)
    assert data.class_names == ("a", "b")
    assert content(data) == {
        "train": ["train/a/x.png", "train/b/1.png", "train/b/2.png"],
        "test": ["test/a/1.png", "test/b/9.png"],
    }
    assert data.describe()["split"] == "folders"
    with pytest.raises(InputError, match=r"got folders test, train: with by_folder true .*\(by_folder\)"):
        make(tmp_path).setup()
    (tmp_path / "test" / "b" / "9.png").write_bytes((tmp_path / "train" / "b" / "1.png").read_bytes())
    with pytest.warns(UserWarning, match="have the same pixels in train and in test: train/b/1.png = test/b/9.png"):
        make(tmp_path, by_folder=True, test_per_person=None).setup()
    (tmp_path / "test" / "b" / "9.png").unlink()
    with pytest.raises(InputError, match=r"1 photographs in test or more of each person in .*, got 0 of b"):
        make(tmp_path, by_folder=True, test_per_person=None).setup()
    (tmp_path / "test" / "b").rmdir()
    with pytest.raises(InputError, match=r"a folder of each person in test .*, got none of b"):
        make(tmp_path, by_folder=True, test_per_person=None).setup()


# ------------------------------------------------------------------------------------------------ faces


@pytest.mark.parametrize("no_face", ["whole", "skip", "error"])
def test_where_no_face_is_found(folder, no_face):
    pytest.importorskip("dlib", reason="faces are found by dlib, of the extra judges")
    pytest.importorskip("face_recognition_models", reason="the landmarks, of the extra judges")
    data = make(folder, crop="dlib", no_face=no_face, split="first")
    if no_face == "whole":
        with pytest.warns(UserWarning, match=r"9 photographs show no face that was found, and are taken whole: Zoë"):
            data.setup()
        plain = make(folder, split="first")
        plain.setup()
        assert torch.equal(data.train_x, plain.train_x)
        assert data.describe()["left_out"]["no_face_taken_whole"] == 9
    else:
        message = {"skip": "got 0 of Zoë B.", "error": "a face in every photograph, .* got none in Zoë B./1.jpg"}
        with pytest.raises(InputError, match=message[no_face]):
            data.setup()


# ------------------------------------------------------------------------------------------------ the store


def test_decoded_once_and_anew_when_a_file_or_a_setting_changes(folder, tmp_path):
    cache = tmp_path / "cache"
    first = make(folder, cache_dir=str(cache))
    first.setup()
    (kept,) = cache.iterdir()
    stamp = (kept / "pixels.u8").stat().st_mtime_ns
    again = make(folder, cache_dir=str(cache), split_seed=4, damaged="skip")
    again.setup()
    assert [each.name for each in cache.iterdir()] == [kept.name]
    assert (kept / "pixels.u8").stat().st_mtime_ns == stamp
    assert again.describe()["sha256"] == first.describe()["sha256"]
    save(folder / "s10" / "a.png", 77)
    other = make(folder, cache_dir=str(cache))
    other.setup()
    assert other.describe()["sha256"] != first.describe()["sha256"]
    make(folder, cache_dir=str(cache), channels=3).setup()
    assert len(list(cache.iterdir())) == 3


def test_where_nothing_is_written_nothing_is_left(folder, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with writing_nothing():
        data = make(folder, cache_dir=str(tmp_path / "cache"))
        data.setup()
        first, _ = next(iter(data.train_dataloader()))
    assert first.isfinite().all()
    assert list((tmp_path / "temporary").rglob("pixels.u8"))
    del data
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not (tmp_path / "cache").exists()


def test_a_damaged_store_is_made_anew(folder, tmp_path):
    cache = tmp_path / "cache"
    make(folder, cache_dir=str(cache)).setup()
    (kept,) = cache.iterdir()
    for name, text in (("pixels.u8", "short"), ("table.json", "{}"), ("table.json", "no")):
        (kept / name).write_text(text)
        data = make(folder, cache_dir=str(cache))
        data.setup()
        assert len(data.train_x) == 6


def test_a_store_that_goes_away_or_cannot_be_written_is_told(folder, tmp_path):
    data = make(folder, cache_dir=str(tmp_path / "cache"))
    data.setup()
    next((tmp_path / "cache").glob("*/pixels.u8")).unlink()
    with pytest.raises(MIError, match=r"cannot read the decoded photographs in .*: No such file .*; run again"):
        next(iter(data.train_dataloader()))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"a folder for decoded photographs, got cannot write .*\(cache_dir\)"):
        make(folder, cache_dir=str(tmp_path / "file")).setup()


def test_judges_cannot_ask_for_more_than_fits(folder):
    data = make(folder, memory_gb=1e-6)
    assert sum(len(y) for _, y in data.train_dataloader()) == 6  # batches are no problem
    with pytest.raises(InputError, match=r"at most 1e-06 GiB of photographs at once, as judges ask for them: .* for 6"):
        _ = data.train_x
    target = WhiteBox(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(320, 3)), input_shape=(1, *SIZE))
    with pytest.raises(InputError, match=r"GiB of photographs at once.*\(memory_gb\)"):
        make_judge(target, datamodule=data)  # before the attack


def test_batches_are_the_samples(folder):
    data = make(folder, batch_size=2)
    found = {(int(y), x.numpy().tobytes()) for xs, ys in data.train_dataloader() for x, y in zip(xs, ys, strict=True)}
    data.setup()
    assert found == {(int(y), x.numpy().tobytes()) for x, y in zip(data.train_x, data.train_y, strict=True)}
    x, y = data.samples("test")[1]
    assert torch.equal(x, data.test_x[1])
    assert y == data.test_y[1]


MEASURE = """
import resource, sys
import torch
from mi_lightning.data import FaceFolder
torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = FaceFolder(sys.argv[1], size=(96, 96), channels=3, batch_size=32, cache_dir=sys.argv[2])
torch.rand(32, 3, 96, 96).sum()
before = peak()
data.setup()
seen = sum(len(y) for _ in range(2) for _, y in data.train_dataloader())
print(seen, peak() - before)
"""


def test_reading_holds_no_more_than_a_batch(tmp_path):
    """Of the arrays of 120 photographs (1.5 MB as bytes, 5.9 MB as float32) few are there at a time."""
    for number in range(120):
        save(tmp_path / "faces" / f"p{number % 2}" / f"{number}.bmp", number, (64, 64, 3))
    data = make(tmp_path / "faces", size=(64, 64), channels=3, batch_size=8, cache_dir=str(tmp_path / "cache"))
    make(tmp_path / "faces", cache_dir=str(tmp_path / "cache")).setup()  # what is imported on first use
    tracemalloc.start()
    try:
        data.setup()
        seen = sum(len(y) for _ in range(2) for _, y in data.train_dataloader())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert seen == 2 * 118
    assert peak < 600_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes are Linux's unit")
def test_two_thousand_photographs_need_no_memory(tmp_path):
    """As float32 all of them are 221 MB, as bytes 55 MB; reading and two epochs of batches take less than 45."""
    for person in range(20):
        (tmp_path / "faces" / f"p{person}").mkdir(parents=True)
        for number in range(100):
            levels = np.random.default_rng(100 * person + number).integers(0, 256, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(levels).resize((96, 96), Image.Resampling.NEAREST).save(
                tmp_path / "faces" / f"p{person}" / f"{number}.png", compress_level=1
            )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "faces"), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    seen, kilobytes = map(int, done.stdout.split())
    assert seen == 2 * 1400
    assert kilobytes < 45_000


def test_half_of_the_people_can_be_left_out(tmp_path):
    for number in range(24):
        save(tmp_path / "faces" / f"p{number % 4}" / f"{number}.png", number)
    data = make(tmp_path / "faces")
    without = WithoutPeople(data, half=0)
    without.setup()
    of: dict[bytes, int] = {}
    for x, ys in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        of |= {each.numpy().tobytes(): label for each, label in zip(x, ys.tolist(), strict=True)}
    seen = {of[x.numpy().tobytes()] for xs, _ in without.train_dataloader() for x in xs}
    assert seen == set(range(4)) - set(without.removed)
    assert {int(y) for _, ys in without.train_dataloader() for y in ys} == set(range(4))
    assert without.describe()["without"]["people"] == [f"p{label}" for label in without.removed]
