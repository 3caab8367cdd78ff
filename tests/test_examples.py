"""Each script of examples/ runs, and so does the YAML beside it, in an empty folder and in seconds."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from mi_lightning.cli.main import main

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*.py"))
CONFIGS = sorted(EXAMPLES.glob("*.yaml"))

#: Packages of extras that a script imports; without them it is skipped.
NEEDS = ("torchvision", "timm", "transformers", "safetensors", "onnx", "onnxruntime", "skops", "httpx")


def needs(path):
    """The packages of extras that a script imports."""
    return [name for name in NEEDS if re.search(rf"^(?:import|from) {name}\b", path.read_text(), re.M)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder, from which the examples can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return tmp_path


def imported(path, monkeypatch):
    """A script as a module, imported anew."""
    for name in needs(path):
        pytest.importorskip(name)
    monkeypatch.delitem(sys.modules, path.stem, raising=False)
    return importlib.import_module(path.stem)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_script_and_its_yaml(path, here, monkeypatch, capsys, request):
    module = imported(path, monkeypatch)
    module.make()
    request.addfinalizer(getattr(module, "end", lambda: None))  # a service that it started
    made = {file.name for file in here.iterdir()}
    assert made
    module.main()
    assert "torch.Size([2, " in capsys.readouterr().out
    assert {file.name for file in here.iterdir()} == made  # an attack in Python writes nothing
    config = path.with_suffix(".yaml")
    if config.is_file():
        flags = ["--trainer.enable_progress_bar", "false", "--trainer.logger.init_args.version", "v"]
        flags += re.findall(r"--import|(?<=--import )\w+", config.read_text())  # as its first lines say
        main(["invert", "--config", str(config), *flags])
        (results,) = here.rglob("results.json")
        rows = json.loads(results.read_text())["per_label"]
        assert [row["label"] for row in rows] == [0, 5]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_yaml_is_short_and_says_its_command(path):
    text = path.read_text()
    assert path.with_suffix(".py") in SCRIPTS
    assert len(text.strip().splitlines()) < 20
    assert f"--config {path.name}" in text
    assert yaml.safe_load(text)["model"]["target"]["class_path"].startswith("mi_lightning.targets.")


def test_the_index_names_each():
    index = (EXAMPLES / "README.md").read_text()
    assert set(re.findall(r"\]\((\w+\.(?:py|yaml))\)", index)) == {path.name for path in (*SCRIPTS, *CONFIGS)}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_attack_itself_is_short(path):
    body = re.search(r"^def main\(\).*?\n(.*?)^if ", path.read_text(), re.M | re.S)[1]
    assert len([line for line in body.splitlines() if line.strip() and '"""' not in line]) <= 10
