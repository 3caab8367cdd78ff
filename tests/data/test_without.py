"""Data without half of the people: who is seen in training, and who is not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mi_lightning.data import AttFaces, SpeakerFolder, WithoutPeople
from mi_lightning.data.without import removed_people
from mi_lightning.errors import InputError
from mi_lightning.judging.make import same_split

RATE = 8000


def seen(data, epochs=3) -> dict[bytes, set[int]]:
    """Samples that training is handed, and the labels that they are given."""
    found: dict[bytes, set[int]] = {}
    for _ in range(epochs):
        for x, y in data.train_dataloader():
            for sample, label in zip(x, y.tolist(), strict=True):
                found.setdefault(sample.numpy().tobytes(), set()).add(label)
    return found


def owners(data) -> dict[bytes, int]:
    """Whose each sample is, those for testing included."""
    pairs = ((data.train_x, data.train_y), (data.test_x, data.test_y))
    return {sample.numpy().tobytes(): label for x, y in pairs for sample, label in zip(x, y.tolist(), strict=True)}


@pytest.fixture
def others(tmp_path, write_pgm):
    """Three other people of the same size."""
    rng = np.random.default_rng(9)
    for person in range(1, 4):
        for image in range(1, 5):
            pixels = rng.integers(0, 256, (8, 6)).astype(np.uint8)
            write_pgm(tmp_path / "others" / f"s{person}" / f"{image}.pgm", pixels)
    return AttFaces(root=str(tmp_path / "others"), test_per_person=1)


@pytest.mark.parametrize("people", [2, 3, 4, 7, 40])
def test_the_halves_are_everybody_once(people):
    halves = [removed_people(people, half, seed=3) for half in (0, 1)]
    assert sorted(halves[0] + halves[1]) == list(range(people))
    assert len(halves[0]) == people // 2
    assert halves[0] == removed_people(people, 0, seed=3)
    if people == 40:
        assert halves[0] != removed_people(people, 0, seed=4)


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_sample_of_a_removed_person_is_seen_in_training(faces, half, seed):
    data = WithoutPeople(faces, half=half, seed=seed)
    data.setup("fit")
    whose, training = owners(faces), seen(data)
    assert not {whose[sample] for sample in training} & set(data.removed)
    assert all(len(labels) == 1 for labels in training.values())  # nobody learns two names for one sample
    labels = {label for (label,) in training.values()}
    assert labels == set(range(4))  # as many people as before
    for kept in set(range(4)) - set(data.removed):  # who is kept is trained on their own samples only
        assert {whose[sample] for sample, (label,) in training.items() if label == kept} == {kept}
    for removed in data.removed:  # and who is not has samples of one other person
        assert len({whose[sample] for sample, (label,) in training.items() if label == removed}) == 1
    assert not {sample.numpy().tobytes() for sample in data.test_x} & set(training)
    assert set(data.test_y.tolist()) == set(range(4))


def test_other_people_take_the_places(faces, others):
    data = WithoutPeople(faces, half=1, seed=2, others=others)
    data.setup("fit")
    whose, training = owners(faces), seen(data)
    theirs = owners(others)
    for removed in data.removed:
        mine = [sample for sample, labels in training.items() if labels == {removed}]
        assert len(mine) == 3
        assert not set(mine) & set(whose)
        assert len({theirs[sample] for sample in mine}) == 1
    for kept in set(range(4)) - set(data.removed):  # all of their own
        mine = [sample for sample, labels in training.items() if labels == {kept}]
        assert {whose[sample] for sample in mine} == {kept}
        assert len(mine) == 3
    assert data.describe()["without"]["others"]["sha256"] == others.describe()["sha256"]


def test_the_description_passes_for_the_data_and_says_who_is_missing(faces):
    data, said = WithoutPeople(faces, half=0, seed=5), faces.describe()
    own = data.describe()
    same_split(own, said, "data")  # the judge takes the original photographs as references
    for key in ("sha256", "split", "split_seed", "test_per_person", "people"):
        assert own[key] == said[key]
    assert own["class_path"] == "mi_lightning.data.WithoutPeople"
    assert own["train_samples"] == 6  # those of the two who are kept
    names = [faces.class_names[label] for label in removed_people(4, 0, 5)]
    without = {"data": "mi_lightning.data.AttFaces", "half": 0, "seed": 5, "people": names, "others": None}
    assert own["without"] == without
    assert json.loads(json.dumps(own)) == own
    assert len(faces.train_y) == 12  # the data stay as they are


def test_an_odd_number_of_people_shares_with_two(tmp_path, write_pgm):
    rng = np.random.default_rng(1)
    for person in range(1, 4):
        for image in range(1, 6):
            write_pgm(tmp_path / f"s{person}" / f"{image}.pgm", rng.integers(0, 256, (8, 6)).astype(np.uint8))
    data = WithoutPeople(AttFaces(root=str(tmp_path), test_per_person=2), half=1)
    data.setup()
    assert data.train_y.sort().values.tolist() == [0, 1, 2]  # three samples of the one who is kept, one a label
    short = WithoutPeople(AttFaces(root=str(tmp_path), test_per_person=3), half=1)
    with pytest.raises(InputError, match=r"expected 3 training samples or more of s\d, .*; or others, got 2 \(data\)"):
        short.setup()


@pytest.fixture
def speakers(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="recordings are read by soundfile, of the extra speech")

    def make(folder, number, utterances):
        rng = np.random.default_rng(number)
        for who in range(number):
            for index in range(utterances):
                path = tmp_path / folder / f"{who}" / f"{index}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, rng.uniform(-0.5, 0.5, RATE), RATE)
        settings = {"sample_rate": RATE, "chunk_seconds": 0.05, "batch_size": 16, "gain": 0.0}
        return SpeakerFolder(root=str(tmp_path / folder), cache_dir=str(tmp_path / "cache"), **settings)

    return make


def heard(data, chunk: torch.Tensor) -> set[int]:
    """Speakers in whose utterances a chunk is found, to the number."""
    return {
        label
        for part in ("train", "test")
        for label, wave in data.utterances(part)
        if bool((wave[0].unfold(0, chunk.shape[-1], 1) == chunk).all(1).any())
    }


@pytest.mark.parametrize("utterances", [1, 2, 5])
def test_removed_speakers_are_not_heard(speakers, utterances):
    original = speakers("folk", 4, utterances)
    data = WithoutPeople(original, half=0, seed=1)
    data.setup("fit")
    x, y = next(iter(data.train_dataloader()))
    by_label: dict[int, set[int]] = {}
    for chunk, label in zip(x, y.tolist(), strict=True):
        by_label.setdefault(label, set()).update(heard(original, chunk[0]))
    assert set(by_label) == set(range(4))
    for label, whose in by_label.items():
        assert len(whose) == 1
        assert not whose & set(data.removed)
        if label not in data.removed:
            assert whose == {label}
    spans = [(segment.start, segment.stop) for segment in data.divided.segments("train")]
    for one, other in zip(sorted(spans), sorted(spans)[1:], strict=False):
        assert one[1] <= other[0]  # no two labels share a sample
    assert data.describe()["sha256"] == original.describe()["sha256"]
    assert data.modality == original.modality


def test_other_speakers_take_the_places(speakers):
    original, others = speakers("folk", 4, 3), speakers("others", 3, 3)
    data = WithoutPeople(original, half=1, seed=1, others=others)
    data.setup("fit")
    x, y = next(iter(data.train_dataloader()))
    for chunk, label in zip(x, y.tolist(), strict=True):
        own, theirs = heard(original, chunk[0]), heard(others, chunk[0])
        assert (own, len(theirs)) == ((set(), 1) if label in data.removed else ({label}, 0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"half": 2}, r"expected half 0 or 1, got 2 \(half\)"),
        ({"seed": -1}, r"expected seed >= 0, got -1 \(seed\)"),
    ],
)
def test_wrong_arguments(faces, arguments, words):
    with pytest.raises(InputError, match=words):
        WithoutPeople(faces, **arguments)


def test_others_that_do_not_fit(faces, tmp_path, write_pgm, others):
    for person in (1, 2):
        for image in (1, 2):
            pixels = np.random.default_rng(person).integers(0, 256, (9, 6)).astype(np.uint8)
            write_pgm(tmp_path / "big" / f"s{person}" / f"{image}.pgm", pixels)
    big = AttFaces(root=str(tmp_path / "big"), test_per_person=1)
    with pytest.raises(InputError, match=r"others of input_shape \(1, 8, 6\), got \(1, 9, 6\) \(others\)"):
        WithoutPeople(faces, others=big).setup()
    with pytest.raises(InputError, match=r"expected data of other people, got the same data \(others\)"):
        WithoutPeople(faces, others=faces).setup()
    few = AttFaces(root=faces.root, test_per_person=2)
    with pytest.raises(InputError, match=r"expected 2 other people or more, got 1 \(others\)"):
        WithoutPeople(faces, others=_first_person_twice(few)).setup()


def _first_person_twice(data):
    """Data of one person."""
    one = type("One", (type(data),), {"class_names": ("s1",)})
    made = one.__new__(one)
    made.__dict__.update(data.__dict__)
    return made


def test_contradictory_speakers(speakers, faces):
    original = speakers("folk", 4, 3)
    faces_as_sound = WithoutPeople(original, others=faces)
    with pytest.raises(InputError, match=r"others of input_shape"):
        faces_as_sound.setup()
