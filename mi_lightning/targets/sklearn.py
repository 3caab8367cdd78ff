"""A target of scikit-learn: an estimator with ``predict_proba``, or one that only says a label."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.checkpoint import file_digest
from mi_lightning.errors import InputError, MIError
from mi_lightning.extras import load_skops
from mi_lightning.io import one_line
from mi_lightning.targets.answers import certainties_of, checked_tolerance, confidences_of
from mi_lightning.targets.black_box import Remote
from mi_lightning.targets.preprocessing import Preprocessing
from mi_lightning.targets.white_box import path_of

_CONVERT = "which can run any code when read: load it where you trust it, and save it by skops.io.dump(estimator, path)"


class SklearnModel(Remote):
    """An estimator of scikit-learn, or anything that has its methods, such as a pipeline or a grid search.

    It gets rows of features, shape (N, D): the inputs, flattened. What its ``classes_`` say is taken for what it is:
    names are people by their names, whole numbers are indices into the people of the data; the columns of its answers
    are put into that order, and a class that it never saw has confidence 0.

    Args:
        estimator: A fitted estimator; or a file that ``skops.io.dump`` wrote (``pip install mi-lightning[skops]``).
            Pickles and files of joblib are refused, for they run code when they are read.
        trusted: Types in that file beside those of scikit-learn and numpy that may be made, such as
            ``mynet.Scaler``; what is missing is named.
        label_only: Whether the attacker gets the label alone, by ``predict``.
        input_shape: Shape of one input, without the batch; (D,) if None and the estimator knows its D.
        num_classes: Number of classes, C; as many as ``classes_`` has if None.
        class_names: Name of each class, in the order of the labels, which is that of the data; ``classes_`` if None.
        input_range: Lowest and highest value of an input.
        preprocessing: Applied to the inputs before they are flattened.
        tolerance: How far the sum of a row of probabilities may be from 1.
        max_batch: Inputs that are asked at a time; larger questions are split. Any number if None.
        price_per_query: What one input costs, in any currency, for the report; None where nothing is charged.

    Raises:
        InputError: If the estimator is not fitted or lacks a method, or its classes are not those that were given.
        MIError: If the file cannot be read.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        trusted: Sequence[str] = (),
        label_only: bool = False,
        input_shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        preprocessing: Preprocessing | Callable[[Tensor], Any] | None = None,
        tolerance: float = 1e-3,
        max_batch: int | None = None,
        price_per_query: float | None = None,
    ) -> None:
        """Read the file, if it is one, and find out whose column is whose."""
        file = str(estimator) if isinstance(estimator, str | Path) else ""
        self.file, self.file_sha256 = file, file_digest(file) if file and Path(file).is_file() else None
        made = _read(file, trusted) if file else estimator
        method = "predict" if label_only else "predict_proba"
        if not callable(getattr(made, method, None)):
            other = "" if label_only else ", or label_only, or one wrapped in CalibratedClassifierCV"
            raise InputError(f"an estimator with {method}{other}", type(made).__name__, "estimator")
        classes, names = _classes(made, num_classes, class_names)
        features = getattr(made, "n_features_in_", None)
        if input_shape is None:
            if not isinstance(features, int) or preprocessing is not None:
                raise InputError("the shape of one input", "none", "input_shape")
            input_shape = [features]
        super().__init__(
            self._ask,
            input_shape=input_shape,
            num_classes=len(names),
            class_names=names,
            input_range=input_range,
            preprocessing=preprocessing,
            max_batch=max_batch,
            price_per_query=price_per_query,
        )
        self.names_given = class_names is not None or isinstance(made.classes_[0], str)
        self.estimator, self.label_only, self.tolerance = made, label_only, checked_tolerance(tolerance)
        self._method: Callable[..., Any] = getattr(made, method)
        #: class index of each entry of ``classes_``
        self._index, self._classes = classes, np.asarray(made.classes_)
        self._in_order = classes.tolist() == list(range(len(names)))
        if isinstance(features, int):
            x = torch.zeros(1, *self.input_shape)
            given = (x if self.preprocessing is None else self.preprocessing(x))[0].numel()
            if given != features:
                raise InputError(f"inputs of {features} numbers, as the estimator was fitted on", given, "input_shape")

    def release(self, x: Tensor) -> Tensor:
        """Return what the estimator says, checked, in the order of the labels and the precision of ``x``, (N, C).

        Raises:
            TargetError: If the estimator fails, or says what is no answer.
        """
        said = self.answer(x)
        if self.label_only:
            return certainties_of(said, x, self.num_classes)
        return confidences_of(said, x, self.num_classes, self.tolerance)

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the file, None of an estimator that was given as it is."""
        return self.file_sha256

    def describe(self) -> dict[str, Any]:
        """Return the estimator's class, its file and what it is asked for."""
        return super().describe() | {
            "class": path_of(type(self.estimator)),
            "checkpoint": self.file,
            "checkpoint_sha256": self.file_sha256,
            "answers": "labels" if self.label_only else "probabilities",
        }

    def _ask(self, given: Tensor) -> Tensor:
        """Return confidences (n, C), or class indices (n,), in the order of the labels."""
        array = given.detach().cpu().flatten(1).numpy()
        with warnings.catch_warnings():
            # an estimator that was fitted on a table asks for names of columns
            warnings.filterwarnings("ignore", message=r"X does not have valid feature names")
            said = np.asarray(self._method(array))
        if self.label_only:
            return torch.from_numpy(self._indices(said))
        if self._in_order or said.ndim != 2 or said.shape[1] != len(self._index):
            return torch.from_numpy(said)  # what is wrong with it is told by the check
        ordered = np.zeros((len(said), self.num_classes), said.dtype)
        ordered[:, self._index] = said
        return torch.from_numpy(ordered)

    def _indices(self, said: NDArray[Any]) -> NDArray[np.int64]:
        """Class index of each label that the estimator said, shape (n,)."""
        order = np.argsort(self._classes)
        place = np.searchsorted(self._classes, said, sorter=order).clip(0, len(order) - 1)
        found = order[place]
        unknown = self._classes[found] != said
        if unknown.any():
            raise MIError(f"expected labels of classes_, got {said[unknown].flat[0]!r}")
        index: NDArray[np.int64] = self._index[found]
        return index


def _read(file: str, trusted: Sequence[str]) -> Any:
    """Read an estimator from a file that runs no code.

    Raises:
        InputError: If there is no such file, it is a pickle, or holds types that are not trusted.
        MIError: If skops is not installed, or cannot read it.
    """
    if not Path(file).is_file():
        raise InputError("a file of an estimator", f"none at {file}", "estimator")
    with Path(file).open("rb") as opened:
        start = opened.read(4)
    if start != b"PK\x03\x04":  # skops writes zip files; pickles, compressed or not, begin in many ways
        raise InputError("a file that skops wrote", f"{file}, a pickle or something else {_CONVERT}", "estimator")
    skops = load_skops()
    try:
        unknown = sorted(set(skops.get_untrusted_types(file=file)) - set(trusted))
    except Exception as error:
        raise MIError(f"{file} is no file that skops can read: {one_line(error)}") from error
    if unknown:
        expected = "types that are trusted by name, once you know what they do"
        raise InputError(expected, f"{', '.join(unknown)} in {file}", "trusted")
    try:
        return skops.load(file, trusted=list(trusted))
    except Exception as error:
        raise MIError(f"{file} cannot be read by skops: {one_line(error)}") from error


def _classes(
    estimator: Any, num_classes: int | None, class_names: Sequence[str] | None
) -> tuple[NDArray[np.int64], list[str]]:
    """Find out which class each entry of ``classes_`` is.

    Returns:
        Class index of each entry, and the name of each class.

    Raises:
        InputError: If that cannot be told, or is not what was given.
    """
    said = getattr(estimator, "classes_", None)
    if said is None:
        raise InputError("a fitted classifier, which has classes_", type(estimator).__name__, "estimator")
    known = None if isinstance(said, list) else np.asarray(said)
    if known is None or known.ndim != 1:
        raise InputError("one label for each input", f"{type(estimator).__name__}, which gives several", "estimator")
    entries = known.tolist()
    wanted = None if class_names is None else list(class_names)
    if wanted is not None and len(set(wanted)) < len(wanted):
        raise InputError("names that differ", "the same name twice", "class_names")
    if all(isinstance(entry, str) for entry in entries):
        names = entries if wanted is None else wanted
        missing = [entry for entry in entries if entry not in names]
        if missing:
            raise InputError(f"names of all classes_, {', '.join(missing[:3])} among them", names[:3], "class_names")
        index = [names.index(entry) for entry in entries]
    elif all(isinstance(entry, int | float) and float(entry).is_integer() and entry >= 0 for entry in entries):
        index = [int(entry) for entry in entries]
        count = num_classes or (len(wanted) if wanted is not None else max(index) + 1)
        if max(index) >= count or (num_classes is None and wanted is None and min(index) == 1):
            expected = (
                f"classes_ that are indices from 0 to {max(count, len(index)) - 1}, or class_names and an estimator "
                "fitted on names"
            )
            raise InputError(expected, f"{min(index)} to {max(index)}, which may be counted from 1", "num_classes")
        names = [str(number) for number in range(count)] if wanted is None else wanted
    else:
        raise InputError("classes_ that are names, or indices of people", entries[:3], "estimator")
    if num_classes not in (None, len(names)):
        raise InputError(f"num_classes {len(names)}, as the names say", num_classes, "num_classes")
    return np.asarray(index, dtype=np.int64), names
