"""A network in an ONNX file, run by onnxruntime on the CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mi_lightning.errors import InputError, MIError
from mi_lightning.extras import load_onnxruntime
from mi_lightning.io import one_line

#: numpy's name of each type of tensor that an input may have.
_TYPES = {
    "tensor(float)": "float32", "tensor(double)": "float64", "tensor(float16)": "float16", "tensor(uint8)": "uint8",
    "tensor(int8)": "int8", "tensor(int32)": "int32", "tensor(int64)": "int64",
}  # fmt: skip
#: Where weights outside the file are looked for: nowhere, for the digest is that of the file alone.
_NO_FOLDER = ("session.model_external_initializers_file_folder_path", "/no weights outside the file")


class OnnxFile:
    """A network with one input that counts and one output that counts.

    The bytes whose digest is kept are those that are run.

    Args:
        path: The file.
        what: What it is, for the error where there is none, such as ``"recogniser"``.
        field: Argument to name in errors about the file.
        input_name: Its input; the only one if None.
        output_name: Its output; the first if None.
        threads: Threads that work on one batch; onnxruntime's own choice if None.

    Attributes:
        sha256: Digest of the file.
        shape: Sizes of its input as the file says them, the batch first; None where any will do.
        dtype: Type of its input, as numpy calls it.
        outputs: Name of each output, and the sizes that the file says.

    Raises:
        InputError: If there is no such file, or no such input or output in it.
        MIError: If onnxruntime is not installed, or cannot run the network.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        what: str,
        field: str,
        input_name: str | None = None,
        output_name: str | None = None,
        threads: int | None = None,
    ) -> None:
        """Load the network."""
        self.path = str(path)
        if not Path(path).is_file():
            raise InputError(f"an ONNX file of a {what}", f"none at {path}", field)
        runtime = load_onnxruntime()
        content = Path(path).read_bytes()
        self.sha256 = hashlib.sha256(content).hexdigest()
        options = runtime.SessionOptions()
        options.add_session_config_entry(*_NO_FOLDER)
        options.log_severity_level = 3  # warnings about the graph are for those who exported it
        if threads is not None:
            options.intra_op_num_threads = options.inter_op_num_threads = threads
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise MIError(f"{path} holds no network that onnxruntime can run: {_reason(error)}") from error
        inputs = {entry.name: entry for entry in self._session.get_inputs()}
        if input_name is None and len(inputs) != 1:
            raise InputError("an ONNX network with one input", f"{path} with {', '.join(inputs) or 'none'}", field)
        self.input_name = _named(input_name, list(inputs), "input", "input_name")
        others = [name for name in inputs if name != self.input_name]
        if others:  # an input with a value of its own is not among them
            raise InputError(f"no other input than {self.input_name}", f"{', '.join(others)}, too", "input_name")
        given = inputs[self.input_name]
        self.shape = tuple(size if isinstance(size, int) else None for size in given.shape)
        if given.type not in _TYPES:
            raise InputError(f"an input that is one of {', '.join(_TYPES)}", f"{given.type} in {path}", field)
        self.dtype = _TYPES[given.type]
        self.outputs = {entry.name: tuple(entry.shape or ()) for entry in self._session.get_outputs()}
        self._types = {entry.name: entry.type for entry in self._session.get_outputs()}
        self.output_name = _named(output_name, list(self.outputs), "output", "output_name")
        if not self._types[self.output_name].startswith("tensor("):
            usable = [name for name, kind in self._types.items() if kind.startswith("tensor(")]
            expected = f"an output that is a tensor ({', '.join(usable) or 'there is none'})"
            raise InputError(expected, f"{self.output_name}: {self._types[self.output_name]}", "output_name")

    @property
    def batch(self) -> int | None:
        """Inputs that the network takes at a time, exactly; None if any number."""
        return self.shape[0] if self.shape else None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the output for a batch, in the type of the network; smaller batches than it takes are filled up."""
        filled = x
        if self.batch is not None and 0 < len(x) < self.batch:
            filled = torch.cat((x, x[-1:].expand(self.batch - len(x), *x.shape[1:])))
        array = np.ascontiguousarray(filled.detach().cpu().numpy().astype(self.dtype, copy=False))
        try:
            said: Any = self._session.run([self.output_name], {self.input_name: array})[0]
        except Exception as error:
            raise MIError(f"{self.path} cannot be asked about inputs {tuple(x.shape)}: {one_line(error)}") from error
        answer = torch.from_numpy(np.asarray(said))
        return answer[: len(x)] if filled is not x and answer.ndim else answer


def _named(name: str | None, known: Sequence[str], what: str, field: str) -> str:
    """Return a name that is known; the first if None."""
    if name is not None and name not in known:
        raise InputError(f"an {what} of {', '.join(known)}", name, field)
    return known[0] if name is None else name


def _reason(error: Exception) -> str:
    """Say why a network could not be loaded, and what to do where that is known."""
    said = one_line(error)
    if "xternal data" in said:
        return "its weights lie in other files; export it as one file (of at most 2 GB)"
    if "is not a registered function/op" in said:
        return f"it uses an operator that is not part of ONNX ({said.rpartition('Fatal error: ')[2]})"
    return said
