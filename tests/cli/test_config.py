"""Configurations by name, run names, and what the released layout called by other names."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from mi_lightning.cli import config as module
from mi_lightning.cli.config import explain, find_config, run_name, shipped_configs, with_configs_found
from mi_lightning.cli.renamed import OLD_CLASSES, OLD_CONFIGS, OLD_KEYS
from mi_lightning.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def presets(tmp_path, monkeypatch):
    """A folder of presets in the place of ours, beside an empty working folder."""
    for name in ("target/soft.yaml", "attack/mi.yaml", "classifier/soft.yaml"):
        path = tmp_path / "shipped" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(module, "shipped_configs", lambda: tmp_path / "shipped")
    return tmp_path / "shipped"


def test_those_of_the_working_folder_come_first(presets):
    assert find_config("target/soft.yaml") == find_config("configs/target/soft.yaml") == presets / "target/soft.yaml"
    Path("target").mkdir()
    Path("target/soft.yaml").touch()
    assert find_config("target/soft.yaml") == Path("target/soft.yaml")
    assert find_config("configs/target/soft.yaml") == presets / "target/soft.yaml"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("attack/mj.yaml", r"got attack/mj.yaml; near it are attack/mi.yaml.* \(--config\)"),
        ("wrong/soft.yaml", r"near it are classifier/soft.yaml, target/soft.yaml"),
        ("fit/soft.yaml", r"got fit/soft.yaml, which is now --config classifier/soft.yaml"),
        ("configs/fit/soft.yaml", r"which is now --config classifier/soft.yaml"),
        ("q", r"got q \(--config\)"),
        (".", r"got \., a folder"),
    ],
)
def test_one_that_is_not_there(presets, name, words):
    with pytest.raises(InputError, match=words):
        find_config(name)


@pytest.mark.parametrize("name", ["invert/old.yaml", "configs/invert/old.yaml"])
def test_one_that_has_been_renamed(presets, monkeypatch, name):
    monkeypatch.setitem(OLD_CONFIGS, "invert/old.yaml", "--config target/soft.yaml --config attack/mi.yaml")
    with pytest.raises(InputError, match=r"which is now --config target/soft.yaml --config attack/mi.yaml"):
        find_config(name)


def test_names_among_arguments(presets):
    given = ["--config", "target/soft.yaml", "--config=attack/mi.yaml", "--model.beta", "3", "--config", "{a: 1}"]
    found, names = with_configs_found(given)
    assert names == ["target/soft.yaml", "attack/mi.yaml"]
    assert found == [
        *("--config", str(presets / "target/soft.yaml"), f"--config={presets / 'attack/mi.yaml'}"),
        *("--model.beta", "3", "--config", "{a: 1}"),
    ]


def test_run_names():
    assert run_name(["data/att.yaml", "configs/classifier/soft.yaml"], "classifier") == "soft"
    assert run_name(["mine.yaml"], "classifier") == "mine"
    assert run_name(["own.yaml", "attack/spsa.yaml"]) == "own_spsa"  # not "own" whatever the attack is


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("invert", ["--model.starts", "3"], r"model.initial_candidates, as it is called now, got model.starts"),
        ("invert", ["--model.block=3"], r"model.report_every, .* \(--model.block\)"),
        ("invert", ["--model.chunk_size", "3"], r"model.rows_at_once"),
        ("invert", ["--model.space.init_args.initial", "x"], r"initializer, .* \(--model.space.init_args.initial\)"),
        ("invert", ["--model.priors+", "mi_lightning.inversion.L2"], r"mi_lightning.attacks.priors.L2.*--model.priors"),
        ("invert", ["--config", "old.yaml"], r"mi_lightning.attacks.spaces.PixelSpace, .* \(--model.space\)"),
        ("audit", ["--fit", "[a.yaml]"], r"classifiers, as it is called now, got fit \(--fit\)"),
        ("audit", ["--invert", "[a.yaml]"], r"targets and attacks"),
        ("sweep", ["--fit", "[a.yaml]"], r"classifiers"),
        ("invert", ["--config", "bad.yaml"], r"expected a configuration in YAML, got bad.yaml: while parsing"),
    ],
)
def test_old_names_are_told_the_new_ones(tmp_path, monkeypatch, command, arguments, words):
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text("model: {space: {class_path: mi_lightning.inversion.PixelSpace}}")
    Path("bad.yaml").write_text("a: [1")
    with pytest.raises(Exception, match=words):
        raise explain(command, arguments) or AssertionError("nothing was said")


def test_what_has_no_old_name_is_left_alone():
    assert (
        explain("invert", ["--model.beta", "3", "--data", "mi_lightning.data.AttFaces", "--config", "{a: 1}"]) is None
    )


@pytest.mark.parametrize("path", sorted({path.split(" ")[0] for path in OLD_CLASSES.values()}))
def test_new_class_paths_exist(path):
    package, _, name = path.rpartition(".")
    if package == "mi_lightning.attacks.steps" and find_spec(package) is None:
        pytest.skip("comes with the engine")
    assert isinstance(getattr(importlib.import_module(package), name), type)


def test_old_class_paths_do_not():
    for path in OLD_CLASSES:
        if not path.startswith("mi_lightning.attacks."):
            with pytest.raises(ImportError):
                importlib.import_module(path.rpartition(".")[0])
    assert {"invert", "audit", "sweep"} == set(OLD_KEYS)


def test_the_list_of_packages_is_complete():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "mi_lightning").rglob("*.py")}
    assert set(listed) == there | {"mi_lightning.configs"}
    assert len(listed) == len(set(listed))


def test_the_presets_of_a_checkout():
    assert shipped_configs() == ROOT / "configs"


@pytest.mark.slow
def test_a_wheel_brings_the_presets(tmp_path):
    source = tmp_path / "source"
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    for name in names:
        if name.startswith(("mi_lightning/", "configs/")) or name in ("pyproject.toml", "README.md", "LICENSE"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(tmp_path), str(source)], check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(unpacked)
    shipped = {
        p.relative_to(unpacked / "mi_lightning/configs") for p in unpacked.glob("mi_lightning/configs/**/*.yaml")
    }
    assert shipped == {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    (tmp_path / "empty").mkdir()
    program = "from mi_lightning.cli.config import find_config; print(find_config('configs/audit/att_softmax.yaml'))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path / "empty",
        env={"PYTHONPATH": str(unpacked)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(unpacked / "mi_lightning/configs/audit/att_softmax.yaml")
