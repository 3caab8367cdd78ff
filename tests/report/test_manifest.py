"""The manifest of a folder: which files it lists, and which changes it shows."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import pytest

from mi_lightning.errors import MIError
from mi_lightning.io import made_whole
from mi_lightning.report.manifest import (
    check_manifest,
    complete_manifest,
    manifest_sha256,
    read_manifest,
    write_manifest,
)

FILES = {"a.txt": b"alpha", "deep/er/b.bin": bytes(range(256)), "deep/c": b"", ".lock": b""}


@pytest.fixture
def folder(tmp_path):
    """A folder of a few files with its manifest."""
    for name, content in FILES.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_manifest(tmp_path / "folder")
    return tmp_path / "folder"


@pytest.fixture
def nested(folder):
    """A folder whose folder ``deep`` had its own manifest before."""
    write_manifest(folder / "deep")
    write_manifest(folder)
    return folder


def test_every_file_is_listed_but_itself(folder):
    data = json.loads((folder / "manifest.json").read_text())
    expected = {k: {"sha256": hashlib.sha256(v).hexdigest(), "bytes": len(v)} for k, v in FILES.items()}
    assert data["files"] == expected
    assert list(data["files"]) == sorted(FILES)
    assert (data["schema_version"], data["partial"]) == (1, [])
    assert read_manifest(folder) == data
    assert check_manifest(folder) == []


def test_the_same_files_give_the_same_manifest_but_for_its_time(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    write_manifest(tmp_path / "other")
    first, second = read_manifest(folder), read_manifest(tmp_path / "other")
    differ = {key for key in first if first[key] != second[key]}
    assert differ <= {"created", "digest"}


def test_its_own_digest_is_that_of_the_file(folder):
    expected = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert manifest_sha256(folder) == expected


@pytest.mark.parametrize("name", [name for name in FILES if FILES[name]])
def test_each_flipped_byte_is_found(folder, name):
    whole = FILES[name]
    for place in range(len(whole)):
        (folder / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert check_manifest(folder) == [f"changed: {name} is not what manifest.json says"]


def test_each_flipped_byte_of_the_manifest_is_found(folder):
    path = folder / "manifest.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert check_manifest(folder), place


def test_what_is_missing_added_and_longer(folder):
    (folder / "a.txt").unlink()
    (folder / "deep/new").touch()
    (folder / "deep/c").write_bytes(b"\n")
    assert check_manifest(folder) == [
        "missing: a.txt is in manifest.json",
        "changed: deep/c is not what manifest.json says",
        "added: deep/new is not in manifest.json",
    ]


def test_a_file_in_the_place_of_a_folder(folder):
    shutil.rmtree(folder / "deep")
    (folder / "deep").touch()
    problems = check_manifest(folder)
    assert problems == [
        "added: deep is not in manifest.json",
        "missing: deep/c is in manifest.json",
        "missing: deep/er/b.bin is in manifest.json",
    ]


def test_manifests_of_folders_below_are_files_and_are_checked_too(nested):
    assert "deep/manifest.json" in read_manifest(nested)["files"]
    assert check_manifest(nested) == check_manifest(nested / "deep") == []
    (nested / "deep/c").write_bytes(b"?")
    assert check_manifest(nested) == ["changed: deep/c is not what manifest.json says"]  # told once
    write_manifest(nested)  # anew, so that only the one below knows
    assert check_manifest(nested) == ["changed: deep/c is not what deep/manifest.json says"]
    (nested / "deep/manifest.json").write_text("{}")
    write_manifest(nested)
    (problem,) = check_manifest(nested)
    assert problem == "deep/manifest.json is damaged (schema_version is missing)"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "Expecting value"),
        ("[" * 100_000, "recursion"),
        ("[]", "the whole is a list, not object"),
        ('{"schema_version": 2}', "created is missing|schema_version is 2"),
        (
            '{"schema_version": 1, "created": "", "files": {"a": {}}, "partial": [], "digest": ""}',
            "a.sha256 is missing",
        ),
        ('{"schema_version": 1, "created": "", "files": {}, "partial": [], "digest": ""}', "its digest is not that of"),
        ("\xff", "no text in UTF-8"),
    ],
)
def test_a_damaged_manifest_is_a_problem(folder, content, words):
    (folder / "manifest.json").write_bytes(content.encode("latin-1"))
    (problem,) = check_manifest(folder)
    assert problem.startswith("manifest.json is damaged (")
    with pytest.raises(MIError, match=words):
        read_manifest(folder)


def test_a_key_that_stands_there_twice_is_damage(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"partial"', '"partial": [],\n  "partial"'))
    assert check_manifest(folder) == ["manifest.json is damaged (its digest is not that of its content)"]


def test_what_has_come_since_is_listed_and_a_change_still_shows(folder):
    (folder / "new").write_text("new")
    (folder / "a.txt").write_text("changed")
    (folder / "deep/c").write_text("on purpose")
    complete_manifest(folder, "deep/c")
    assert check_manifest(folder) == ["changed: a.txt is not what manifest.json says"]
    assert read_manifest(folder)["files"]["new"]["bytes"] == 3
    (folder / "manifest.json").unlink()
    complete_manifest(folder)
    assert not (folder / "manifest.json").exists()


def test_there_is_none(tmp_path):
    for function in (check_manifest, read_manifest):
        with pytest.raises(MIError, match=r"^no manifest\.json in .*: nothing says what the files were like$"):
            function(tmp_path)


def test_what_a_stopped_writer_left_is_told_and_not_listed(folder):
    (folder / "deep/.c.123.partial").touch()
    with made_whole(folder / "new") as partial:
        (partial / "x").touch()
        write_manifest(folder)
        data = read_manifest(folder)
        assert set(data["files"]) == set(FILES)
        assert data["partial"] == [partial.name, "deep/.c.123.partial"]
        assert check_manifest(folder) == [
            f"unfinished: {partial.name} was left by a writer that was stopped; delete it",
            "unfinished: deep/.c.123.partial was left by a writer that was stopped; delete it",
        ]


@pytest.mark.parametrize(
    ("goal", "what"),
    [
        ("../outside.txt", "a link that leaves the folder"),
        ("..", "a link that leaves the folder"),
        ("deep", "a link to a folder"),
        ("nowhere", "a link to nothing"),
    ],
)
def test_links_that_lead_elsewhere_are_refused(folder, goal, what):
    (folder.parent / "outside.txt").write_bytes(b"alpha")
    (folder / "z").symlink_to(goal)
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(MIError, match=f"cannot list z in the manifest of .*: it is {what}; put a copy in its place"):
        write_manifest(folder)
    assert (folder / "manifest.json").read_bytes() == before
    assert check_manifest(folder) == [f"changed: z is {what}"]


def test_a_link_in_the_place_of_a_file_is_found_though_its_content_is_the_same(folder):
    (folder.parent / "outside.txt").write_bytes(FILES["a.txt"])
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to("../outside.txt")
    assert check_manifest(folder) == ["changed: a.txt is a link that leaves the folder"]


def test_a_link_to_a_file_of_the_folder_is_a_file(folder):
    (folder / "z").symlink_to("a.txt")
    write_manifest(folder)
    assert read_manifest(folder)["files"]["z"] == read_manifest(folder)["files"]["a.txt"]
    assert check_manifest(folder) == []


def test_the_folder_itself_may_be_a_link(folder):
    (folder.parent / "link").symlink_to(folder)
    assert check_manifest(folder.parent / "link") == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes")
def test_a_pipe_is_refused_and_not_waited_for(folder):
    os.mkfifo(folder / "pipe")
    with pytest.raises(MIError, match=r"cannot list pipe in the manifest of .*: it is no plain file"):
        write_manifest(folder)
    assert check_manifest(folder) == ["changed: pipe is no plain file"]


def test_a_name_with_a_line_break_stays_in_one_line(folder):
    (folder / "two\nlines").touch()
    assert check_manifest(folder) == ["added: 'two\\nlines' is not in manifest.json"]
    write_manifest(folder)
    assert check_manifest(folder) == []


def test_progress_is_told_to_the_last_byte(folder):
    told = []
    check_manifest(folder, lambda count, total: told.append((count, total)))
    size = sum(map(len, FILES.values()))
    assert sum(count for count, _ in told) == size
    assert {total for _, total in told} == {size}


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(MIError, match=r"cannot read .*absent: No such file or directory"):
        write_manifest(tmp_path / "absent")
