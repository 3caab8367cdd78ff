"""Small things that many tests share: a stand-in folder of faces and a tiny classifier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.data import AttFaces

torch.set_num_threads(1)  # the tensors of the tests are tiny: waking threads costs more than the work

PEOPLE, IMAGES, HEIGHT, WIDTH = 4, 5, 8, 6

WritePGM = Callable[..., Path]


@pytest.fixture(scope="session")
def write_pgm() -> WritePGM:
    """A function that writes one 8-bit image as a binary PGM file."""

    def write(path: Path, image: NDArray[np.uint8], *, comment: str = "") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        note = f"# {comment}\n" if comment else ""
        path.write_bytes(f"P5\n{note}{image.shape[1]} {image.shape[0]}\n255\n".encode() + image.tobytes())
        return path

    return write


@pytest.fixture
def face_folder(tmp_path: Path, write_pgm: WritePGM) -> Path:
    """A folder of stand-in faces: 4 people x 5 images of 8 x 6; a person's images are alike."""
    rng = np.random.default_rng(0)
    for person in range(1, PEOPLE + 1):
        face = rng.integers(30, 220, (HEIGHT, WIDTH))
        for image in range(1, IMAGES + 1):
            noisy = face + rng.integers(-20, 21, (HEIGHT, WIDTH))
            write_pgm(tmp_path / "faces" / f"s{person}" / f"{image}.pgm", noisy.astype(np.uint8))
    return tmp_path / "faces"


@pytest.fixture
def faces(face_folder: Path) -> AttFaces:
    """The stand-in faces as a data module, set up: 3 train and 2 test images a person."""
    data = AttFaces(root=str(face_folder), test_per_person=2, batch_size=4)
    data.setup()
    return data


@pytest.fixture
def tiny_softmax() -> SoftmaxRegression:
    """A softmax regression for the stand-in faces with random but fixed weights, in eval mode."""
    classifier = SoftmaxRegression(
        input_shape=(1, HEIGHT, WIDTH), num_classes=PEOPLE, class_names=[f"s{k}" for k in range(1, PEOPLE + 1)]
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        classifier.head.weight.normal_(generator=generator)
        classifier.head.bias.normal_(generator=generator)
    return classifier.eval()
