"""Lay the Yale faces out as a folder that `AttFaces` reads: other people for settings that were chosen on AT&T's.

`FaceFolder` reads them as they are; the benchmarks want AT&T's layout, and ten photographs of each of the 15 people,
cut to 112 x 92 so that the eyes are where AT&T's are. Of two photographs with the same pixels one is left out (nine
people have such a pair), and of the others `noglasses`, so that everybody has ten.

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

from mi_lightning.data.eyes import DlibEyes, Eyes, cut_face
from mi_lightning.data.pictures import Picture, read_picture
from mi_lightning.errors import InputError

SIZE = (112, 92)  # height and width
EACH = 10  # photographs of a person
_SPARED = "noglasses"  # left out where no two photographs are the same: it is most often one of a pair


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


def prepare(source: Path, folder: Path, eyes: Callable[[Picture], Eyes | None]) -> list[list[Picture]]:
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
        pictures = chosen({file.stem: read_picture(file, 1) for file in sorted(person.glob("*.png"))})
        places = {name: eyes(picture) for name, picture in pictures.items()}
        found = [place for place in places.values() if place is not None]
        if len(found) < EACH / 2:
            raise InputError("a face in most photographs of a person", f"{len(found)} in {person}", "source")
        usual = np.median(found, axis=0)  # people sat still
        faces = [
            cut_face(picture, usual if (place := places[name]) is None else place, SIZE)
            for name, picture in pictures.items()
        ]
        (folder / f"s{number}").mkdir(parents=True, exist_ok=True)
        for count, face in enumerate(faces, start=1):
            cv2.imwrite(str(folder / f"s{number}" / f"{count}.pgm"), face)
        album.append(faces)
    return album


def main() -> None:
    """Prepare the faces, and say what there is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of the Yale faces, a folder for each person")
    parser.add_argument("folder", type=Path, help="where to")
    parser.add_argument("--montage", type=Path, default=None, help="picture of all faces, to look at")
    args = parser.parse_args()
    album = prepare(args.source, args.folder, DlibEyes())
    if args.montage is not None:
        cv2.imwrite(str(args.montage), np.vstack([np.hstack(faces) for faces in album]))
    print(f"{len(album)} people, {EACH} photographs each: {args.folder}")


if __name__ == "__main__":
    main()
