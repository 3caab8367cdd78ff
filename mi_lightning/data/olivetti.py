"""The Olivetti faces: 40 people, 10 grey photographs each, as scikit-learn distributes them."""

from __future__ import annotations

import os
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.data.photographs import PhotographDataModule
from mi_lightning.errors import InputError, MIError

_PEOPLE, _PHOTOGRAPHS, _SIZE = 40, 10, 64
_FILE = "olivetti_py3.pkz"  # scikit-learn's name for it


class Olivetti(PhotographDataModule):
    """Olivetti faces: 40 people x 10 grey photographs of 64 x 64 pixels, cut from the AT&T faces.

    Samples are (1, 64, 64) float32 in [0, 1]; scikit-learn has stretched the grey levels of the whole set so that the
    darkest pixel is 0 and the brightest 1. Seven photographs of each person are for training and three for testing.

    The photographs come from scikit-learn's own cache, or from the network (1.4 MB, once), with its fetcher.

    Args:
        data_home: Folder of the cache. If not given, scikit-learn's: the environment variable ``SCIKIT_LEARN_DATA``, or
            ``~/scikit_learn_data``.
        download: Whether the photographs may be downloaded where the cache has none.
        **photographs: ``test_per_person``, and the arguments of `PersonDataModule`.

    Raises:
        MIError: On first use, if the cache has no photographs and they cannot be downloaded, or it is damaged.
    """

    def __init__(self, data_home: str | None = None, download: bool = True, **photographs: Any) -> None:
        super().__init__(**photographs)
        self.data_home = data_home
        self.download = download

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, height, width)."""
        return (1, _SIZE, _SIZE)

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

    def photographs(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """All photographs and their labels."""
        return self._pictures, np.arange(_PEOPLE).repeat(_PHOTOGRAPHS)
