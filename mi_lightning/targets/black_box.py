"""Black box: the attacker asks, and gets confidences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from mi_lightning.classifiers.base import Facts, check_inputs
from mi_lightning.errors import InputError, MIError
from mi_lightning.memory import is_out_of_memory
from mi_lightning.nn.frozen import frozen_copy
from mi_lightning.targets.answers import checked_tolerance, confidences_of
from mi_lightning.targets.base import Target, TargetError
from mi_lightning.targets.preprocessing import Preprocessing
from mi_lightning.targets.white_box import WhiteBox, path_of, preprocessing_of


class Remote(Target):
    """A function of a batch, of which nothing but its answers is seen; base of the targets that only answer.

    The function is called without gradients. Whatever it raises is told as a
    :class:`~mi_lightning.targets.base.TargetError`, and so is an answer that cannot be one.

    Args:
        function: Takes inputs, shape (N, *input_shape), on the device of the attack. It may change or keep them: their
            memory is its own. What it answers may lie on any device. A module is copied, and asked in evaluation mode.
            In YAML the dotted path of a function, or a class path with the arguments of a module or of NumpyFunction.
        input_shape: Shape of one input, without the batch.
        num_classes: Number of classes, C.
        class_names: Name of each class; ``"0"``, ``"1"``, ... if not given.
        input_range: Lowest and highest value of an input. No estimator asks outside it.
        preprocessing: Applied to the inputs before they are asked about, such as
            :class:`~mi_lightning.targets.Preprocessing`.
        max_batch: Inputs that the function takes at a time; larger questions are split. Any number if None.
        price_per_query: What one input costs, in any currency, for the report; None where nothing is charged.

    Raises:
        InputError: If the arguments do not fit each other.
    """

    differentiable = False

    def __init__(
        self,
        # not `-> Tensor`: of a class that is returned, the command line expects a factory
        function: Callable[[Tensor], Any],
        *,
        input_shape: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        preprocessing: Preprocessing | Callable[[Tensor], Any] | None = None,
        max_batch: int | None = None,
        price_per_query: float | None = None,
    ) -> None:
        """Check the arguments; nothing is asked yet."""
        super().__init__(max_batch=max_batch)
        if not callable(function):
            raise InputError("a function of a batch", repr(function), "function")
        if price_per_query is not None and not 0 <= price_per_query < float("inf"):
            raise InputError("price_per_query >= 0", price_per_query, "price_per_query")
        self.price_per_query = price_per_query
        self.preprocessing = frozen_copy(preprocessing) if isinstance(preprocessing, nn.Module) else preprocessing
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
            given = x.clone() if self._hidden is None else x
            said = self.function(given if self.preprocessing is None else self.preprocessing(given))
        except Exception as error:
            if self._hidden is not None and is_out_of_memory(error):
                raise  # of this process, which asks about fewer inputs at a time
            kind = "" if isinstance(error, MIError) else f"{type(error).__name__}: "
            raise TargetError(
                f"the target failed at query {self.queries}: {kind}{' '.join(str(error).split())}"
            ) from error
        if not isinstance(said, Tensor):
            hint = "; mi_lightning.targets.NumpyFunction adapts what works on arrays"
            raise TargetError(
                f"expected a tensor from the target, got {type(said).__name__}{hint * isinstance(said, np.ndarray)}"
            )
        said = said.detach() if said.requires_grad else said
        return said if said.device == x.device else said.to(x.device)

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the weights behind the target, where it was made from a classifier."""
        return None if self._hidden is None else self._hidden.fingerprint()

    def describe(self) -> dict[str, Any]:
        """Return what is known: the function's name, and the classifier's figures where it was made from one."""
        if self._hidden is not None:
            return {**self._hidden.describe(), "access": "black_box"}
        return {
            "access": "black_box",
            "class": path_of(self.function),
            "checkpoint": "",
            "checkpoint_sha256": None,
            "defenses": [],
            "test_accuracy": None,
            "training": {},
            "preprocessing": preprocessing_of(self.preprocessing),
            "price_per_query": self.price_per_query,
            "price": self.price,
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
        **facts: The other arguments of `Remote`: shape and range of the inputs, classes, preprocessing, ``max_batch``.

    Raises:
        InputError: If the arguments do not fit each other.

    Example:
        >>> target = BlackBox(lambda x: x.flatten(1).softmax(1), input_shape=(1, 1, 3), num_classes=3)
        >>> target.confidences(torch.zeros(2, 1, 1, 3)).shape, target.queries
        (torch.Size([2, 3]), 2)
    """

    def __init__(self, function: Callable[[Tensor], Any], *, tolerance: float = 1e-3, **facts: Any) -> None:
        """Check the arguments; nothing is asked yet."""
        super().__init__(function, **facts)
        self.tolerance = checked_tolerance(tolerance)

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
        return confidences_of(self.answer(x), x, self.num_classes, self.tolerance)


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

    def __init__(self, function: Callable[..., Any], *, flatten: bool = True) -> None:
        """Keep the function."""
        self.function, self.flatten = function, flatten
        # the report names the function, not its wrapping
        self.__module__ = str(getattr(function, "__module__", None) or type(self).__module__)
        self.__qualname__ = str(getattr(function, "__qualname__", type(self).__qualname__))

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the function says to inputs of shape (N, *input_shape)."""
        array = x.detach().cpu().float()
        return torch.from_numpy(np.asarray(self.function((array.flatten(1) if self.flatten else array).numpy())))
