"""Any folder with a folder of photographs for each person."""

from __future__ import annotations

import contextlib
import copy
import os
import shutil
import tempfile
import warnings
import weakref
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import PIL
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mi_lightning.data.base import Batch, Part, PersonDataModule, SampleSet
from mi_lightning.data.cache import cache_folder, some
from mi_lightning.data.eyes import EyeFinder, cut_face, eye_finder
from mi_lightning.data.grouped import split_groups
from mi_lightning.data.people import Listed, natural, need_text
from mi_lightning.data.pictures import SUFFIXES, Picture, fitted, read_picture
from mi_lightning.data.store import Photograph, PhotographStore, StoredSet, store_key
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import nothing_is_written

_SHARE = 0.3  # of a person's photographs that are for testing, where nothing else is said
_PARTS: tuple[Part, ...] = ("train", "test")
_HALVES = {"train", "test", "val", "valid", "validation"}  # names of folders that are nobody's
_GIB = 2**30


class FaceFolder(PersonDataModule):
    """A folder with one folder of photographs for each person, of any names: JPEG, PNG, PGM, PPM, WebP or BMP.

    A sample is (channels, height, width) float32 in [0, 1]. Photographs are turned upright as their EXIF data say, and
    scaled until they cover the size, what is over being cut off; or faces are cut out of them (``crop``) with the eyes
    always at the same place. People may have different numbers of photographs. Files that are no pictures are left out
    and named.

    Photographs with the same pixels stay on one side of the split, and are named. They are decoded once, into a file
    that training batches are read from: a hundred thousand of them need no more memory than one batch. Judges ask for
    all of them as one tensor, which ``memory_gb`` bounds.

    Labels are in the order of the sorted names, as of torchvision's ``ImageFolder`` and scikit-learn's ``classes_``:
    s1, s10, s11, s2. A model that was trained in another order needs ``order`` or ``people``.

    Args:
        root: The folder; the environment variable ``MI_FACES`` if not given.
        size: Height and width of a sample, pixels.
        channels: 1 for grey levels, 3 for red, green and blue.
        crop: Cut out faces by ``dlib`` (extra ``judges``), or by the ONNX file of a YuNet network; whole pictures if
            not given.
        no_face: Where ``crop`` finds no face: take the ``whole`` picture, ``skip`` it, or stop with an ``error``.
        damaged: Files that cannot be read to their end: stop with an ``error``, or ``skip`` them; they are named.
        by_folder: Whether people's folders lie in folders ``train`` and ``test``, which divide them.
        test_fraction: Part of each person's photographs that is for testing, at least one; 0.3 if neither this nor
            ``test_per_person`` is given.
        test_per_person: Test photographs of each person, instead of a part.
        people: Names of the folders that are used, in the order of the labels; all if not given.
        order: Order of the labels: ``sorted`` names, or ``natural`` (s1, s2, s10), as `AttFaces` has it.
        memory_gb: Most that all training or all test photographs may take as one tensor, GiB.
        cache_dir: Folder for the decoded photographs; ``mi_lightning`` in the user's cache folder if not given.
        **samples: The arguments of `PersonDataModule`.

    Raises:
        InputError: If an argument is out of its range; on first use, if the folder or files in it cannot be used.
    """

    #: Environment variable that names the folder if no argument does.
    variable: ClassVar[str] = "MI_FACES"

    def __init__(
        self,
        root: str | None = None,
        *,
        size: tuple[int, int] = (112, 92),
        channels: Literal[1, 3] = 1,
        crop: str | None = None,
        no_face: Literal["whole", "skip", "error"] = "whole",
        damaged: Literal["error", "skip"] = "error",
        by_folder: bool = False,
        test_fraction: float | None = None,
        test_per_person: int | None = None,
        people: list[str] | None = None,
        order: Literal["sorted", "natural"] = "sorted",
        memory_gb: float = 4.0,
        cache_dir: str | None = None,
        **samples: Any,
    ) -> None:
        super().__init__(**samples)
        if len(size) != 2 or min(size) < 1:
            raise InputError("size [height, width] in pixels", list(size), "size")
        choices: dict[str, tuple[object, tuple[object, ...]]] = {
            "channels": (channels, (1, 3)),
            "no_face": (no_face, ("whole", "skip", "error")),
        }
        choices |= {"damaged": (damaged, ("error", "skip")), "order": (order, ("sorted", "natural"))}
        for name, (given, known) in choices.items():
            if given not in known:
                raise InputError(f"{name} {' or '.join(map(str, known))}", given, name)
        if test_fraction is not None and not 0 < test_fraction < 1:
            raise InputError("0 < test_fraction < 1", test_fraction, "test_fraction")
        if test_per_person is not None and test_per_person < 1:
            raise InputError("test_per_person >= 1", test_per_person, "test_per_person")
        given_splits = [test_fraction is not None, test_per_person is not None, by_folder]
        if sum(given_splits) > 1:
            raise InputError("one of test_fraction, test_per_person and by_folder", "several", "test_fraction")
        if not memory_gb > 0:
            raise InputError("memory_gb > 0", memory_gb, "memory_gb")
        if people is not None and (len(people) < 2 or len(set(people)) < len(people)):
            raise InputError("two different people or more", people, "people")
        root = root if root is not None else os.environ.get(self.variable)
        if root is None:
            expected = f"a folder with a folder of photographs for each person, or the variable {self.variable}"
            raise InputError(expected, "neither", "root")
        self.root, self.size, self.channels, self.crop = root, (int(size[0]), int(size[1])), int(channels), crop
        self.no_face, self.damaged, self.by_folder = no_face, damaged, by_folder
        self.test_fraction, self.test_per_person = test_fraction, test_per_person
        self.people, self.order, self.memory_gb, self.cache_dir = people, order, memory_gb, cache_dir
        self._held: tuple[Batch, Batch] | None = None

    # ------------------------------------------------------------------------------------------ known before setup

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        return (self.channels, *self.size)

    @property
    def input_range(self) -> tuple[float, float]:
        """Black is 0, full light is 1."""
        return (0.0, 1.0)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the folders."""
        return self._found[0]

    @cached_property
    def _found(self) -> tuple[tuple[str, ...], Listed]:
        """Who there is in the order of the labels, and what lies in their folders; nothing is read."""
        root = Path(self.root)
        if not root.is_dir():
            expected = "a folder with a folder of photographs for each person"
            raise InputError(expected, f"{root}, no folder", "root")
        places: dict[str | None, Path] = {part: root / part for part in _PARTS} if self.by_folder else {None: root}
        folders: dict[str | None, dict[str, Path]] = {}
        for part, place in places.items():
            if not place.is_dir():
                raise InputError("folders train and test", f"no folder {part} in {root}", "by_folder")
            folders[part] = {
                path.name: path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")
            }
        names = set().union(*folders.values())
        if not self.by_folder and names and names <= _HALVES:
            got = f"folders {', '.join(sorted(names))}: with by_folder true these divide the people"
            raise InputError("a folder for each person", got, "by_folder")
        loose = [path for path in root.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES]
        if len(names) < 2:
            beside = f" beside {len(loose)} pictures that are in nobody's" if loose else ""
            got = f"{some(sorted(names)) or 'none'} in {root}{beside}"
            raise InputError("folders of two people or more", got, "root")
        for part, there in folders.items():
            if missing := sorted(set(self.people or names) - there.keys()):
                where = "" if part is None else f" in {part}"
                raise InputError(f"a folder of each person{where} in {root}", f"none of {some(missing)}", "people")
        chosen = tuple(self.people or sorted(names, key=natural if self.order == "natural" else str))
        need_text(chosen, root)
        listed = Listed(skipped=[path.name for path in loose])
        listed.lost += [path.name for path in root.iterdir() if path.is_symlink() and not path.exists()]
        for name in chosen:
            for part, there in folders.items():
                listed.add(name, there[name], root, part)
        return chosen, listed

    # ------------------------------------------------------------------------------------------ decoding

    def prepare_data(self) -> None:
        """Decode the photographs, in one process of a machine."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Decode the photographs, or open what an earlier run decoded, and divide them; the first time only."""
        if self._ready:
            return
        names, listed = self._found
        photographs = listed.photographs
        self._need(Counter(each.person for each in photographs))
        self._store = self._open(photographs)
        if self.damaged == "error" and self._store.damaged:
            expected = f"{len(photographs)} photographs in {self.root} that can be used, or damaged skip"
            raise InputError(expected, f"damaged: {some(self._store.damaged)}", "damaged")
        faceless = [each.name for each in self._store.photographs if each.note]
        if self.no_face == "error" and faceless:
            raise InputError(
                "a face in every photograph, or no_face whole or skip", f"none in {some(faceless)}", "crop"
            )
        label = {name: index for index, name in enumerate(names)}
        y = torch.tensor([label[each.person] for each in self._store.photographs], dtype=torch.int64)
        self._divide(y)
        notes = {
            "files are hidden or no pictures, and left out": listed.skipped,
            "links lead to no file (those to folders are not followed), and are left out": listed.lost,
            "files are damaged, and left out": self._store.damaged,
            "photographs show no face that was found, and are left out": self._store.faceless,
            "photographs show no face that was found, and are taken whole": faceless,
            **self._same(),
        }
        if told := [f"{len(named)} {what}: {some(named)}" for what, named in notes.items() if named]:
            warnings.warn(f"{self.root}: {'; '.join(told)}", stacklevel=2)
        self._left_out = {"no_picture": len(listed.skipped) + len(listed.lost), "damaged": len(self._store.damaged)}
        self._left_out |= {"no_face": len(self._store.faceless), "no_face_taken_whole": len(faceless)}
        self._ready = True

    def _open(self, photographs: Sequence[Photograph]) -> PhotographStore:
        """Open the decoded photographs, decoding them first if no earlier run has, or if what it left is damaged."""
        finder = None if self.crop is None else eye_finder(self.crop)
        settings = [self.size, self.channels, None if finder is None else (finder.describe(), self.no_face)]
        folder = cache_folder(self.cache_dir) / store_key(photographs, [*settings, PIL.__version__])
        with contextlib.suppress(OSError, ValueError):  # not there yet, or damaged: it is made anew
            return PhotographStore.open(folder, self.input_shape)
        with contextlib.ExitStack() as stack:
            if nothing_is_written():
                passing = tempfile.mkdtemp(prefix="mi-lightning-")
                stack.callback(shutil.rmtree, passing, ignore_errors=True)
                folder = Path(passing) / folder.name
            try:
                store = PhotographStore.decode(folder, self.input_shape, photographs, lambda it: self._read(it, finder))
            except MIError as error:
                raise InputError("a folder for decoded photographs", str(error), "cache_dir") from error
            weakref.finalize(store, stack.pop_all().close)  # of a dry run, photographs go when nobody reads them
        return store

    def _read(self, path: Path, finder: EyeFinder | None) -> tuple[Picture | None, str]:
        """Read a photograph and make a sample of it; None where it is to be left out."""
        picture = read_picture(path, self.channels)
        eyes = None if finder is None else finder(picture)
        if eyes is not None:
            return cut_face(picture, eyes, self.size), ""
        if finder is not None and self.no_face == "skip":
            return None, ""
        return fitted(picture, self.size), "" if finder is None else "no face"

    def _need(self, counts: Counter[str], what: str = "photographs") -> None:
        """Refuse people of whom there are too few."""
        least = 1 if self.by_folder else 1 + (self.test_per_person or 1)
        names, listed = self._found
        if few := [name for name in names if counts[name] < least]:
            foreign = next((listed.foreign[name] for name in few if name in listed.foreign), None)
            hint = "" if foreign is None else f"; {foreign} is of a kind that is not read: convert it to PNG or JPEG"
            expected = f"{least} {what} or more of each person in {self.root}, to train and to test"
            raise InputError(expected, some([f"{counts[name]} of {name}" for name in few]) + hint, "root")

    def _divide(self, y: Tensor) -> None:
        """Decide which photographs train and which test.

        Raises:
            InputError: If somebody has too few.
        """
        rows = self._store.photographs
        if self.by_folder:
            for part in _PARTS:
                self._need(Counter(each.person for each in rows if each.part == part), f"photographs in {part}")
            parts = [torch.tensor([each.part == part for each in rows]).nonzero()[:, 0] for part in _PARTS]
            train, test = parts
        else:
            self._need(Counter(each.person for each in rows))
            different = {(each.person, each.sha256) for each in rows}
            self._need(Counter(person for person, _ in different), "different photographs")
            if self.split not in ("random", "first"):
                raise InputError("split random or first", self.split, "split")
            train, test = split_groups(
                y,
                [each.sha256 for each in rows],
                self.split,
                self.split_seed,
                count=self.test_per_person,
                share=self.test_fraction or _SHARE,
            )
        self._index: dict[Part, Tensor] = {"train": train, "test": test}
        self._labels = y

    def _same(self) -> dict[str, list[str]]:
        """Name photographs with the same pixels, by what that means."""
        test = set(self._index["test"].tolist())
        sets: dict[str, list[int]] = {}
        for place, each in enumerate(self._store.photographs):
            sets.setdefault(each.sha256, []).append(place)
        told: dict[str, list[str]] = {}
        for group in sets.values():
            if len(group) < 2:
                continue
            if len({self._store.photographs[place].person for place in group}) > 1:
                what = "sets of photographs of different people have the same pixels"
            elif len({place in test for place in group}) > 1:
                what = "sets of photographs have the same pixels in train and in test"
            else:
                what = "sets of photographs have the same pixels, and stay on one side of the split"
            told.setdefault(what, []).append(" = ".join(self._store.photographs[place].name for place in group))
        return told

    # ------------------------------------------------------------------------------------------ samples

    def samples(self, part: Part) -> Dataset[Batch]:
        """Give the training or the test photographs as a data set: a batch is read when it is asked for."""
        self.setup()
        if self._held is not None:
            return SampleSet(*self._held[_PARTS.index(part)])
        index = self._index[part]
        return StoredSet(self._store, index, self._labels[index])

    def with_samples(self, train: Batch, test: Batch) -> Self:
        """Copy the data with other samples, which lie in memory."""
        self.setup()
        other = copy.copy(self)
        other._held = (train, test)
        return other

    def load(self) -> tuple[Batch, Batch]:
        """Give all samples, to train and to test."""
        return (self.train_x, self.train_y), (self.test_x, self.test_y)

    def check_size(self) -> None:
        """See that all photographs of a part can be asked for as one tensor: see ``memory_gb``."""
        self.setup()
        for part in _PARTS:
            self._check_size(part)

    def _check_size(self, part: Part) -> None:
        count = len(self._index[part])
        size = 4 * count * self.channels * self.size[0] * self.size[1] / _GIB
        if self._held is None and size > self.memory_gb:
            expected = (
                f"at most {self.memory_gb:g} GiB of photographs at once, as judges ask for them: fewer people or a "
                "smaller size, or a larger memory_gb"
            )
            raise InputError(expected, f"{size:.1f} GiB for {count}", "memory_gb")

    def _x(self, part: Part) -> Tensor:
        """Read all photographs of a part as one tensor."""
        self.setup()
        if self._held is not None:
            return self._held[_PARTS.index(part)][0]
        self._check_size(part)
        return self._store.read(self._index[part])

    def _y(self, part: Part) -> Tensor:
        self.setup()
        return self._labels[self._index[part]] if self._held is None else self._held[_PARTS.index(part)][1]

    # made on demand: not everything need fit into memory
    @property
    def train_x(self) -> Tensor:  # type: ignore[override]
        """All training photographs, (N, channels, height, width)."""
        return self._x("train")

    @property
    def train_y(self) -> Tensor:  # type: ignore[override]
        """Labels of ``train_x``, (N,)."""
        return self._y("train")

    @property
    def test_x(self) -> Tensor:  # type: ignore[override]
        """All test photographs, as ``train_x``."""
        return self._x("test")

    @property
    def test_y(self) -> Tensor:  # type: ignore[override]
        """Labels of ``test_x``, (N,)."""
        return self._y("test")

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values; the digest is over all pixels and who is on them."""
        said = super().describe()
        return said | {
            "root": self.root,
            "split": "folders" if self.by_folder else self.split,
            "test_fraction": None if self.by_folder or self.test_per_person else self.test_fraction or _SHARE,
            "test_per_person": self.test_per_person,
            "size": list(self.size),
            "channels": self.channels,
            "crop": None if self.crop is None else "dlib" if self.crop == "dlib" else Path(self.crop).name,
            "no_face": self.no_face,
            "order": "people" if self.people is not None else self.order,
            "left_out": self._left_out,
            "sha256": self._store.sha256,
        }
