"""A target in an ONNX file: it answers, and no gradient flows through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mi_lightning.classifiers.base import Facts
from mi_lightning.errors import InputError, MIError
from mi_lightning.nn.onnx_file import OnnxFile
from mi_lightning.targets.black_box import BlackBox
from mi_lightning.targets.outputs import Output, exaggerated, find_output, probe_inputs
from mi_lightning.targets.preprocessing import Preprocessing

#: Outputs that count where there are several, the first that is there.
_COUNT = ("logits", "probabilities", "probs", "scores")
_EXACT_BATCH = "whose batch size is fixed in the file"


class OnnxModel(BlackBox):
    """A classifier in an ONNX file, run by onnxruntime on the CPU.

    Needs ``pip install mi-lightning[onnx]``. A handful of inputs is asked here (not counted as queries), which tells
    the number of classes and whether the network answers with logits or with probabilities. A network whose file fixes
    the batch size is asked so many inputs at a time. The digest of the file is in the results.

    Args:
        file: The ``.onnx`` file, with its weights in it.
        input_shape: Shape of one input of the data; that of the file if None and no preprocessing is given.
        num_classes: Number of classes, C; what the network answers with if None.
        class_names: Name of each class; ``"0"``, ``"1"``, ... if not given.
        input_range: Lowest and highest value of an input.
        preprocessing: Applied to the inputs before the network, for example to make channels last or bytes of them.
        output: Whether the network answers with logits or with probabilities; found out if ``"auto"``.
        input_name: Name of its input; the only one if None.
        output_name: Name of the output that counts; the only one, or the one called logits or probabilities, if None.
        threads: Threads that work on a batch.
        max_batch: Inputs that are asked at a time; larger questions are split. Any number if None.
        price_per_query: What one input costs, in any currency, for the report; None where nothing is charged.

    Raises:
        InputError: If the arguments do not fit the network.
        MIError: If onnxruntime is not installed, or cannot run the network.
    """

    def __init__(
        self,
        file: str,
        *,
        input_shape: Sequence[int] | None = None,
        num_classes: int | None = None,
        class_names: Sequence[str] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        preprocessing: Preprocessing | Callable[[Tensor], Any] | None = None,
        output: Output = "auto",
        input_name: str | None = None,
        output_name: str | None = None,
        threads: int = 1,
        max_batch: int | None = None,
        price_per_query: float | None = None,
    ) -> None:
        """Load the network, and look at what it answers."""
        if output not in ("auto", "logits", "probabilities"):
            raise InputError("output auto, logits or probabilities", output, "output")
        if threads < 1:
            raise InputError("threads >= 1", threads, "threads")
        names: dict[str, Any] = {"input_name": input_name, "output_name": output_name, "threads": threads}
        network = OnnxFile(file, what="classifier", field="file", **names)
        if output_name is None and len(network.outputs) > 1:
            found = next((name for name in _COUNT if name in network.outputs), None)
            if found is None:
                raise InputError("the name of the output that counts", ", ".join(network.outputs), "output_name")
            network = OnnxFile(file, what="classifier", field="file", **names | {"output_name": found})
        if input_shape is None:
            if preprocessing is not None or None in network.shape[1:] or len(network.shape) < 2:
                sizes = ", ".join(str(size or "?") for size in network.shape)
                raise InputError("the shape of one input", f"none, and ({sizes}) in {file}", "input_shape")
            input_shape = [int(size or 0) for size in network.shape[1:]]
        if network.batch is not None:
            if max_batch not in (None, network.batch):
                raise InputError(f"max_batch {network.batch}, {_EXACT_BATCH}", max_batch, "max_batch")
            max_batch = network.batch
        super().__init__(
            self._ask,
            input_shape=input_shape,
            num_classes=num_classes or 2,  # until it has been asked
            input_range=input_range,
            preprocessing=preprocessing,
            max_batch=max_batch,
            price_per_query=price_per_query,
        )
        self.network, self._logits = network, False
        self.output_detected = output == "auto"
        self._width = self._look(output)
        classes = max(2, self._width)
        if num_classes not in (None, classes):
            raise InputError(f"num_classes {classes}, as the network answers", num_classes, "num_classes")
        shape, limits = self.input_shape, self.input_range
        self.take_facts(
            Facts.checked(input_shape=shape, num_classes=classes, class_names=class_names, input_range=limits),
            names_given=class_names is not None,
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file."""
        return self.network.sha256

    def describe(self) -> dict[str, Any]:
        """Return the file, its digest, and how its output was taken."""
        return super().describe() | {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "checkpoint": self.network.path,
            "checkpoint_sha256": self.network.sha256,
            "output": "logits" if self._logits else "probabilities",
            "output_detected": self.output_detected,
            "output_name": self.network.output_name,
        }

    def _ask(self, given: Tensor) -> Tensor:
        """Return the confidences, shape (n, C)."""
        answers = self._raw(given)
        if answers.shape != (len(given), self._width):
            raise MIError(f"expected answers of shape ({len(given)}, {self._width}), got {tuple(answers.shape)}")
        if self._width == 1:  # the one of class 1 of two
            answers = torch.cat((torch.zeros_like(answers) if self._logits else 1 - answers, answers), 1)
        return answers.softmax(1) if self._logits else answers

    def _raw(self, given: Tensor) -> Tensor:
        """Return what the network says, shape (n, columns)."""
        answers = self.network(given)
        if not answers.is_floating_point():  # labels, which would pass for logits
            raise InputError("an output of logits or probabilities", f"{answers.dtype}", "output_name")
        answers = answers if answers.dtype in (torch.float32, torch.float64) else answers.float()
        return answers[:, None] if answers.ndim == 1 and len(answers) == len(given) else answers

    def _look(self, output: Output) -> int:
        """Ask about a handful of inputs: what the answers are.

        Returns:
            Columns of an answer.

        Raises:
            InputError: If the network takes something else, or answers with something else than one row an input.
        """
        x = probe_inputs(self.input_shape, self.input_range)
        wild = exaggerated(x, self.input_range)
        self._check_taken(x[:1] if self.preprocessing is None else self.preprocessing(x[:1]))
        seen = []
        for asked in (x, wild):
            given = asked if self.preprocessing is None else self.preprocessing(asked)
            try:
                seen.append(self.in_batches(self._raw, given))
            except MIError:
                if asked is x:
                    raise
        answers = seen[0]
        if answers.ndim != 2 or len(answers) != len(x):
            got = f"shape {tuple(answers.shape)} of output {self.network.output_name}"
            raise InputError(f"one row of numbers for each of {len(x)} inputs", got, "output_name")
        self._logits = find_output(torch.cat(seen), output) == "logits"
        return answers.shape[1]

    def _check_taken(self, given: Tensor) -> None:
        """Refuse what the network would take for something else, or not at all.

        Raises:
            InputError: If sizes or the kind of numbers differ.
        """
        network, sizes = self.network, tuple(given.shape[1:])
        wanted = network.shape[1:]
        if len(wanted) != len(sizes) or any(size not in (None, own) for size, own in zip(wanted, sizes, strict=True)):
            hint = ""
            if len(sizes) == 3 and len(wanted) == 3 and (sizes[1], sizes[2], sizes[0]) == wanted:
                hint = ": its channels are last (preprocessing channels_last)"
            shape = ", ".join(str(size or "?") for size in wanted)
            raise InputError(f"inputs of shape ({shape}), as {network.path} says{hint}", sizes, "input_shape")
        if not network.dtype.startswith("float") and given.is_floating_point():
            expected = f"whole numbers ({network.dtype}), as {network.path} says: preprocessing with uint8"
            raise InputError(expected, f"{given.dtype} of range {self.input_range}", "preprocessing")
