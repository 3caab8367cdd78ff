"""Eyes and the faces that are cut out around them: by dlib on real faces, by YuNet on a network of its layout."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from mi_lightning.data import AttFaces
from mi_lightning.data.eyes import DlibEyes, YuNetEyes, cut_face, eye_finder, eye_places
from mi_lightning.errors import InputError

EYE_AT = np.array([(0.2, 0.3), (0.7, 0.3)])  # of the cell in which the made network sees a face


@pytest.fixture(scope="module")
def yunet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with YuNet's outputs that sees a face in every white square of 32 pixels: nobody's weights."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights, outputs = [], [], []
    for stride in (8, 16, 32):
        points = np.zeros(10, np.float32)
        points[:4] = EYE_AT.flatten()
        for name, width, bias in (("cls", 1, 0), ("obj", 1, 0), ("bbox", 4, 0), ("kps", 10, points)):
            out = f"{name}_{stride}"
            seen = name in ("cls", "obj") and stride == 32
            kernel = np.full((width, 3, stride, stride), 1 / (3 * 255 * stride**2) if seen else 0, np.float32)
            values = {"kernel": kernel, "bias": np.full(width, bias, np.float32)}
            values["shape"] = np.array([1, -1, width], np.int64)
            weights += [numpy_helper.from_array(value, f"{out}.{key}") for key, value in values.items()]
            nodes += [
                helper.make_node("Conv", ["input", f"{out}.kernel", f"{out}.bias"], [f"{out}.c"], strides=[stride] * 2),
                helper.make_node("Transpose", [f"{out}.c"], [f"{out}.t"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{out}.t", f"{out}.shape"], [out]),
            ]
            outputs.append(helper.make_tensor_value_info(out, TensorProto.FLOAT, [1, None, width]))
    source = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "made", [source], outputs, weights)
    file = tmp_path_factory.mktemp("yunet") / "made.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), file)
    return file


def picture(row: int, column: int, shape: tuple[int, ...] = (160, 224)) -> np.ndarray:
    levels = np.full(shape, 10, np.uint8)
    levels[32 * row : 32 * row + 32, 32 * column : 32 * column + 32] = 255
    return levels


@pytest.mark.parametrize("shape", [(160, 224), (160, 224, 3), (150, 200)])
def test_yunet(yunet, shape):
    found = YuNetEyes(yunet)(picture(2, 3, shape))
    assert found == pytest.approx(32 * (EYE_AT + np.array((3, 2))), abs=0.5)
    assert YuNetEyes(yunet)(np.full(shape, 10, np.uint8)) is None


def test_a_large_photograph_is_looked_at_in_small_and_its_eyes_are_told_in_large(yunet):
    large = cv2.resize(picture(2, 3, (320, 640)), None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST)
    assert YuNetEyes(yunet)(large) == pytest.approx(4 * 32 * (EYE_AT + np.array((3, 2))), abs=4)


def test_no_yunet(tmp_path):
    with pytest.raises(InputError, match=r"dlib, or the ONNX file of a YuNet face detector, got .*none.onnx, no file"):
        eye_finder(str(tmp_path / "none.onnx"))
    (tmp_path / "a.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="ONNX file of a YuNet face detector"):
        eye_finder(str(tmp_path / "a.onnx"))


@pytest.mark.parametrize("size", [(112, 92), (64, 64), (50, 200)])
def test_the_eyes_come_to_their_place_in_colour(size):
    y, x = np.mgrid[:243, :320]
    eyes = np.array([(150.0, 110.0), (205.0, 125.0)])
    for eye in (0, 1):
        spot = 255 * np.exp(-((x - eyes[eye][0]) ** 2 + (y - eyes[eye][1]) ** 2) / (2 * 6.0**2))
        face = cut_face(np.stack((spot, 0 * spot, spot), -1).astype(np.uint8), eyes, size)
        assert face.shape == (*size, 3)
        red, (rows, columns) = face[..., 0].astype(np.float64), np.mgrid[: size[0], : size[1]]
        place = (columns * red).sum() / red.sum(), (rows * red).sum() / red.sum()
        assert place == pytest.approx(eye_places(size)[eye], abs=0.5)
        assert not face[..., 1].any()


@pytest.mark.skipif(
    not (find_spec("dlib") and find_spec("face_recognition_models")), reason="dlib and its landmarks: extra judges"
)
def test_dlib_finds_the_eyes_of_real_faces_where_they_were_put():
    """Faces of the AT&T set lie in the frame; turned and enlarged, their eyes are found where the turn has put them."""
    faces = AttFaces()
    find, errors = DlibEyes(), []
    for place in (0, 100, 200):
        face = faces.photographs()[0][place]
        before = find(face)
        turn = cv2.getRotationMatrix2D((46, 56), 10, 2.0) + np.array([[0, 0, 100], [0, 0, 60]])
        after = find(cv2.warpAffine(face, turn, (320, 240), borderMode=cv2.BORDER_REPLICATE))
        errors.append(np.abs(after - (before @ turn[:, :2].T + turn[:, 2])).mean())
    assert max(errors) < 5  # of eyes that are 70 pixels apart
    assert find(np.full((100, 100), 127, np.uint8)) is None
    assert find.describe()["eyes"] == "dlib"
