"""The Olivetti faces: what is read of scikit-learn's cache, and what is said where there is none."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.error import URLError

import joblib
import numpy as np
import pytest
import torch

from mi_lightning.data import Olivetti
from mi_lightning.errors import InputError, MIError

REAL = Path(os.environ.get("MI_LIGHTNING_DATA", Path(__file__).parents[3] / "shared" / "data")) / "scikit_learn_data"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of scikit-learn with random photographs; pixel (2, 1) of each holds its number, 0 to 200 by halves."""
    folder = tmp_path_factory.mktemp("cache")
    pictures = np.random.default_rng(0).integers(0, 201, (400, 64, 64)).astype(np.float32)
    pictures[:, 2, 1] = np.arange(400) / 2
    pictures[0, 0, :2] = 0, 200  # what the grey levels are stretched between
    joblib.dump(pictures.transpose(0, 2, 1).reshape(400, -1), folder / "olivetti_py3.pkz")  # it keeps them transposed
    return folder


def no_network(**_: object) -> None:
    raise URLError("Network is unreachable")


def numbers(x: torch.Tensor) -> torch.Tensor:
    """Number of each photograph of the stand-in."""
    return (x[:, 0, 2, 1] * 400).round().long()


def test_people_are_known_before_anything_is_read(tmp_path: Path) -> None:
    data = Olivetti(data_home=str(tmp_path / "nowhere"), download=False)
    assert data.input_shape == (1, 64, 64)
    assert data.input_range == (0.0, 1.0)
    assert data.class_names == tuple(f"s{k}" for k in range(1, 41))
    assert data.num_classes == 40


def test_seven_and_three_of_each_person(stand_in: Path) -> None:
    data = Olivetti(data_home=str(stand_in), download=False)
    data.prepare_data()
    data.setup()
    assert data.train_x.shape == (280, 1, 64, 64)
    assert data.test_x.shape == (120, 1, 64, 64)
    assert data.train_x.dtype == torch.float32
    assert data.train_y.bincount().tolist() == [7] * 40
    assert data.test_y.bincount().tolist() == [3] * 40
    found = torch.cat((numbers(data.train_x), numbers(data.test_x)))
    assert found.sort().values.tolist() == list(range(400))  # each photograph once, rows and columns the right way
    assert torch.equal(numbers(data.train_x) // 10, data.train_y)
    assert torch.equal(numbers(data.test_x) // 10, data.test_y)
    assert (float(data.train_x.min()), float(data.train_x.max())) == (0.0, 1.0)


def test_splits(stand_in: Path) -> None:
    def numbers_to_test(**arguments: object) -> torch.Tensor:
        data = Olivetti(data_home=str(stand_in), **arguments)
        data.setup()
        return numbers(data.test_x)

    last = torch.arange(400).view(40, 10)[:, 7:].flatten()
    assert torch.equal(numbers_to_test(split="first"), last)
    assert torch.equal(numbers_to_test(split_seed=3), numbers_to_test(split_seed=3))
    assert not torch.equal(numbers_to_test(split_seed=3), numbers_to_test(split_seed=4))
    assert len(numbers_to_test(test_per_person=2)) == 80
    with pytest.raises(InputError, match="fewer test images a person than the 10 of person 0, got 10"):
        numbers_to_test(test_per_person=10)


def test_it_says_which_data_these_are(stand_in: Path) -> None:
    said = Olivetti(data_home=str(stand_in), split_seed=2).describe()
    assert said["class_path"] == "mi_lightning.data.Olivetti"
    assert (said["split_seed"], said["people"], said["test_samples"], said["test_per_person"]) == (2, 40, 120, 3)
    assert len(said["sha256"]) == 64


def test_the_environment_names_the_cache(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(stand_in))
    data = Olivetti(download=False)
    data.setup()
    assert len(data.train_y) == 280


@pytest.mark.filterwarnings("error")
def test_without_network_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sklearn.datasets._base.urlretrieve", lambda *_, **__: no_network())
    with pytest.raises(MIError) as caught:
        Olivetti(data_home=str(tmp_path)).prepare_data()
    assert str(caught.value) == (
        f"expected the Olivetti faces in {tmp_path} (copy olivetti_py3.pkz there from a machine that has it), "
        "got none, and no download: URLError: <urlopen error Network is unreachable> (data_home)"
    )


def test_a_download_that_is_not_allowed_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", no_network)
    with pytest.raises(MIError, match=r"Olivetti faces in .*nowhere .*, got none, and download is false \(data_home"):
        Olivetti(data_home=str(tmp_path / "nowhere"), download=False).setup()
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x78\x9c\x01\x02"])
def test_a_damaged_cache_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "olivetti_py3.pkz").write_bytes(content)
    with pytest.raises(MIError, match=r"olivetti_py3.pkz is damaged \(.*\): delete it") as caught:
        Olivetti(data_home=str(tmp_path)).setup()
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MIError, match=r"copy olivetti_py3\.pkz .*, got none, and no download: .* \(data_home\)"):
        Olivetti(data_home=str(tmp_path / "file")).setup()


def test_the_real_faces() -> None:
    if not (REAL / "olivetti_py3.pkz").is_file():
        pytest.skip(f"no Olivetti faces in {REAL}")
    data = Olivetti(data_home=str(REAL), download=False)
    data.setup()
    x = data.train_x.flatten(1)
    both = torch.cat((data.train_x, data.test_x))
    assert (float(both.min()), float(both.max())) == (0.0, 1.0)
    # two photographs of a person are more alike than those of two people
    means = torch.stack([x[data.train_y == person].mean(0) for person in range(40)])
    nearest = torch.cdist(data.test_x.flatten(1), means).argmin(1)
    assert float((nearest == data.test_y).float().mean()) > 0.7
