"""A small study on the stand-in faces: configurations of classifiers, a target and an attack, as they are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from torch import Tensor


def pixels(x: Tensor) -> Tensor:
    """Vectors of pictures (N, C, H, W) for a recogniser that knows nobody: the pixels themselves."""
    return x.flatten(1)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a configuration."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def change(path: str, **keys: Any) -> None:
    """Change dotted keys (with `__`) of a configuration."""
    content = yaml.safe_load(Path(path).read_text())
    for key, value in keys.items():
        *inner, last = key.split("__")
        node = content
        for part in inner:
            node = node[part]
        node[last] = value
    write(Path(path), content)


def write_faces(folder: Path) -> None:
    """Write stand-in faces: 4 people x 5 images of 8 x 6; a person's images are alike."""
    rng = np.random.default_rng(0)
    for person in range(1, 5):
        face = rng.integers(30, 220, (8, 6))
        (folder / f"s{person}").mkdir(parents=True)
        for image in range(1, 6):
            pixels = (face + rng.integers(-20, 21, face.shape)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"s{person}" / f"{image}.pgm")


def write_study(folder: Path) -> None:
    """Write ``data/``, ``classifier/``, ``target/`` and ``attack/`` with what can be trained in a second.

    Args:
        folder: Where to; the faces lie below it.
    """
    faces = folder / "faces"
    people = {"root": str(faces), "test_per_person": 2, "batch_size": 4}
    write(folder / "data/faces.yaml", {"class_path": "mi_lightning.data.AttFaces", "init_args": people})
    for seed, (name, lr) in enumerate((("victim", 0.2), ("evaluator", 0.1))):
        optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": lr}}
        model = {"class_path": "mi_lightning.classifiers.SoftmaxRegression", "init_args": {"optimizer": optimizer}}
        content: dict[str, Any] = {
            "checkpoint": f"checkpoints/{name}.ckpt",
            "model": model,
            "data": "../data/faces.yaml",
        }
        content["trainer"] = {"max_epochs": 40, "accelerator": "cpu", "log_every_n_steps": 1}
        content["seed_everything"] = seed
        write(folder / f"classifier/{name}.yaml", content)
    target = {"evaluator_ckpt": "checkpoints/evaluator.ckpt", "data": "../data/faces.yaml"}
    write(folder / "target/soft.yaml", target | {"model": {"classifier_ckpt": "checkpoints/victim.ckpt"}})
    model = {
        "cost": "mi_lightning.attacks.costs.NegativeLogConfidence",
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5}},
        "max_iterations": 20,
    }
    write(folder / "attack/steps.yaml", {"model": model})
