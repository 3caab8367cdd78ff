"""Small things that many tests share: a stand-in folder of faces and a tiny classifier."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.cli.main import main
from mi_lightning.cli.runner import execute
from mi_lightning.data import AttFaces
from mi_lightning.workers import Job, Outcome
from tests.study import write_faces, write_study

torch.set_num_threads(1)  # the tensors of the tests are tiny: waking threads costs more than the work

PEOPLE, IMAGES, HEIGHT, WIDTH = 4, 5, 8, 6

WritePGM = Callable[..., Path]


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep decoded audio and the like in a folder of the tests, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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


@pytest.fixture(scope="session")
def trained_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small study (`tests.study`) whose classifiers are trained."""
    folder = tmp_path_factory.mktemp("study")
    write_faces(folder / "faces")
    write_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("victim", "evaluator"):
            main(["fit", "--config", f"classifier/{name}.yaml", "--trainer.logger", "false"])
    return folder


@pytest.fixture
def study(trained_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the study to work in, which is the working folder; its faces are those of the original."""
    shutil.copytree(trained_study, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


class JobsHere:
    """Does the runs of a sweep in this process, in the place of `mi_lightning.workers.Workers`.

    Attributes:
        done: Folders of the runs that were tried, in their order.
        stop_after: Runs after which Ctrl-C is pressed.
    """

    done: list[str]
    stop_after: int | None

    def __init__(self, *, count: int, threads: int) -> None:
        self.count, self.threads = count, threads

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        for place, job in enumerate(jobs):
            if len(self.done) == self.stop_after:
                raise KeyboardInterrupt
            command = list(sys.argv)
            try:
                outcome = Outcome(place, execute(job.argument))
            except Exception as error:  # noqa: BLE001  # as the processes do
                outcome = Outcome(place, error=str(error))
            finally:
                sys.argv = command
            self.done.append(Path(job.argument["folder"]).name)
            yield outcome


@pytest.fixture
def jobs_here(monkeypatch: pytest.MonkeyPatch) -> type[JobsHere]:
    """Let sweeps run in this process."""
    here = type("JobsHere", (JobsHere,), {"done": [], "stop_after": None})
    monkeypatch.setattr("mi_lightning.commands.sweep.run.Workers", here)
    return here
