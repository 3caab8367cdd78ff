"""Where the eyes are in a photograph, and faces cut out so that the eyes are always at the same place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.checkpoint import file_digest
from mi_lightning.data.pictures import Picture
from mi_lightning.errors import InputError
from mi_lightning.extras import load_dlib
from mi_lightning.recognisers.dlib_faces import LANDMARKS

Eyes = NDArray[np.float64]

# the frame of the AT&T faces: 112 x 92 pixels, eyes level, 33.6 apart, 4 above the middle
_HEIGHT, _WIDTH, _APART, _ABOVE = 112, 92, 33.6, 4.0
_LONGEST = 640  # pixels of the longer side in which a face is looked for: a detector's time grows with the pixels
_SURE = 0.7  # score from which YuNet's word is taken


class EyeFinder(ABC):
    """Finds the eyes of the largest face in a photograph."""

    def __call__(self, picture: Picture) -> Eyes | None:
        """Give x and y of both eyes in pixels, the left one of the picture first, (2, 2); None if no face is found.

        Args:
            picture: Shape (height, width) or (height, width, 3), red first.
        """
        import cv2  # here, so that a command that cuts no picture starts without it

        scale = min(1.0, _LONGEST / max(picture.shape[:2]))
        if scale < 1:
            picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        found = self.find(picture)
        return None if found is None else np.asarray(found[found[:, 0].argsort()] / scale)

    @abstractmethod
    def find(self, picture: Picture) -> Eyes | None:
        """Give x and y of both eyes, (2, 2), in a picture of at most 640 pixels a side."""

    @abstractmethod
    def describe(self) -> dict[str, str]:
        """Say which files and versions decide what is found."""


class DlibEyes(EyeFinder):
    """Eyes by dlib's detector and its landmarks of five points, as the recogniser finds them.

    A face that is lit from one side is looked for once more with its contrast evened out.

    Raises:
        MissingRecogniserError: If the landmarks are not installed; it says what to install.
        MIError: If dlib is not.
    """

    def __init__(self) -> None:
        """Load both."""
        self._dlib = load_dlib()
        self._detect = self._dlib.get_frontal_face_detector()
        self._predict = self._dlib.shape_predictor(str(LANDMARKS.checked()))

    def find(self, picture: Picture) -> Eyes | None:
        """See `EyeFinder.find`."""
        import cv2

        grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        for seen in (grey, cv2.createCLAHE(clipLimit=4.0, tileGridSize=(4, 4)).apply(grey)):
            if boxes := list(self._detect(seen, 1)):
                found = self._predict(seen, max(boxes, key=lambda box: box.area()))
                corners = np.array([(point.x, point.y) for point in found.parts()][:4], dtype=np.float64)
                return np.asarray(corners.reshape(2, 2, 2).mean(1))  # an eye lies between its corners
        return None

    def describe(self) -> dict[str, str]:
        """See `EyeFinder.describe`."""
        return {"eyes": "dlib", "version": str(self._dlib.__version__), "weights": LANDMARKS.sha256}


class YuNetEyes(EyeFinder):
    """Eyes by YuNet [Wu23], a small network that OpenCV runs.

    Args:
        file: The network, an ONNX file such as ``face_detection_yunet_2023mar.onnx`` of OpenCV's zoo; none is shipped.

    Raises:
        InputError: If it is no such file.
    """

    def __init__(self, file: str | Path) -> None:
        """Load the network."""
        import cv2

        path = Path(file)
        if not path.is_file():
            raise InputError("dlib, or the ONNX file of a YuNet face detector", f"{path}, no file", "crop")
        try:
            self._detector: Any = cv2.FaceDetectorYN.create(str(path), "", (320, 320), _SURE)
            self.find(np.zeros((64, 64), np.uint8))
        except cv2.error as error:
            reason = " ".join(str(error).split())
            raise InputError("the ONNX file of a YuNet face detector", f"{path}: {reason}", "crop") from error
        self._sha256 = file_digest(path)

    def find(self, picture: Picture) -> Eyes | None:
        """See `EyeFinder.find`."""
        import cv2

        code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        self._detector.setInputSize((picture.shape[1], picture.shape[0]))
        _, faces = self._detector.detect(cv2.cvtColor(picture, code))
        if faces is None or not len(faces):
            return None
        largest = max(faces, key=lambda face: float(face[2] * face[3]))  # x, y, width, height, then five points
        return np.asarray(largest[4:8], np.float64).reshape(2, 2)

    def describe(self) -> dict[str, str]:
        """See `EyeFinder.describe`."""
        import cv2

        return {"eyes": "yunet", "version": cv2.__version__, "weights": self._sha256}


def eye_finder(crop: str) -> EyeFinder:
    """Make the finder that an argument names: ``"dlib"``, or the file of a YuNet network.

    Raises:
        InputError: If it names neither.
        MIError: If a package is missing.
    """
    return DlibEyes() if crop == "dlib" else YuNetEyes(crop)


def eye_places(size: tuple[int, int]) -> Eyes:
    """Where the eyes come to lie in a face of this size (height, width): x and y of both, (2, 2).

    In the middle of the frame of the AT&T faces, made as large as fits.

    Example:
        >>> eye_places((112, 92)).round(1).tolist()
        [[29.2, 52.0], [62.8, 52.0]]
    """
    height, width = size
    scale = min(height / _HEIGHT, width / _WIDTH)
    y = height / 2 - _ABOVE * scale
    return np.array([(width / 2 - _APART / 2 * scale, y), (width / 2 + _APART / 2 * scale, y)])


def cut_face(picture: Picture, eyes: Eyes, size: tuple[int, int]) -> Picture:
    """Turn, scale and cut a photograph so that the eyes are at `eye_places`.

    What lies outside the photograph repeats its edge.

    Args:
        picture: Shape (height, width) or (height, width, 3).
        eyes: x and y of the eyes, the left one of the picture first, shape (2, 2).
        size: Height and width of the face.

    Returns:
        Shape (height, width) or (height, width, 3).
    """
    import cv2

    places = eye_places(size)
    (ax, ay), (bx, by) = eyes
    turn = (places[1, 0] - places[0, 0]) / complex(bx - ax, by - ay)  # as complex numbers: scale and angle
    matrix = np.array([[turn.real, -turn.imag, 0.0], [turn.imag, turn.real, 0.0]])
    matrix[:, 2] = places[0] - matrix[:, :2] @ eyes[0]
    # a photograph that gets smaller is blurred first: the warp looks at four pixels only
    blurred = cv2.GaussianBlur(picture, (0, 0), max(0.1, 0.5 * (1 / abs(turn) - 1)))
    cut_out = cv2.warpAffine(blurred, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut_out, dtype=np.uint8)
