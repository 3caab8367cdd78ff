"""What a module of somebody else returns: which part of it counts, and whether that is logits or probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from mi_lightning.errors import InputError

Output = Literal["auto", "logits", "probabilities"]

_SINGLE = 1e-3  # how far the sum of a row of probabilities may be from 1, in float32 ...
_HALF = 2e-2  # ... and in formats of 16 bits


def select_output(answer: Any, select: int | str | None = None) -> Tensor:
    """Return the tensor that counts in what a module returns.

    Args:
        answer: A tensor, tuple, list, mapping, named tuple, or any object with attributes.
        select: Index, key or name of the attribute that counts. Without it, a tensor is taken as it is, an entry
            ``logits`` by its name, and the only entry of a tuple or list.

    Raises:
        InputError: If nothing says what counts, or what was selected is no tensor.

    Example:
        >>> select_output({"logits": torch.zeros(2), "loss": torch.ones(())})
        tensor([0., 0.])
    """
    found: Any = None
    key = "logits" if select is None else select
    if select is None and isinstance(answer, Tensor):
        return answer
    if not isinstance(key, int | str):
        raise InputError("the index, key or attribute of the output that counts", repr(key), "select")
    if isinstance(key, int):
        found = answer[key] if isinstance(answer, tuple | list) and -len(answer) <= key < len(answer) else None
    elif isinstance(answer, Mapping):
        found = answer.get(key)
    else:
        found = getattr(answer, key, None)
    if found is None and select is None and isinstance(answer, tuple | list) and len(answer) == 1:
        found = answer[0]
    if not isinstance(found, Tensor):
        wanted = "the index, key or attribute of the output that counts" if select is None else "one that is a tensor"
        raise InputError(f"{wanted}, of {_entries(answer)}", "none" if select is None else repr(select), "select")
    return found


def _entries(answer: Any) -> str:
    """Name what a module returned."""
    if isinstance(answer, Tensor):
        return "a tensor"
    if isinstance(answer, Mapping):
        return f"a {type(answer).__name__} with {', '.join(map(repr, answer))}"
    if isinstance(names := getattr(answer, "_fields", None), tuple):
        return f"a {type(answer).__name__} with {', '.join(names)}"
    if isinstance(answer, tuple | list):
        return f"a {type(answer).__name__} of {len(answer)}"
    if dataclasses.is_dataclass(answer):
        return f"a {type(answer).__name__} with {', '.join(field.name for field in dataclasses.fields(answer))}"
    return f"a {type(answer).__name__}"


def probe_inputs(input_shape: tuple[int, ...], input_range: tuple[float, float]) -> Tensor:
    """Return a handful of inputs, shape (6, *input_shape): grey, lowest, highest, and noise of three seeds."""
    low, high = input_range
    noise = torch.rand(3, *input_shape, generator=torch.Generator().manual_seed(0))
    flat = [torch.full((1, *input_shape), level) for level in (0.5, 0.0, 1.0)]
    return torch.cat((*flat, noise)) * (high - low) + low


def exaggerated(x: Tensor, input_range: tuple[float, float]) -> Tensor:
    """Return inputs far outside the range, on both sides: they drive logits out of [0, 1], probabilities never."""
    middle = sum(input_range) / 2
    return torch.cat(((x - middle) * 300 + middle, (x - middle) * -300 + middle))


def find_output(answers: Tensor, given: Output) -> Literal["logits", "probabilities"]:
    """Tell logits from probabilities by answers to inputs of all kinds.

    Probabilities are never negative and sum to 1 in each row; a single one lies in [0, 1]. Everything else is logits,
    but answers that all lie in [0, 1] and do not sum to 1, which may be either, have to be told.

    Args:
        answers: Shape (N, C), or (N, 1) of a single output; rows that are not finite are not looked at.
        given: What the user says it is, which is only checked: logits that sum to 1 in each row are none, and another
            softmax over them would leave all classes nearly alike.

    Raises:
        InputError: If it cannot be told, or is not what was given.

    Example:
        >>> find_output(torch.tensor([[0.2, 0.8]]), "auto"), find_output(torch.tensor([[-0.2, 0.8]]), "auto")
        ('probabilities', 'logits')
    """
    seen = answers[answers.isfinite().all(1)]
    if not len(seen):
        if given == "logits":
            return "logits"
        raise InputError("finite answers to grey and noise", "NaN or infinity in each", "module")
    slack = _SINGLE if seen.dtype in (torch.float32, torch.float64) else _HALF
    exact = seen.double()
    low, high = (float(end) for end in exact.aminmax())
    within = low >= 0 and high <= 1 + slack
    off = (exact.sum(1) - 1).abs()
    if given == "logits":
        if within and seen.shape[1] > 1 and float(off.max()) <= slack:
            raise InputError("logits", 'rows that sum to 1: say output "probabilities", or "auto"', "output")
        return "logits"
    if within and (seen.shape[1] == 1 or float(off.max()) <= slack):
        return "probabilities"
    wrong = f"answers in [{low:.4g}, {high:.4g}]" + (
        f" with a row that sums to {float(exact.sum(1)[off.argmax()]):.4g}" if seen.shape[1] > 1 else ""
    )
    if given == "probabilities":
        sigmoids = "; for sigmoids, one a class, give the module without them" if within else ""
        raise InputError(f"probabilities, at least 0 and with rows that sum to 1{sigmoids}", wrong, "output")
    if within:
        raise InputError('output "logits" or "probabilities" to be told: they look like both', wrong, "output")
    return "logits"


def what_is_wrong(row: Tensor) -> str:
    """Say what keeps a row, shape (C,), from being confidences, as the first half of an error.

    Example:
        >>> what_is_wrong(torch.tensor([0.5, 0.75]))
        'confidences that sum to 1, got 1.25'
    """
    if bool(row.isnan().any()):
        return "confidences, got NaN"
    if bool((row < 0).any()):
        return f"confidences >= 0, got {float(row.min()):.4g}"
    return f"confidences that sum to 1, got {float(row.sum()):.4g}"
