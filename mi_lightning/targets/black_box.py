"""Black box: the attacker asks, and gets confidences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mi_lightning.checkpoint import weights_digest
from mi_lightning.classifiers.base import Classifier
from mi_lightning.errors import InputError
from mi_lightning.nn.frozen import pack_linear_layers
from mi_lightning.targets.base import Target, TargetError, describe_classifier

_FLAG = "--model.target"


class Remote(Target):
    """A function of a batch, of which nothing but its answers is seen; base of the targets that only answer.

    The function is called without gradients. Whatever it raises is told as a
    :class:`~mi_lightning.targets.base.TargetError`, and so is an answer that cannot be one.

    Args:
        function: Takes inputs, shape (N, *input_shape), on the device of the attack. It must not keep them: the memory
            is used again for the next question. What it answers may lie on any device.
        input_shape: Shape of one input, without the batch.
        num_classes: Number of classes, C.
        class_names: Name of each class; ``"0"``, ``"1"``, ... if not given.
        input_range: Lowest and highest value of an input.

    Raises:
        InputError: If the arguments do not fit each other.
    """

    differentiable = False

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        *,
        input_shape: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Check the arguments; nothing is asked yet."""
        super().__init__()
        if not callable(function):
            raise InputError("a function of a batch", repr(function), f"{_FLAG}.init_args.function")
        if num_classes < 2:
            raise InputError("num_classes >= 2", num_classes, f"{_FLAG}.init_args.num_classes")
        if not input_shape or min(input_shape) < 1:
            raise InputError("input_shape of positive sizes", tuple(input_shape), f"{_FLAG}.init_args.input_shape")
        if not input_range[0] < input_range[1]:
            raise InputError("input_range (low, high) with low < high", input_range, f"{_FLAG}.init_args.input_range")
        if class_names is not None and len(class_names) != num_classes:
            raise InputError(f"{num_classes} class_names", len(class_names), f"{_FLAG}.init_args.class_names")
        self.function = function
        self.input_shape, self.num_classes = tuple(int(size) for size in input_shape), num_classes
        self.class_names = tuple(map(str, range(num_classes) if class_names is None else class_names))
        self.input_range = (float(input_range[0]), float(input_range[1]))
        self._description: dict[str, Any] = {}
        self._fingerprint: str | None = None

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: Lightning puts every module into training mode when it fits."""
        return super().train(False)

    @torch.no_grad()
    def answer(self, x: Tensor) -> Tensor:
        """Return what the function says, detached, on the device of ``x``.

        Raises:
            InputError: If ``x`` has another shape than the function takes.
            TargetError: If the function fails or returns no tensor.
        """
        if x.shape[1:] != self.input_shape:
            shape = ", ".join(map(str, self.input_shape))
            raise InputError(f"input of shape (N, {shape})", f"({', '.join(map(str, x.shape))})")
        try:
            said = self.function(x)
        except Exception as error:
            raise TargetError(
                f"the target failed at query {self.queries}: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        if not isinstance(said, Tensor):
            raise TargetError(f"expected a tensor from the target, got {type(said).__name__} ({_FLAG})")
        said = said.detach() if said.requires_grad else said
        return said if said.device == x.device else said.to(x.device)

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the weights behind the target, where it was made from a classifier."""
        return self._fingerprint

    def describe(self) -> dict[str, Any]:
        """Return what is known: the function's name, and the classifier's figures where it was made from one."""
        function: Any = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        return {
            "access": "black_box",
            "class": f"{function.__module__}.{function.__qualname__}",
            "checkpoint": "",
            "checkpoint_sha256": None,
            "defenses": [],
            "test_accuracy": None,
            "training": {},
            **self._description,
        }


class BlackBox(Remote):
    """Any function from a batch to confidences: a classifier, an estimator of scikit-learn, a client of an API.

    Every answer is checked: shape (N, C), no NaN, nothing negative, rows that sum to 1.

    Args:
        function: Takes inputs, shape (N, *input_shape), and returns confidences, shape (N, C). It must not keep the
            inputs: the memory is used again for the next question. :class:`NumpyFunction` adapts what works on arrays.
        input_shape: Shape of one input, without the batch.
        num_classes: Number of classes, C.
        class_names: Name of each class; ``"0"``, ``"1"``, ... if not given.
        input_range: Lowest and highest value of an input. No estimator asks outside it.
        tolerance: How far a row's sum may be from 1; 1e-3 lets answers of three decimals or half precision pass.

    Raises:
        InputError: If the arguments do not fit each other.

    Example:
        >>> target = BlackBox(lambda x: x.flatten(1).softmax(1), input_shape=(1, 1, 3), num_classes=3)
        >>> target.confidences(torch.zeros(2, 1, 1, 3)).shape, target.queries
        (torch.Size([2, 3]), 2)
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        *,
        input_shape: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        tolerance: float = 1e-3,
    ) -> None:
        """Check the arguments; nothing is asked yet."""
        super().__init__(
            function,
            input_shape=input_shape,
            num_classes=num_classes,
            class_names=class_names,
            input_range=input_range,
        )
        if tolerance < 0:
            raise InputError("tolerance >= 0", tolerance, f"{_FLAG}.init_args.tolerance")
        self.tolerance = tolerance

    @classmethod
    def of(cls, classifier: Classifier, *, checkpoint: str = "", checkpoint_sha256: str = "") -> Self:
        """Make the black box of a classifier: the attacker gets its softmax and nothing else.

        Args:
            classifier: Used as it is, not copied; put into evaluation mode, its weights frozen.
            checkpoint: File that it was loaded from, for the report.
            checkpoint_sha256: Digest of that file, for the report.
        """
        target = cls(
            _Softmax(classifier),
            input_shape=classifier.input_shape,
            num_classes=classifier.num_classes,
            class_names=classifier.class_names,
            input_range=classifier.input_range,
        )
        target._description = describe_classifier(classifier, checkpoint, checkpoint_sha256)
        target._fingerprint = weights_digest(classifier)
        return target

    def release(self, x: Tensor) -> Tensor:
        """Return what the function says, checked, in the precision of ``x``, shape (N, C).

        Raises:
            TargetError: If the function fails, or says what is no confidence.
        """
        said = self.answer(x)
        if tuple(said.shape) != (len(x), self.num_classes):
            raise TargetError(
                f"expected confidences of shape ({len(x)}, {self.num_classes}), got {tuple(said.shape)} ({_FLAG})"
            )
        said = said.to(x.dtype)
        # NaN spreads through least and greatest and fails every comparison; one look at the device at all three
        total = said.sum(1)
        least, low, high = torch.stack((said.amin(), *total.aminmax())).tolist()
        if not (least >= 0 and low >= 1 - self.tolerance and high <= 1 + self.tolerance):
            total = total.double()  # as the numbers that were compared
            good = (said >= 0).all(1) & (total >= 1 - self.tolerance) & (total <= 1 + self.tolerance)
            row = int((~good).nonzero()[0, 0])
            raise TargetError(f"expected {_what_is_wrong(said[row])} in row {row} of {len(x)} ({_FLAG})")
        return said


class NumpyFunction:
    """Adapt a function of arrays, such as ``predict_proba`` of scikit-learn, to tensors.

    Args:
        function: Takes an array of float32 and returns an array.
        flatten: Whether it takes rows of features, shape (N, D), rather than inputs, shape (N, *input_shape).

    Example:
        >>> def predict_proba(x):
        ...     return np.full((len(x), 4), 0.25)
        >>> NumpyFunction(predict_proba)(torch.zeros(2, 1, 8, 6)).shape
        torch.Size([2, 4])
    """

    def __init__(self, function: Callable[[NDArray[np.float32]], NDArray[Any]], *, flatten: bool = True) -> None:
        """Keep the function."""
        self.function, self.flatten = function, flatten
        # the report names the function, not its wrapping
        self.__module__ = str(getattr(function, "__module__", None) or type(self).__module__)
        self.__qualname__ = str(getattr(function, "__qualname__", type(self).__qualname__))

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the function says to inputs of shape (N, *input_shape)."""
        array = x.detach().cpu().float()
        return torch.from_numpy(np.asarray(self.function((array.flatten(1) if self.flatten else array).numpy())))


class _Softmax(nn.Module):
    """The confidences of a classifier."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier.requires_grad_(False).eval()
        pack_linear_layers(classifier)

    def forward(self, x: Tensor) -> Tensor:
        """Return the confidences, shape (N, C)."""
        confidences: Tensor = self.classifier(x).softmax(-1)
        return confidences


def _what_is_wrong(row: Tensor) -> str:
    """Say what keeps a row from being confidences, as the first half of an error."""
    if bool(row.isnan().any()):
        return "confidences, got NaN"
    if bool((row < 0).any()):
        return f"confidences >= 0, got {float(row.min()):.4g}"
    return f"confidences that sum to 1, got {float(row.sum()):.4g}"
