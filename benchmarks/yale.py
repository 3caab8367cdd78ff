"""Lay the Yale faces out as a folder that `AttFaces` reads: other people for settings that were chosen on AT&T's.

15 people, ten photographs each, cut to 112 x 92 so that the eyes are where AT&T's are. Of two photographs with the same
pixels one is left out (nine people have such a pair), and of the others `noglasses`, so that everybody has ten.

    python benchmarks/yale.py SOURCE FOLDER                        # FOLDER/s1/1.pgm ... FOLDER/s15/10.pgm
    python benchmarks/yale.py SOURCE FOLDER --montage yale.png     # all of them in one picture, to look at
    python benchmarks/five_splits.py --root FOLDER ...             # trains and attacks there
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mi_lightning.errors import InputError
from mi_lightning.extras import load_dlib
from mi_lightning.recognisers.dlib_faces import LANDMARKS, DlibFaces

HEIGHT, WIDTH = 112, 92
EYES = np.array([(29.2, 52.0), (62.8, 52.0)])  # x and y of the eyes on the left and on the right, 33.6 pixels apart
EACH = 10  # photographs of a person
_SPARED = "noglasses"  # left out where no two photographs are the same: it is most often one of a pair

Picture = NDArray[np.uint8]


class Eyes:
    """Finds the eyes by dlib's detector and its landmarks of five points, as the recogniser does.

    Raises:
        MissingRecogniserError: If dlib or its landmarks are not installed; it says what to install.
    """

    def __init__(self) -> None:
        """Load both."""
        DlibFaces().check()
        dlib = load_dlib()
        self._detect = dlib.get_frontal_face_detector()
        self._predict = dlib.shape_predictor(str(LANDMARKS.checked()))

    def __call__(self, picture: Picture) -> NDArray[np.float64] | None:
        """Give x and y of both eyes, the left one of the picture first, shape (2, 2); None if no face is found.

        A face that is lit from one side is looked for once more with its contrast evened out.
        """
        for seen in (picture, cv2.createCLAHE(clipLimit=4.0, tileGridSize=(4, 4)).apply(picture)):
            if boxes := list(self._detect(seen, 1)):
                found = self._predict(seen, max(boxes, key=lambda box: box.area()))
                corners = np.array([(point.x, point.y) for point in found.parts()][:4], dtype=np.float64)
                eyes: NDArray[np.float64] = corners.reshape(2, 2, 2).mean(1)  # an eye lies between its corners
                return np.asarray(eyes[eyes[:, 0].argsort()])
        return None


def chosen(pictures: dict[str, Picture]) -> dict[str, Picture]:
    """Ten photographs of a person: one of each pair with the same pixels, and no ``noglasses`` where there is no pair.

    Args:
        pictures: All photographs of the person by their names.

    Raises:
        InputError: If these are not ten then.
    """
    seen: dict[bytes, str] = {}
    for name in sorted(pictures):
        seen.setdefault(pictures[name].tobytes(), name)
    names = list(seen.values())
    if len(names) > EACH and _SPARED in names:
        names.remove(_SPARED)
    if len(names) != EACH:
        raise InputError(f"{EACH} different photographs of a person", len(names), "source")
    return {name: pictures[name] for name in names}


def cut(picture: Picture, eyes: NDArray[np.float64]) -> Picture:
    """Turn, scale and cut a photograph so that the eyes are at `EYES`, shape (112, 92).

    What lies outside the photograph repeats its edge.

    Args:
        picture: Grey levels, shape (height, width).
        eyes: x and y of the eyes, shape (2, 2).
    """
    (ax, ay), (bx, by) = eyes
    turn = (EYES[1, 0] - EYES[0, 0]) / complex(bx - ax, by - ay)  # as complex numbers: scale and angle
    matrix = np.array([[turn.real, -turn.imag, 0.0], [turn.imag, turn.real, 0.0]])
    matrix[:, 2] = EYES[0] - matrix[:, :2] @ eyes[0]
    # a photograph that gets smaller is blurred first: the warp looks at four pixels only
    blurred = cv2.GaussianBlur(picture, (0, 0), max(0.1, 0.5 * (1 / abs(turn) - 1)))
    cut_out = cv2.warpAffine(blurred, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut_out, dtype=np.uint8)


def prepare(source: Path, folder: Path, eyes: Callable[[Picture], NDArray[np.float64] | None]) -> list[list[Picture]]:
    """Write all faces; return them, ten for each person.

    Args:
        source: Folder with a folder for each person.
        folder: Where to.
        eyes: Finds x and y of the eyes, shape (2, 2), None where it finds none; where it does not, the person's usual
            place is taken.

    Raises:
        InputError: If a person has not ten different photographs, or no face is found in most of a person's.
    """
    people = sorted(path for path in source.iterdir() if path.is_dir())
    if len(people) < 2:
        raise InputError("a folder with a folder for each person", source, "source")
    album = []
    for number, person in enumerate(people, start=1):
        pictures = chosen({file.stem: _read(file) for file in sorted(person.glob("*.png"))})
        places = {name: eyes(picture) for name, picture in pictures.items()}
        found = [place for place in places.values() if place is not None]
        if len(found) < EACH / 2:
            raise InputError("a face in most photographs of a person", f"{len(found)} in {person}", "source")
        usual = np.median(found, axis=0)  # people sat still
        faces = [
            cut(picture, usual if (place := places[name]) is None else place) for name, picture in pictures.items()
        ]
        (folder / f"s{number}").mkdir(parents=True, exist_ok=True)
        for count, face in enumerate(faces, start=1):
            cv2.imwrite(str(folder / f"s{number}" / f"{count}.pgm"), face)
        album.append(faces)
    return album


def _read(file: Path) -> Picture:
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise InputError("a picture", file, "source")
    return np.asarray(picture, dtype=np.uint8)


def main() -> None:
    """Prepare the faces, and say what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of the Yale faces, a folder for each person")
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--montage", type=Path, default=None, help="picture of all faces, to look at")
    args = parser.parse_args()
    album = prepare(args.source, args.folder, Eyes())
    if args.montage is not None:
        cv2.imwrite(str(args.montage), np.vstack([np.hstack(faces) for faces in album]))
    print(f"{len(album)} people, {EACH} photographs each: {args.folder}")


if __name__ == "__main__":
    main()
