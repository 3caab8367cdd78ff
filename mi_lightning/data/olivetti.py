"""The Olivetti faces: 40 people, 10 grey photographs each, as scikit-learn distributes them."""

from __future__ import annotations

import hashlib
import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.data.base import Batch, PersonDataModule, Split, split_per_person
from mi_lightning.errors import InputError, MIError

_PEOPLE, _PHOTOGRAPHS, _SIZE = 40, 10, 64
_FILE = "olivetti_py3.pkz"  # scikit-learn's name for it


class Olivetti(PersonDataModule):
    """Olivetti faces: 40 people x 10 grey photographs of 64 x 64 pixels, cut from the AT&T faces.

    Samples are (1, 64, 64) float32 in [0, 1]; scikit-learn has stretched the grey levels of the whole set so that the
    darkest pixel is 0 and the brightest 1. Seven photographs of each person are for training and three for testing.

    The photographs come from scikit-learn's own cache, or from the network (1.4 MB, once), with its fetcher.

    Args:
        data_home: Folder of the cache. If not given, scikit-learn's: the environment variable ``SCIKIT_LEARN_DATA``, or
            ``~/scikit_learn_data``.
        download: Whether the photographs may be downloaded where the cache has none.
        split: ``"random"``: drawn per person from ``split_seed``; ``"first"``: the first train, the last test.
        split_seed: Seed of the random split.
        test_per_person: Test photographs of each person.
        batch_size: Photographs in a training batch.
        order_seed: Seed of the order of the training batches; ``split_seed`` if not given.

    Raises:
        MIError: On first use, if the cache has no photographs and they cannot be downloaded, or it is damaged.
    """

    def __init__(
        self,
        data_home: str | None = None,
        download: bool = True,
        split: Split = "random",
        split_seed: int = 0,
        test_per_person: int = 3,
        batch_size: int = 10,
        order_seed: int | None = None,
    ) -> None:
        super().__init__(split=split, split_seed=split_seed, batch_size=batch_size, order_seed=order_seed)
        self.data_home = data_home
        self.download = download
        self.test_per_person = test_per_person

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, height, width)."""
        return (1, _SIZE, _SIZE)

    @property
    def input_range(self) -> tuple[float, float]:
        """Black is 0, white is 1."""
        return (0.0, 1.0)

    @property
    def class_names(self) -> tuple[str, ...]:
        """``s1`` to ``s40``: the data have no names, only subjects in an order."""
        return tuple(f"s{person}" for person in range(1, _PEOPLE + 1))

    @property
    def _folder(self) -> Path:
        """Folder of the cache."""
        home = self.data_home or os.environ.get("SCIKIT_LEARN_DATA") or Path.home() / "scikit_learn_data"
        return Path(home).expanduser()

    def prepare_data(self) -> None:
        """Fill the cache, in one process."""
        _ = self._pictures

    @cached_property
    def _pictures(self) -> NDArray[np.float32]:
        """All photographs, (400, 64, 64), ten of each person side by side."""
        from sklearn.datasets import fetch_olivetti_faces  # a second that a help text need not wait for

        folder = self._folder
        file = folder / _FILE
        expected = f"the Olivetti faces in {folder} (copy {_FILE} there from a machine that has it)"
        if not self.download and not file.is_file():  # before the fetcher makes the folder
            raise InputError(expected, "none, and download is false", "data_home")
        cached = file.is_file()
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Retry downloading")  # what follows says it once
                pictures: NDArray[np.float32] = fetch_olivetti_faces(
                    data_home=str(folder), download_if_missing=self.download, n_retries=1
                ).images
        except PermissionError as error:
            got = f"{error.filename or folder}: {error.strerror}"
            raise InputError("a folder that can be used", got, "data_home") from error
        except Exception as error:  # a damaged pickle, like a broken connection, fails in any way there is
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            if cached:
                raise MIError(f"{file} is damaged ({reason}): delete it, and it is downloaded again") from error
            raise InputError(expected, f"none, and no download: {reason}", "data_home") from error
        return pictures

    def load(self) -> tuple[Batch, Batch]:
        """Split the photographs per person."""
        pictures = torch.from_numpy(np.ascontiguousarray(self._pictures))[:, None]
        y = torch.arange(_PEOPLE).repeat_interleave(_PHOTOGRAPHS)
        train, test = split_per_person(y, self.test_per_person, self.split, self.split_seed)

        def pair(index: Tensor) -> Batch:
            return pictures[index], y[index]

        return pair(train), pair(test)

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values; the digest is over all grey levels."""
        return super().describe() | {
            "test_per_person": self.test_per_person,
            "sha256": hashlib.sha256(np.ascontiguousarray(self._pictures).tobytes()).hexdigest(),
        }
