"""Every configuration that we ship parses, and runs a short version of itself on stand-in faces."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from mi_lightning.cli import main

CONFIGS = Path(__file__).parent.parent / "configs"
PEOPLE, IMAGES, HEIGHT, WIDTH = 7, 4, 28, 24  # more people than five, so that top-5 says something

#: Numbers that make a run long, and what a short version has in their place, wherever they stand.
SHORT = {
    "epochs": 1,
    "max_epochs": 2,
    "max_iterations": 3,
    "pairs": 2,
    "T_max": 2,
    "total_steps": 1000,
    "test_per_person": 2,
    "batch_size": 7,
    "restarts": 2,
    "num_coordinates": 4,
}


def named(kind: str) -> list[Any]:
    """Configurations of one kind as test parameters; there must be some."""
    paths = sorted((CONFIGS / kind).glob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"no configuration in {CONFIGS / kind}")
    return [pytest.param(path, id=path.stem) for path in paths]


def shorten(node: Any) -> Any:
    """Put the short numbers in, at any depth."""
    if isinstance(node, dict):
        return {
            key: min(SHORT[key], value) if key in SHORT and isinstance(value, int) and value > 0 else shorten(value)
            for key, value in node.items()
        }
    return [shorten(item) for item in node] if isinstance(node, list) else node


def short_version(path: Path, faces: Path) -> Path:
    """Write the short version of a configuration into the working folder."""
    config = shorten(yaml.safe_load(path.read_text()))
    if config["data"]["class_path"].endswith("AttFaces"):
        config["data"].setdefault("init_args", {}).update(root=str(faces), test_per_person=1)
    short = Path(f"{path.parent.name}_{path.name}")
    short.write_text(yaml.safe_dump(config))
    return short


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with stand-in faces and a checkpoint of every classifier that a configuration fits."""
    folder = tmp_path_factory.mktemp("configs")
    rng = np.random.default_rng(0)
    for person in range(1, PEOPLE + 1):
        face = rng.integers(30, 220, (HEIGHT // 4, WIDTH // 4)).repeat(4, 0).repeat(4, 1)
        (folder / "faces" / f"s{person}").mkdir(parents=True)
        for image in range(1, IMAGES + 1):
            pixels = (face + rng.integers(-20, 21, face.shape)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "faces" / f"s{person}" / f"{image}.pgm")
    home = Path.cwd()
    os.chdir(folder)
    for parameter in named("fit"):
        main(["fit", "--config", str(short_version(parameter.values[0], folder / "faces"))])
    yield folder
    os.chdir(home)


@pytest.mark.parametrize("path", named("fit"))
def test_fit(workplace, path):
    assert (workplace / yaml.safe_load(path.read_text())["checkpoint"]).is_file()


@pytest.mark.parametrize("path", named("invert"))
def test_invert(workplace, path):
    main(["invert", "--config", str(short_version(path, workplace / "faces"))])
    results = json.loads((workplace / f"lightning_logs/invert/{path.stem}/version_0/results.json").read_text())
    assert results["summary"]["labels"] == PEOPLE
    assert results["summary"]["evaluator_top1"] is not None
    assert results["summary"]["iterations_mean"] <= 3


@pytest.mark.parametrize("path", named("audit"))
def test_audit(path):
    config = yaml.safe_load(path.read_text())
    root = CONFIGS.parent
    checkpoints = {yaml.safe_load((root / fit).read_text())["checkpoint"] for fit in config["fit"]}
    for attack in config["invert"]:
        content = yaml.safe_load((root / attack).read_text())
        # the audit fits whatever its attacks read
        assert {content["model"]["classifier_ckpt"], content["evaluator_ckpt"]} <= checkpoints


@pytest.mark.parametrize("path", [*named("fit"), *named("invert"), *named("audit")])
def test_says_what_it_is_and_how_to_run_it(path):
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    kind = path.parent.name
    assert any(f"mi-lightning {kind} --config configs/{kind}/{path.name}" in line for line in comment)
