"""What every data module of `mi_lightning.data` promises, whatever it reads: a new one is tested by being exported.

One that these tests do not know how to build needs a line in ``EXAMPLES``.
"""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import mi_lightning.data
from mi_lightning.data import PersonDataModule, modality_of
from tests.conftest import HEIGHT, IMAGES, PEOPLE, WIDTH, WritePGM

Make = Callable[..., PersonDataModule]
RATE = 8000


def att_faces(folder: Path, write_pgm: WritePGM) -> dict[str, object]:
    rng = np.random.default_rng(0)
    for person in range(1, PEOPLE + 1):
        for image in range(1, IMAGES + 1):
            write_pgm(folder / f"s{person}" / f"{image}.pgm", rng.integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8))
    return {"root": str(folder), "test_per_person": 2}


def face_folder(folder: Path, _: WritePGM) -> dict[str, object]:
    rng = np.random.default_rng(0)
    for person, count in (("anna", 4), ("bob", 6), ("s10", 3)):
        (folder / "people" / person).mkdir(parents=True)
        for image in range(count):
            levels = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
            Image.fromarray(levels).save(folder / "people" / person / f"{2 * image}.png")
    return {"root": str(folder / "people"), "size": (HEIGHT, WIDTH), "channels": 3, "cache_dir": str(folder / "cache")}


def olivetti(folder: Path, _: WritePGM) -> dict[str, object]:
    pictures = np.random.default_rng(0).integers(0, 201, (400, 64 * 64)).astype(np.float32)
    joblib.dump(pictures, folder / "olivetti_py3.pkz")
    return {"data_home": str(folder), "download": False}


def recordings(folder: Path, names: list[str]) -> None:
    soundfile = pytest.importorskip("soundfile", reason="recordings are read by soundfile, of the extra speech")
    rng = np.random.default_rng(0)
    for name in names:  # half a second of noise of its own each: no two chunks are the same
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.5, 0.5, RATE // 2), RATE)


SPEECH = {"sample_rate": RATE, "chunk_seconds": 0.05}


def speaker_folder(folder: Path, _: WritePGM) -> dict[str, object]:
    recordings(folder, [f"{who}/{number}.wav" for who in ("anna", "bob", "cleo") for number in range(4)])
    return {"root": str(folder), **SPEECH}


def librispeech(folder: Path, _: WritePGM) -> dict[str, object]:
    recordings(folder, [f"dev-clean/{who}/5/{who}-5-{number}.flac" for who in (7, 19) for number in range(4)])
    return {"root": str(folder), "subset": "dev-clean", **SPEECH}


def timit(folder: Path, _: WritePGM) -> dict[str, object]:
    sentences = ("sa1", "si648", "si1027", "sx37", "sx127")
    recordings(folder, [f"train/dr1/{who}/{name}.wav" for who in ("fcjf0", "madd0") for name in sentences])
    return {"root": str(folder), **SPEECH}


def synthetic_voices(_: Path, __: WritePGM) -> dict[str, object]:
    pytest.importorskip("espeakng_loader", reason="synthetic voices are spoken by espeakng-loader, of the extra speech")
    return {"voices": 2, "sentences": 3}


def public_voices(_: Path, __: WritePGM) -> dict[str, object]:
    pytest.importorskip("espeakng_loader", reason="synthetic voices are spoken by espeakng-loader, of the extra speech")
    return {"sentences": 2}


def without_people(folder: Path, write_pgm: WritePGM) -> dict[str, object]:
    return {"data": mi_lightning.data.AttFaces(**att_faces(folder, write_pgm))}  # type: ignore[arg-type]


#: How to build one of each: stand-in files in a folder, and the arguments that name them.
EXAMPLES: dict[str, Callable[[Path, WritePGM], dict[str, object]]] = {
    "AttFaces": att_faces,
    "FaceFolder": face_folder,
    "LibriSpeech": librispeech,
    "Olivetti": olivetti,
    "PublicVoices": public_voices,
    "SpeakerFolder": speaker_folder,
    "SyntheticVoices": synthetic_voices,
    "Timit": timit,
    "WithoutPeople": without_people,
}

EXPORTED = sorted(
    name
    for name in mi_lightning.data.__all__
    if inspect.isclass(part := getattr(mi_lightning.data, name))
    and issubclass(part, PersonDataModule)
    and not inspect.isabstract(part)
)


@pytest.fixture(scope="module", params=EXPORTED)
def make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, write_pgm: WritePGM) -> Make:
    """Make a data module of each exported class, on the same files every time."""
    if request.param not in EXAMPLES:
        pytest.fail(f"mi_lightning.data exports {request.param}: add how to build one to EXAMPLES in {__file__}")
    kind = getattr(mi_lightning.data, request.param)
    arguments = EXAMPLES[request.param](tmp_path_factory.mktemp(request.param), write_pgm)
    return lambda **more: kind(**arguments | more)


@pytest.fixture(scope="module")
def data(make: Make) -> PersonDataModule:
    made = make()
    made.prepare_data()
    made.setup("fit")
    return made


def samples(data: PersonDataModule) -> dict[str, tuple[Tensor, Tensor]]:
    return {"train": (data.train_x, data.train_y), "test": (data.test_x, data.test_y)}


def rows(data: PersonDataModule, part: str) -> list[tuple[int, bytes]]:
    x, y = samples(data)[part]
    return [(label, sample.numpy().tobytes()) for label, sample in zip(y.tolist(), x, strict=True)]


def takes(make: Make, argument: str) -> bool:
    """Whether a data module has an argument: what a corpus decides on itself is none."""
    try:
        make(**{argument: 1})
    except TypeError:
        return False
    return True


def test_examples_are_of_what_is_exported():
    assert sorted(EXAMPLES) == EXPORTED


def test_people_are_known_before_setup(make, data):
    fresh = make()
    assert fresh.class_names == data.class_names
    assert fresh.num_classes == len(set(fresh.class_names)) >= 2
    assert fresh.input_shape == data.input_shape
    assert fresh.input_range == data.input_range
    assert fresh.modality == data.modality


def test_samples_have_the_shape_and_the_range_that_is_said(data):
    low, high = data.input_range
    for x, y in samples(data).values():
        assert tuple(x.shape[1:]) == tuple(data.input_shape)
        assert (x.dtype, y.dtype, y.shape) == (torch.float32, torch.int64, (len(x),))
        assert float(x.min()) >= low
        assert float(x.max()) <= high
        assert float(x.max() - x.min()) > 0.3 * (high - low)  # the range is the samples' own, not a bound far away


def test_training_and_test_hold_every_person(data):
    people = set(range(data.num_classes))
    for _, y in samples(data).values():
        assert set(y.tolist()) == people


def test_the_split_is_disjoint(data):
    train, test = set(rows(data, "train")), set(rows(data, "test"))
    assert len(train) == len(data.train_y)  # the stand-ins are all different
    assert not train & test


def test_the_split_is_complete(make, data):
    """Whatever the split, the samples are the same."""
    if not takes(make, "split_seed"):
        pytest.skip("the corpus decides on the split")
    other = make(split="first")
    other.setup()
    if hasattr(data, "segments"):  # by utterances: chunks need not fit them without a rest
        names = [sorted(s.name for part in ("train", "test") for s in each.segments(part)) for each in (data, other)]
        assert names[0] == names[1] == sorted(recording.name for recording in data.recordings)
    else:
        both = [sorted(rows(each, "train") + rows(each, "test")) for each in (data, other)]
        assert both[0] == both[1]


def test_the_same_seed_gives_the_same_split_and_another_another(make, data):
    torch.manual_seed(1234)  # the global random state is nobody's
    again = make()
    again.setup()
    for part in ("train", "test"):
        assert rows(again, part) == rows(data, part)
    if takes(make, "split_seed"):
        others = [make(split_seed=seed) for seed in range(1, 6)]
        for other in others:
            other.setup()
        assert any(rows(other, "test") != rows(data, "test") for other in others)


def test_setup_draws_nothing_from_the_global_random_state(make):
    before = torch.get_rng_state()
    fresh = make()
    fresh.setup()
    batch = next(iter(fresh.train_dataloader()))
    assert torch.equal(torch.get_rng_state(), before)
    assert tuple(batch[0].shape[1:]) == tuple(fresh.input_shape)


def test_batches_are_of_training_people_and_test_batches_of_test_people(data):
    for loader in (data.train_dataloader(), data.test_dataloader()):
        for x, y in loader:
            assert x.shape[:2] == (len(y), data.input_shape[0])
            assert 0 <= int(y.min()) <= int(y.max()) < data.num_classes


def test_the_description_is_plain_and_names_a_class_that_can_be_imported(data):
    said = data.describe()
    assert json.loads(json.dumps(said)) == said
    module, _, name = said["class_path"].rpartition(".")
    assert getattr(importlib.import_module(module), name) is type(data)
    assert said["class_path"] == f"mi_lightning.data.{type(data).__name__}"
    assert said["people"] == data.num_classes
    assert (said["train_samples"], said["test_samples"]) == (len(data.train_y), len(data.test_y))
    assert len(said["sha256"]) == 64


def test_the_description_tells_other_data_apart(make, data):
    assert make().describe() == data.describe()


def test_the_modality_is_that_of_the_samples(data):
    modality = data.modality
    assert modality.shape == tuple(data.train_x.shape[1:])
    assert modality.value_range == tuple(data.input_range)
    assert modality.kind == modality_of(data.input_shape, data.input_range).kind != "other"
    assert len(modality.axes) == data.train_x.ndim - 1
    assert modality.sample_rate == getattr(data, "sample_rate", None)
    assert data.describe()["modality"] == modality.as_dict()


def test_a_data_module_of_somebody_else_is_described_by_its_own_place(make, data):
    own = type("OwnData", (type(data),), {"__module__": __name__})
    made = own.__new__(own)
    made.__dict__.update(data.__dict__)
    assert made.describe()["class_path"] == f"{__name__}.OwnData"
