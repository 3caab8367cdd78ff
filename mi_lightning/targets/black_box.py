"""Black box: the attacker asks, and gets confidences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mi_lightning.classifiers.base import Facts, check_inputs
from mi_lightning.errors import InputError
from mi_lightning.memory import is_out_of_memory
from mi_lightning.nn.frozen import frozen_copy
from mi_lightning.targets.base import Target, TargetError, renormalise
from mi_lightning.targets.outputs import what_is_wrong
from mi_lightning.targets.white_box import WhiteBox

_EXACT = 1e-5  # sums that are this close to 1 differ by floating point alone
_MOST_DECIMALS = 5  # beyond, float32 cannot tell a number of few decimals from any other


class Remote(Target):
    """A function of a batch, of which nothing but its answers is seen; base of the targets that only answer.

    The function is called without gradients. Whatever it raises is told as a
    :class:`~mi_lightning.targets.base.TargetError`, and so is an answer that cannot be one.

    Args:
        function: Takes inputs, shape (N, *input_shape), on the device of the attack. It may change or keep them: their
            memory is its own. What it answers may lie on any device. A module is copied, and asked in evaluation mode.
        input_shape: Shape of one input, without the batch.
        num_classes: Number of classes, C.
        class_names: Name of each class; ``"0"``, ``"1"``, ... if not given.
        input_range: Lowest and highest value of an input. No estimator asks outside it.
        max_batch: Inputs that the function takes at a time; larger questions are split. Any number if None.

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
        max_batch: int | None = None,
    ) -> None:
        """Check the arguments; nothing is asked yet."""
        super().__init__(max_batch=max_batch)
        if not callable(function):
            raise InputError("a function of a batch", repr(function), "function")
        self.take_facts(
            Facts.checked(
                input_shape=input_shape, num_classes=num_classes, class_names=class_names, input_range=input_range
            ),
            names_given=class_names is not None,
        )
        self.function = frozen_copy(function) if isinstance(function, nn.Module) else function
        self._hidden: WhiteBox | None = None  # what answers, where it is known

    @torch.no_grad()
    def answer(self, x: Tensor) -> Tensor:
        """Return what the function says, detached, on the device of ``x``.

        Raises:
            InputError: If ``x`` has another shape than the function takes.
            TargetError: If the function fails or returns no tensor.
        """
        check_inputs(x, self.input_shape)
        return self.in_batches(self._call, x)

    def _call(self, x: Tensor) -> Tensor:
        """Return what the function says to one batch."""
        try:
            said = self.function(x.clone() if self._hidden is None else x)
        except Exception as error:
            if self._hidden is not None and is_out_of_memory(error):
                raise  # of this process, which asks about fewer inputs at a time
            raise TargetError(
                f"the target failed at query {self.queries}: {type(error).__name__}: {' '.join(str(error).split())}"
            ) from error
        if not isinstance(said, Tensor):
            raise TargetError(f"expected a tensor from the target, got {type(said).__name__}")
        said = said.detach() if said.requires_grad else said
        return said if said.device == x.device else said.to(x.device)

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the weights behind the target, where it was made from a classifier."""
        return None if self._hidden is None else self._hidden.fingerprint()

    def describe(self) -> dict[str, Any]:
        """Return what is known: the function's name, and the classifier's figures where it was made from one."""
        if self._hidden is not None:
            return {**self._hidden.describe(), "access": "black_box"}
        function: Any = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        return {
            "access": "black_box",
            "class": f"{function.__module__}.{function.__qualname__}",
            "checkpoint": "",
            "checkpoint_sha256": None,
            "defenses": [],
            "test_accuracy": None,
            "training": {},
        }


class BlackBox(Remote):
    """Any function from a batch to confidences: a classifier, an estimator of scikit-learn, a client of an API.

    Every answer is checked: shape (N, C), no NaN, nothing negative, rows that sum to 1. Answers that were rounded to a
    few decimals, d of them for all inputs of a batch, sum to 1 as well as rounding lets them: each number may be up to
    0.5 * 10^-d off, so the sum of 40 numbers of three decimals up to 0.02. What is released sums to 1: rows that are
    off by more than floating point explains are divided by their sum.

    Args:
        function: Takes inputs, shape (N, *input_shape), and returns confidences, shape (N, C). It may change or keep
            the inputs: their memory is its own. A module is copied, and asked in evaluation mode.
            :class:`NumpyFunction` adapts what works on arrays.
        tolerance: How far the sum of a row that is not rounded may be from 1; 1e-3 lets half precision pass.
        **facts: The other arguments of `Remote`: shape and range of the inputs, classes, and ``max_batch``.

    Raises:
        InputError: If the arguments do not fit each other.

    Example:
        >>> target = BlackBox(lambda x: x.flatten(1).softmax(1), input_shape=(1, 1, 3), num_classes=3)
        >>> target.confidences(torch.zeros(2, 1, 1, 3)).shape, target.queries
        (torch.Size([2, 3]), 2)
    """

    def __init__(self, function: Callable[[Tensor], Tensor], *, tolerance: float = 1e-3, **facts: Any) -> None:
        """Check the arguments; nothing is asked yet."""
        super().__init__(function, **facts)
        if tolerance < 0:
            raise InputError("tolerance >= 0", tolerance, "tolerance")
        self.tolerance = tolerance

    @classmethod
    def of(cls, classifier: nn.Module, **settings: Any) -> Self:
        """Make the black box of a classifier: the attacker gets its confidences and nothing else.

        Args:
            classifier: Any module; copied, never changed. Or a white box, of which the answers alone are seen.
            settings: Those of :class:`~mi_lightning.targets.WhiteBox`; a ``Classifier`` needs none.
        """
        hidden = classifier if isinstance(classifier, WhiteBox) else WhiteBox(classifier, **settings)
        target = cls(hidden.release, input_shape=hidden.input_shape, num_classes=hidden.num_classes)
        target.look_like(hidden)
        target.differentiable, target._hidden = False, hidden
        return target

    def release(self, x: Tensor) -> Tensor:
        """Return what the function says, checked, in the precision of ``x``, shape (N, C).

        Raises:
            TargetError: If the function fails, or says what is no confidence.
        """
        said = self.answer(x)
        if tuple(said.shape) != (len(x), self.num_classes):
            raise TargetError(f"expected confidences of shape ({len(x)}, {self.num_classes}), got {tuple(said.shape)}")
        precise = said if said.dtype in (torch.float32, torch.float64) else said.float()
        # NaN spreads through least and greatest and fails every comparison; one look at the device at all three
        total = precise.sum(1)
        least, low, high = torch.stack((precise.amin(), *total.aminmax())).tolist()
        if not (least >= 0 and low >= 1 - self.tolerance and high <= 1 + self.tolerance):
            good = self._good_rows(precise.double())
            if not bool(good.all()):
                row = int((~good).nonzero()[0, 0])
                raise TargetError(f"expected {what_is_wrong(precise[row])} in row {row} of {len(x)}")
        if low < 1 - _EXACT or high > 1 + _EXACT:
            off = ((total - 1).abs() > _EXACT)[:, None]  # the others stay as they are, to the bit
            precise = torch.where(off, renormalise(precise), precise)
        return precise.to(x.dtype)

    def _good_rows(self, said: Tensor) -> Tensor:
        """Which rows, shape (N, C), are confidences but for what tolerance and rounding allow, shape (N,)."""
        slack = _rounding_error(said)
        # the true confidences lie within the rounding error of what is seen, and are not negative
        low, high = (said - slack).clamp_min(0).sum(1), said.sum(1) + slack * self.num_classes
        close = (said.sum(1) - 1).abs() <= self.tolerance
        # NaN and infinity fail both comparisons
        return (said >= 0).all(1) & (close | ((low <= 1) & (high >= 1)))


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


def _rounding_error(said: Tensor) -> float:
    """Return half a unit of the last decimal of answers that all have few of them, 0 if they have not.

    Answers of zeros and ones alone have no decimals that could be seen: those of labels, or of nothing.
    """
    if not bool(said.isfinite().all()):
        return 0.0
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = said * 10**decimals
        if bool(((scaled - scaled.round()).abs() < 0.01).all()):  # float32 is off by 6e-8 * 10^5 at most
            return 0.5 * 10.0**-decimals if decimals else 0.0
    return 0.0
