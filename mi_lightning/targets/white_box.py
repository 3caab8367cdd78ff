"""White box: the attacker has the classifier itself."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from mi_lightning.checkpoint import check_weights, weights_digest
from mi_lightning.classifiers.base import Classifier, Facts, check_inputs
from mi_lightning.errors import InputError
from mi_lightning.nn.frozen import frozen_copy
from mi_lightning.targets.base import Target, TargetError
from mi_lightning.targets.outputs import Output, exaggerated, find_output, probe_inputs, select_output
from mi_lightning.targets.preprocessing import Preprocessing

_OFF = 2e-2  # how far probabilities may be off: what 16 bits explain of a sum


class WhiteBox(Target):
    """A classifier whose weights are known: confidences and their gradients.

    Any module will do. The target asks a frozen copy in evaluation mode, whose parameters lie in the same memory: the
    module itself is never changed. Make the target anew after training the module further.

    A :class:`~mi_lightning.classifiers.Classifier` says the rest by itself. Of any other module a handful of inputs is
    asked here (not counted as queries), which tells the number of classes and whether it answers with logits or with
    probabilities. Weights of other types than the input's, such as float64 or half, see the input in their own type;
    answers come in that of the input. A module that changes its input in place gets a copy of it.

    Args:
        module: The classifier to attack.
        input_shape: Shape of one input, without the batch, for example (3, 64, 64).
        num_classes: Number of classes, C; what the module answers with if not given.
        input_range: Lowest and highest value of an input; (0, 1) if neither given nor known to the module.
        class_names: Name of each class; ``"0"``, ``"1"``, ... if not given.
        preprocessing: Applied to the input before the module, for example a normalisation of the channels; gradients
            flow through it. A module is copied and frozen as well. :class:`~mi_lightning.targets.Preprocessing` has
            what models of images usually need.
        output: Whether the module answers with logits or with probabilities; found out if ``"auto"``. A single output,
            shape (N, 1) or (N,), is the one of class 1 of two.
        select: Index, key or attribute of the output that counts, where the module returns several. An entry
            ``logits``, or the only one of a tuple, is taken by itself.
        checkpoint: File that the module was loaded from, for the report. The file is read, and a module of other
            weights is refused: nothing is loaded here, and an audit of weights that were never loaded finds nothing.
        checkpoint_sha256: Digest of that file as whoever loaded it knows it; found out if not given. With it a file of
            another layout than a state dict is believed; weights that differ are refused all the same.
        max_batch: Inputs that the module takes at a time; larger questions are split. Any number if None.

    Attributes:
        output: ``"logits"`` or ``"probabilities"``.
        output_detected: Whether that was found out by asking.
        differentiable: Whether gradients reach the input: found out by asking, and false where the module detaches
            what it answers. Such a target can still be queried.

    Raises:
        InputError: If the module cannot be copied or asked, the arguments do not fit it, or the weights are not those
            of the file.
        MIError: If the file cannot be read.

    Example:
        >>> target = WhiteBox(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), input_shape=(3, 2, 2))
        >>> target.num_classes, target.output, target.confidences(torch.rand(7, 3, 2, 2)).shape
        (5, 'logits', torch.Size([7, 5]))
    """

    differentiable = True

    def __init__(
        self,
        module: nn.Module,
        *,
        input_shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        input_range: tuple[float, float] | None = None,
        class_names: Sequence[str] | None = None,
        preprocessing: Preprocessing | Callable[[Tensor], Tensor] | None = None,
        output: Output = "auto",
        select: int | str | None = None,
        checkpoint: str = "",
        checkpoint_sha256: str = "",
        max_batch: int | None = None,
    ) -> None:
        """Copy and freeze the module, and look at what it answers."""
        super().__init__(max_batch=max_batch)
        if not isinstance(module, nn.Module):
            raise InputError("a torch.nn.Module", type(module).__name__, "module")
        if output not in ("auto", "logits", "probabilities"):
            raise InputError("output auto, logits or probabilities", output, "output")
        if isinstance(preprocessing, Preprocessing) and preprocessing.uint8:
            wanted = "a preprocessing through which gradients flow (scale: 255 alone keeps the fractions)"
            raise InputError(wanted, "uint8: true, which rounds", "preprocessing")
        self.module, self.select = frozen_copy(module), select
        self.preprocessing = frozen_copy(preprocessing) if isinstance(preprocessing, nn.Module) else preprocessing
        self.checkpoint, self.checkpoint_sha256 = checkpoint, checkpoint_sha256
        if checkpoint:
            self.checkpoint_sha256 = check_weights(module, checkpoint, checkpoint_sha256)
        own = module if isinstance(module, Classifier) else None
        self.output: Output = "logits" if own is not None and output == "auto" else output
        self.output_detected = self.output == "auto"
        self._changes_input = False
        self._volatile: list[tuple[nn.Module, str, Tensor]] = []  # buffers that it changes, and what was in them
        self._off: Tensor | None = None
        if own is not None:
            input_shape, input_range = input_shape or own.input_shape, input_range or own.input_range
            class_names = class_names or own.class_names
        if input_shape is None:
            raise InputError("the shape of one input, which only a Classifier tells by itself", "none", "input_shape")
        known = Facts.checked(
            input_shape=input_shape, num_classes=num_classes or 2, input_range=input_range or (0.0, 1.0)
        )
        # a classifier of ours checks its inputs itself: one of speech takes waveforms of any length
        self._foreign = own is None or self._is_changed(own, known)
        # columns of an answer; 1 of two classes with a single output
        self._width = self._look(known) if own is None or self._foreign else own.num_classes
        classes = max(2, self._width)
        if num_classes not in (None, classes):
            raise InputError(f"num_classes {classes}, as the module answers", num_classes, "num_classes")
        named = class_names is not None and (own is None or tuple(class_names) != tuple(map(str, range(classes))))
        facts = Facts.checked(**known._asdict() | {"num_classes": classes, "class_names": class_names})
        self.take_facts(facts, names_given=named)
        self.has_logits = self.output == "logits"
        rate = getattr(module, "sample_rate", None)  # a classifier of speech says it
        self.sample_rate = rate if isinstance(rate, int) else None

    @property
    def classifier(self) -> nn.Module:
        """The frozen copy of the module."""
        return self.module

    @property
    def untouched(self) -> bool:
        """Whether the module alone makes the logits, and takes any number of inputs at a time."""
        return self.has_logits and self.preprocessing is None and self.select is None and self.max_batch is None

    #: The module that holds the first weight, and its name there; empty where there is none, None if not looked for.
    _first: tuple[Any, ...] | None = None

    @property
    def dtype(self) -> torch.dtype | None:
        """Type of the weights; None where there are none."""
        tensor = self._weight()
        return None if tensor is None else tensor.dtype

    def release(self, x: Tensor) -> Tensor:
        """Return the confidences of ``x``, shape (N, C)."""
        answers = self._answers(x)
        return answers.softmax(-1) if self.has_logits else answers

    def release_log(self, x: Tensor) -> Tensor:
        """Return the logarithm of the confidences, shape (N, C), in nats; without a floor where there are logits."""
        return self._answers(x).log_softmax(-1) if self.has_logits else super().release_log(x)

    def release_logits(self, x: Tensor) -> Tensor:
        """Return the logits of ``x``, shape (N, C)."""
        return self._answers(x) if self.has_logits else super().release_logits(x)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the module's weights."""
        self._restore()
        return weights_digest(self.module)

    def describe(self) -> dict[str, Any]:
        """Return the module's class, its checkpoint, what is known of its training, and how its output was taken."""
        training = dict(getattr(self.module, "training_info", {}))
        return {
            "access": "white_box",
            "class": path_of(self.module),
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "defenses": [],
            "test_accuracy": training.get("test_accuracy"),
            "training": training,
            "output": self.output,
            "output_detected": self.output_detected,
            "select": self.select,
            "preprocessing": preprocessing_of(self.preprocessing),
        }

    def _answers(self, x: Tensor) -> Tensor:
        """Return logits or probabilities of all classes, shape (N, C), in the type of ``x``."""
        if self._foreign:
            check_inputs(x, self.input_shape)
        answers = self.in_batches(self._ask, x)
        if not self.has_logits:
            self._note(answers.detach())
        if self._width == 1:
            first = torch.zeros_like(answers) if self.has_logits else 1 - answers
            return torch.cat((first, answers), 1)
        return answers

    def _note(self, answers: Tensor) -> None:
        """Remember how far probabilities, shape (N, C) or (N, 1), were off at most, without looking at the device."""
        # of numbers that are not negative and sum to 1 none is above 1
        above = answers - 1 if self._width == 1 else (answers.sum(1) - 1).abs()
        worst = torch.maximum(above.amax(), -answers.amin())
        self._off = worst if self._off is None else torch.maximum(self._off, worst)

    def check_answers(self) -> None:
        """Look back at the probabilities that the module gave since the last look: one look at the device.

        Logits need none: softmax makes confidences of any, and of NaN the rows that diverge.

        Raises:
            TargetError: If some were NaN, less than 0, or did not sum to 1.
        """
        if self._off is None:
            return
        off, self._off = float(self._off), None
        if not off <= _OFF:
            what = "NaN" if math.isnan(off) else f"some that are off by {off:.3g}"
            raise TargetError(f"expected probabilities, at least 0 and with rows that sum to 1, got {what}")

    def _ask(self, x: Tensor) -> Tensor:
        """Return what the module answers, shape (N, C), or (N, 1) of a single output, in the type of ``x``."""
        self._restore()
        answer = self._raw(x.clone() if self._changes_input else x)
        if answer.shape != (len(x), self._width):
            # a single output may come without its axis, and a batch of one without that of the batch
            if answer.numel() != len(x) * self._width:
                raise InputError(f"answers of shape ({len(x)}, {self._width})", tuple(answer.shape), "module")
            answer = answer.reshape(len(x), self._width)
        if answer.dtype is x.dtype:
            return answer
        answer = answer.to(x.dtype)
        # what summed to 1 in a coarser type does not in a finer one
        return answer if self.has_logits or self._width == 1 else answer / answer.sum(1, keepdim=True)

    def _restore(self) -> None:
        """Put back buffers that the module changes: what a target was asked before must leave no trace."""
        for owner, name, value in self._volatile:
            now = owner._buffers[name]
            owner._buffers[name] = value.to(value.device if now is None else now.device, copy=True)

    def _weight(self) -> Tensor | None:
        """Return the first parameter or buffer of floating point, whose type and device are the module's."""
        if self._first is None:  # to walk over all modules at every question would cost as much as a small one
            named = chain(self.module.named_parameters(), self.module.named_buffers())
            path = next((name for name, tensor in named if tensor.is_floating_point()), None)
            owner, _, name = ("", "", "") if path is None else path.rpartition(".")
            self._first = () if path is None else (self.module.get_submodule(owner), name)
        return getattr(*self._first) if self._first else None

    @torch.no_grad()
    def _look(self, facts: Facts) -> int:
        """Ask about a handful of inputs: what the answers are, and whether the inputs survive.

        Returns:
            Columns of an answer.

        Raises:
            InputError: If the module fails, or answers with something else than one row for each input.
        """
        weight = self._weight()
        x = probe_inputs(facts.input_shape, facts.input_range)
        if weight is not None:
            x = x.to(weight.device)
        shape = ", ".join(map(str, facts.input_shape))
        held = [
            (owner, name, value.clone())
            for owner in self.module.modules()
            for name, value in owner._buffers.items()
            if value is not None
        ]
        with torch.random.fork_rng(devices=[]):  # a module may draw even in evaluation mode
            try:
                before = x.clone()
                answer = self.in_batches(self._raw, x)
            except InputError:
                raise
            except Exception as error:  # whatever a foreign module raises
                reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
                raise InputError(f"a module that takes inputs of shape (N, {shape})", reason, "input_shape") from error
            # in another type the module sees a copy here, and may see the input itself later
            self._changes_input = not torch.equal(x, before) or (weight is not None and weight.dtype != x.dtype)
            if answer.ndim == 1 and len(answer) == len(x):
                answer = answer[:, None]
            if answer.ndim != 2 or len(answer) != len(x) or not answer.is_floating_point():
                got = f"{answer.dtype} of shape {tuple(answer.shape)}"
                raise InputError(f"one row of numbers for each of {len(x)} inputs, (N, C)", got, "select")
            answers = [answer]
            with contextlib.suppress(Exception):  # where it refuses them, what it said before must do
                wild = self.in_batches(self._raw, exaggerated(before, facts.input_range))
                answers.append(wild.reshape(-1, answer.shape[1]))
            self.output = find_output(torch.cat(answers), self.output)
            self._volatile = [each for each in held if not _same_values(each[0]._buffers[each[1]], each[2])]
            self._width = answer.shape[1]
            self.unsteady = self._depends_on(before)
            self.differentiable = _passes_gradients(self._raw, before)
            if not self.differentiable:
                self.why_no_gradient = (
                    ", whose module lets no gradient through to its input (detach, no_grad, numpy or argmax in it)"
                )
        return answer.shape[1]

    def _depends_on(self, x: Tensor) -> str:
        """Say what answers depend on beside the input: chance, or the rest of the batch; nothing if they do not."""
        size = len(x) if self.max_batch is None else min(len(x), self.max_batch)
        said = self._ask(x[:size])
        if _differ(said, self._ask(x[:size])):
            return "draws at random in evaluation mode, too: a result holds for these draws alone"
        with contextlib.suppress(Exception):  # where it does not take a single one
            if _differ(said[:1], self._ask(x[:1])):
                return (
                    "answers an input otherwise among others than alone (batch normalisation without statistics of its "
                    "own?): results depend on how many rows run at a time"
                )
        return ""

    def _is_changed(self, own: Classifier, facts: Facts) -> bool:
        """Whether a classifier of ours is asked in another way than its own."""
        own_way = self.preprocessing is None and self.select is None and self.output == "logits"
        return not own_way or facts.input_shape != own.input_shape

    def _raw(self, x: Tensor) -> Tensor:
        """Return the output that counts, as the module gives it."""
        given = x if self.preprocessing is None else self.preprocessing(x)
        weight = self._weight()
        return select_output(self.module(given if weight is None else given.to(weight.dtype)), self.select)


def _same_values(value: Tensor | None, before: Tensor) -> bool:
    """Whether a buffer holds what it held, NaN as well."""
    return value is not None and value.shape == before.shape and torch.equal(value.nan_to_num(), before.nan_to_num())


def _differ(said: Tensor, again: Tensor) -> bool:
    """Whether two answers to the same differ by more than rounding explains, also that of another batch."""
    scale = said.abs().amax().clamp_min(1.0) * (1e-3 if said.dtype in (torch.float32, torch.float64) else 0.05)
    return bool(((said - again).abs() > scale).any())


def _passes_gradients(ask: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether gradients of what a module answers reach its input."""
    with torch.enable_grad():
        leaf = x.clone().requires_grad_()
        try:
            (gradient,) = torch.autograd.grad(ask(leaf * 1).sum(), leaf, allow_unused=True)
        except Exception:  # noqa: BLE001  # whatever a foreign module raises where it may not touch a gradient
            return False
    return gradient is not None


def preprocessing_of(preprocessing: object) -> str | None:
    """Name a preprocessing: ours with its settings, any other by its path."""
    if preprocessing is None:
        return None
    return str(preprocessing) if isinstance(preprocessing, Preprocessing) else path_of(preprocessing)


def path_of(part: object) -> str:
    """Name a class or function by its module and name."""
    named: Any = part if hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}.{named.__qualname__}"
