"""Faces as dlib's recogniser knows them, which was trained on thousands of other people."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.checkpoint import class_path
from mi_lightning.errors import MIError
from mi_lightning.extras import load_dlib
from mi_lightning.nn.dlib_resnet import EMBEDDING_SIZE, SIDE, DlibResNet, load_dlib_resnet
from mi_lightning.recognisers.base import Embeddings, MissingRecogniserError, Recogniser
from mi_lightning.recognisers.weights import PackagedWeights


def _weights(name: str, sha256: str) -> PackagedWeights:
    return PackagedWeights(
        package="face_recognition_models",
        parts=("models", name),
        sha256=sha256,
        brings="faces are recognised by the file",
        install='pip install "mi-lightning[judges]"',
    )


NETWORK = _weights(
    "dlib_face_recognition_resnet_model_v1.dat", "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
)
# five points and not 68: the larger file was made from pictures for non-commercial use only
LANDMARKS = _weights(
    "shape_predictor_5_face_landmarks.dat", "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888"
)
# dlib finds faces of 80 pixels and more: pictures that have none even with the border are doubled
_LEAST_SIDE = 64
# part of the shorter side by which a picture is continued on all sides: faces that fill a close-up are found then, too
_BORDER = 0.25
_PADDING = 0.25  # of the upright face that the network is shown, as it was trained
# where no face is found: a square in the middle of the width, as parts of the shorter side and of the height
_BOX_SIDE, _BOX_MIDDLE = 0.8, 0.6
#: All that decides a vector beside the weights: who reads figures of two versions has to know.
_SETTINGS = {
    "least_side": _LEAST_SIDE,
    "border": _BORDER,
    "padding": _PADDING,
    "box_side": _BOX_SIDE,
    "box_middle": _BOX_MIDDLE,
}
_FACES_AT_ONCE = 16

_MEMORY: dict[bytes, tuple[Tensor, bool]] = {}  # one for all, since all are the same


class DlibFaces(Recogniser):
    """dlib's face recogniser [Ki17]: a face is found, turned upright, and made a vector of.

    dlib finds the face (histograms of gradients), its eyes and nose, and turns it upright; the network is run in torch
    (`DlibResNet`), many faces at a time. Where no face is found a fixed box is taken for it, and `detected` says so.
    """

    kind = "picture"
    metric = "euclidean"
    looks_for = "a face"
    advice = (
        "it needs faces that fill most of the picture, so train and audit on faces cut out (FaceFolder's crop: dlib), "
        "or name another recogniser, such as an Embedder of your own"
    )

    def __init__(self) -> None:
        """Load nothing yet."""
        super().__init__()
        self.memory = _MEMORY

    def check(self) -> None:
        """See that dlib and the weights are there, and are those that were tried."""
        try:
            load_dlib()
        except MIError as error:
            raise MissingRecogniserError(str(error)) from error
        for weights in (NETWORK, LANDMARKS):
            weights.checked()

    def describe(self) -> dict[str, Any]:
        """Return what it is."""
        self.check()
        return {
            "class": class_path(type(self)),
            "weights": {weights.name: weights.sha256 for weights in (NETWORK, LANDMARKS)},
            "trained_on": "about 3 million photographs of 7,485 people from FaceScrub, VGG and the web",
            "metric": self.metric,
            "embedding_size": EMBEDDING_SIZE,
            "settings": _SETTINGS,
        }

    @torch.no_grad()
    def embed_new(
        self, samples: list[Tensor], *, value_range: tuple[float, float], sample_rate: int | None
    ) -> Embeddings:
        """Embed pictures (1 or 3, height, width)."""
        self.check()
        network = _network(NETWORK.checked())
        low, high = value_range
        vectors: list[Tensor] = []
        detected: list[bool] = []
        for start in range(0, len(samples), _FACES_AT_ONCE):
            part = samples[start : start + _FACES_AT_ONCE]
            levels = [((sample - low) / (high - low) * 255).round().byte() for sample in part]
            faces, seen = zip(*map(upright_face, levels), strict=True)
            vectors.append(network(torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float()))
            detected += seen
        return Embeddings(torch.cat(vectors), torch.tensor(detected))


def upright_face(picture: Tensor) -> tuple[NDArray[np.uint8], bool]:
    """Find a face and turn it upright.

    Args:
        picture: Shape (1 or 3, height, width), grey levels or red, green and blue, uint8.

    Returns:
        The face, shape (150, 150, 3), and whether one was found; if not, it is what is in a fixed box.
    """
    dlib, (detector, landmarks) = load_dlib(), _finders(LANDMARKS.checked())
    height, width = picture.shape[1:]
    border = round(_BORDER * min(height, width))
    pixels = picture.expand(3, -1, -1).permute(1, 2, 0).numpy()
    colours = np.ascontiguousarray(np.pad(pixels, ((border, border), (border, border), (0, 0)), mode="edge"))
    doublings = max(0, math.ceil(math.log2(_LEAST_SIDE / min(height, width))))
    found = list(detector(colours, doublings))
    assumed = dlib.rectangle(*(border + place for place in fixed_box(height, width)))
    box = max(found, key=lambda face: face.area()) if found else assumed
    face = dlib.get_face_chip(colours, landmarks(colours, box), size=SIDE, padding=_PADDING)
    return face, bool(found)


def fixed_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square in which a face is assumed where none is found, in pixels.

    Where close-ups have theirs: the median of what dlib finds in the AT&T photographs.

    Example:
        >>> fixed_box(112, 92)
        (9, 30, 83, 104)
    """
    half = _BOX_SIDE * min(height, width) / 2
    x, y = width / 2, _BOX_MIDDLE * height
    return round(x - half), round(y - half), round(x + half), round(y + half)


@cache
def _network(path: Path) -> DlibResNet:
    """Load the network, once."""
    return load_dlib_resnet(path)


@cache
def _finders(path: Path) -> tuple[Any, Any]:
    """Load what finds faces, and what finds eyes and nose in them, once."""
    dlib = load_dlib()
    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(path))
