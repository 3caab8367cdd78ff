"""Faces: where one is assumed, and real photographs where dlib and its weights are installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mi_lightning.data import AttFaces
from mi_lightning.errors import MIError
from mi_lightning.recognisers import DlibFaces, Gallery
from mi_lightning.recognisers.dlib_faces import LANDMARKS, NETWORK, fixed_box, upright_face


@pytest.mark.parametrize(("height", "width"), [(112, 92), (64, 64), (92, 112), (480, 640), (8, 6), (1, 1)])
def test_fixed_box_is_a_square_inside_the_picture(height, width):
    left, top, right, bottom = fixed_box(height, width)
    side = 0.8 * min(height, width)
    assert right - left == pytest.approx(side, abs=1)
    assert bottom - top == pytest.approx(side, abs=1)
    assert (left + right) / 2 == pytest.approx(width / 2, abs=1)
    assert left >= 0
    assert right <= width
    assert top >= 0
    assert bottom <= height


@pytest.fixture(scope="module")
def recogniser():
    made = DlibFaces()
    try:
        made.check()
    except MIError as error:
        pytest.skip(f"needs the extra judges: {error}")
    return made


@pytest.fixture(scope="module")
def photographs():
    """Five real photographs of each of six people: four to enrol with and one to ask about."""
    data = AttFaces()
    data.setup()
    x = torch.stack([data.train_x[data.train_y == person][:5] for person in range(6)])
    return x[:, :4].flatten(0, 1), torch.arange(6).repeat_interleave(4), x[:, 4]


def test_real_people_are_recognised(recogniser, photographs):
    enrolled, label, asked = photographs
    known = recogniser.embed(enrolled, value_range=(0, 1))
    found = recogniser.embed(asked, value_range=(0, 1))
    gallery = Gallery.enrol(known.vectors, label, 6, recogniser.metric)
    assert gallery.rank(found.vectors, torch.arange(6)).tolist() == [1] * 6
    assert float(known.detected.double().mean()) > 0.9
    assert float(gallery.distances(found.vectors).diagonal().max()) < 0.6  # dlib's own limit for one person


def test_vectors_are_those_of_dlib(recogniser, photographs):
    dlib = pytest.importorskip("dlib", reason="needs the extra judges")
    network = dlib.face_recognition_model_v1(str(NETWORK.checked()))
    assert LANDMARKS.checked().name == "shape_predictor_5_face_landmarks.dat"
    x = photographs[2][:2]
    expected = []
    for picture in x:
        face, _ = upright_face((picture * 255).round().byte())
        expected.append(network.compute_face_descriptor(face))
    found = recogniser.embed(x, value_range=(0, 1)).vectors
    np.testing.assert_allclose(found, np.array([list(vector) for vector in expected]), atol=1e-4)


def test_nothing_is_no_face_and_still_has_a_vector(recogniser):
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.full((1, 1, 40, 30), 0.5), torch.rand(1, 1, 40, 30, generator=generator)])
    found = recogniser.embed(x, value_range=(0, 1))
    assert found.detected.tolist() == [False, False]
    assert found.vectors.isfinite().all()


def test_colour_other_ranges_and_the_rest_of_the_batch_change_nothing(recogniser, photographs):
    x = photographs[2][:3]
    expected = recogniser.embed(x, value_range=(0, 1)).vectors
    recogniser.memory.clear()
    others = {
        "colour": recogniser.embed(x.expand(-1, 3, -1, -1), value_range=(0, 1)).vectors,
        "range": recogniser.embed(2 * x - 1, value_range=(-1, 1)).vectors,
        "alone": torch.cat([recogniser.embed(one[None], value_range=(0, 1)).vectors for one in x]),
    }
    for name, found in others.items():
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")
    swapped = torch.cat([x, x * 0.5, x], 1)
    assert not torch.allclose(recogniser.embed(swapped, value_range=(0, 1)).vectors, expected, atol=1e-2)


def test_it_says_what_it_is(recogniser):
    told = recogniser.describe()
    assert told["class"] == "mi_lightning.recognisers.DlibFaces"
    assert set(told["weights"]) == {"dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat"}
    assert (told["metric"], told["embedding_size"]) == ("euclidean", 128)
