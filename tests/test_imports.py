"""Modules that are imported because somebody said so: where they are found, what is refused, how long it holds."""

from __future__ import annotations

import os
import sys

import pytest

from mi_lightning.errors import InputError, MIError
from mi_lightning.imports import VARIABLE, active, check_path, code_digest, import_named, is_named, using


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder, and no module left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_working_folder_is_looked_at_for_what_was_asked_for_only(folder):
    (folder / "toy_net.py").write_text("import toy_helper\nvalue = toy_helper.value\n")
    (folder / "toy_helper.py").write_text("value = 3\n")
    (folder / "toy_other.py").write_text("raise AssertionError\n")
    paths = list(sys.path)
    assert import_named("toy_net").value == 3
    assert sys.path == paths
    assert "toy_other" not in sys.modules


def test_packages_and_folders_without_init(folder):
    (folder / "toy_pkg").mkdir()
    (folder / "toy_pkg/__init__.py").touch()
    (folder / "toy_pkg/nets.py").write_text("from toy_pkg import layers\n")
    (folder / "toy_pkg/layers.py").write_text("value = 1\n")
    assert import_named("toy_pkg.nets").layers.value == 1
    (folder / "toy_plain").mkdir()
    (folder / "toy_plain/nets.py").write_text("value = 2\n")
    assert import_named("toy_plain.nets").value == 2
    (folder / "yaml").mkdir()  # a folder of files hides no package
    assert import_named("yaml").__file__ is not None


def test_names_hold_while_something_runs_and_in_what_it_starts(folder):
    (folder / "toy_held.py").touch()
    os.environ[VARIABLE] = "yaml"
    try:
        with using(["toy_held"]):
            assert active() == ("yaml", "toy_held")
            assert os.environ[VARIABLE] == "yaml,toy_held"
            assert is_named("toy_held.inner")
            check_path("toy_held.inner.Net")
            with using(["toy_held"]):
                assert active() == ("yaml", "toy_held")
        assert active() == ("yaml",)
        assert not is_named("toy_held")
    finally:
        del os.environ[VARIABLE]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "toy_absent",
            r"a module that exists, got toy_absent: there is no toy_absent\.py or toy_absent/ in .* \(here\)",
        ),
        ("toy_pkg.absent", r"a module that exists, got toy_pkg\.absent: toy_pkg\.absent is not in .*toy_pkg"),
        ("./toy_net.py", r"dotted name of a module.*got \./toy_net\.py; a file is named without its ending: toy_net "),
        ("toy_net.py", r"dotted name of a module.*got toy_net\.py; a file is named without its ending: toy_net "),
        ("json", r"no part of Python, got json \(here\)"),
        ("string", r"no part of Python, got string; rename .*string\.py"),
        ("numpy", r"no installed package has, got numpy: .*numpy\.py would hide .*numpy.*__init__\.py; rename it"),
        ("a-b", r"dotted name of a module, such as mynet, got a-b"),
        ("", r"dotted name of a module"),
    ],
)
def test_names_that_cannot_be_had(folder, name, words):
    for path in ("string.py", "numpy.py"):
        (folder / path).touch()
    (folder / "toy_pkg").mkdir()
    (folder / "toy_pkg/__init__.py").touch()
    with pytest.raises(InputError, match=words) as caught:
        import_named(name, "here")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "x = 1\ny = 1 / 0\n",
            r"cannot import toy_bad: ZeroDivisionError: division by zero, toy_bad\.py line 2 \(here\)",
        ),
        ("import toy_not_there\n", r"ModuleNotFoundError: No module named 'toy_not_there', toy_bad\.py line 1"),
        ("def f(:\n", r"cannot import toy_bad: SyntaxError: .*\(toy_bad\.py, line 1\)"),
        ("raise SystemExit(3)\n", r"cannot import toy_bad: SystemExit: 3"),
        (
            "from mi_lightning.errors import InputError\nraise InputError('a', 'b')\n",
            r"cannot import toy_bad: InputError: expected a, got b, toy_bad\.py line 2",
        ),
    ],
)
def test_a_module_that_fails_says_where(folder, text, words):
    (folder / "toy_bad.py").write_text(text)
    with pytest.raises(MIError, match=words) as caught:
        import_named("toy_bad", "here")
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)


def test_two_modules_of_one_name_in_a_process(folder, monkeypatch):
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "toy_twice.py").touch()
    monkeypatch.chdir(folder / "a")
    assert import_named("toy_twice") is import_named("toy_twice")
    monkeypatch.chdir(folder / "b")
    with pytest.raises(InputError, match=r"one module of a name in a process, got toy_twice of .*b.*after .*a"):
        import_named("toy_twice")


def test_the_digest_is_of_all_source_files(folder):
    (folder / "toy_code").mkdir()
    for name in ("__init__", "inner"):
        (folder / f"toy_code/{name}.py").write_text("x = 1\n")
    (folder / "toy_one.py").write_text("x = 1\n")
    import_named("toy_code")
    import_named("toy_one")
    before = code_digest("toy_code"), code_digest("toy_one")
    assert before == (code_digest("toy_code"), code_digest("toy_one"))
    (folder / "toy_code/inner.py").write_text("x = 2\n")
    (folder / "toy_one.py").write_text("x = 2\n")
    assert all(old != code_digest(name) for old, name in zip(before, ("toy_code", "toy_one"), strict=True))


@pytest.mark.parametrize("path", ["torch.nn.Linear", "mi_lightning.data", "torchvision.models.resnet18"])
def test_parts_may_be_named(path):
    check_path(path)


@pytest.mark.parametrize("path", ["os.system", "posix.system", "torch.load", "torch.nnx", "lightning.fabric", "toy.f"])
def test_nothing_else_may_be_named(path):
    with pytest.raises(InputError, match=rf"or of a module that was asked for.*, got {path} \(cost\)") as caught:
        check_path(path, "cost")
    assert ("--import toy)" in str(caught.value)) == (path == "toy.f")
