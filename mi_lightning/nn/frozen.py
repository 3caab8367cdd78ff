"""Modules whose weights no longer change: copies for asking, their products laid out once for the processor."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from mi_lightning.errors import InputError

_SMALLEST = 1 << 17  # weights; below, packing gains nothing
_FEWEST = 3  # inputs; below, a product is bound by reading the weights, which plain code does as fast


class _PackedLinear(torch.autograd.Function):
    """x W^T + b by oneDNN on packed weights; the gradient goes to x only."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: Tensor, transposed: Tensor, bias: Tensor | None) -> Tensor:
        ctx.transposed = transposed
        product: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
        return product

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        towards_x = torch.ops.mkldnn._linear_pointwise(gradient.contiguous(), ctx.transposed, None, "none", [], "")
        return towards_x, None, None, None


class _PackedForward:
    """Forward of one layer: packed where that is right, the layer's own otherwise.

    The weights are looked at before each product: whoever thaws, changes, moves or converts them gets the layer's own
    forward again, so nothing stale is ever used.
    """

    def __init__(self, layer: nn.Linear, rows: int) -> None:
        self.layer = layer
        weight = layer.weight.detach()
        self.seen = (weight.data_ptr(), weight._version)
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        self.transposed = torch.ops.mkldnn._reorder_linear_weight(weight.t().contiguous(), rows)

    def __call__(self, x: Tensor) -> Tensor:
        weight, bias = self.layer.weight, self.layer.bias
        if (
            x.dtype is torch.float32
            and x.ndim == 2
            and len(x) >= _FEWEST
            and not weight.requires_grad
            and (bias is None or not bias.requires_grad)
            and (weight.data_ptr(), weight._version) == self.seen
            and not torch.is_autocast_enabled("cpu")
        ):
            product: Tensor
            if torch.is_grad_enabled():
                product = _PackedLinear.apply(x, self.packed, self.transposed, bias)
            else:  # without a gradient the product alone, which small batches feel
                product = torch.ops.mkldnn._linear_pointwise(x, self.packed, bias, "none", [], "")
            return product
        return functional.linear(x, weight, bias)

    def __reduce__(self) -> tuple[type[_PlainForward], tuple[nn.Linear]]:
        """Copy and pickle as the layer's own forward: packed weights belong to this process."""
        return _PlainForward, (self.layer,)


class _PlainForward:
    """The layer's own forward, as a copy of a packed layer has it."""

    def __init__(self, layer: nn.Linear) -> None:
        self.layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.layer.weight, self.layer.bias)


@contextmanager
def evaluation_mode(module: object) -> Iterator[None]:
    """Put each part of a module into evaluation mode in a ``with`` block, and back into its own mode afterwards.

    Args:
        module: A module; of anything else nothing is changed.
    """
    modes = [(part, part.training) for part in module.modules()] if isinstance(module, nn.Module) else []
    try:
        for part, _ in modes:
            part.training = False
        yield
    finally:
        for part, training in modes:
            part.training = training


def frozen_copy(module: nn.Module, *, rows: int = 40, pack: bool = True) -> nn.Module:
    """Copy a module that is only asked: in evaluation mode, frozen, linear layers packed. The module stays as it is.

    Frozen weights save the gradients towards them, about a third of the work of an iteration. The parameters of the
    copy lie in the memory of the module's, whatever their size; buffers are copied, so that nothing that the copy does
    reaches the module. Whoever trains the module further copies it anew: the copy would have new weights beside old
    statistics of batch normalisation.

    Args:
        module: Any module.
        rows: Inputs in a typical batch; see :func:`pack_linear_layers`.
        pack: Whether linear layers are packed; of no use to who is about to give the copy other weights.

    Raises:
        InputError: If it cannot be copied.
    """
    memo: dict[int, Any] = {}
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if type(parameter) is nn.Parameter:  # subclasses are copied as they want to be
                memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
        for value in vars(part).values():
            if isinstance(value, Tensor) and value.grad_fn is not None:  # left by a forward pass; deepcopy refuses it
                memo[id(value)] = value.detach()
    try:
        copied = copy.deepcopy(module, memo)
    except Exception as error:  # whatever a foreign class raises
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise InputError(
            "a module that copy.deepcopy can copy", f"{type(module).__name__}, {reason}", "module"
        ) from error
    copied.requires_grad_(False).eval()
    if pack:
        pack_linear_layers(copied, rows=rows)
    return copied


def pack_linear_layers(module: nn.Module, *, rows: int = 40) -> int:
    """Speed up the frozen linear layers of a module on a CPU, in place; parameters and state stay as they are.

    PyTorch multiplies float32 matrices by the BLAS that it was built with, which on some processors runs at half the
    speed of oneDNN. An attack multiplies by the same frozen weights thousands of times, so it pays to lay them out for
    oneDNN once. Results agree to rounding. Memory: two more copies of the weights. Nothing happens where oneDNN or
    these operators are missing, on other devices and types, and to small layers.

    Args:
        module: Its ``nn.Linear`` layers with frozen float32 weights on the CPU are packed.
        rows: Inputs in a typical batch.

    Returns:
        How many layers were packed.
    """
    operators = torch.ops.mkldnn
    if not (
        torch.backends.mkldnn.is_available()
        and hasattr(operators, "_linear_pointwise")
        and hasattr(operators, "_reorder_linear_weight")
    ):
        return 0
    count = 0
    for layer in module.modules():
        # subclasses have reasons of their own for being so
        if type(layer) is not nn.Linear or isinstance(layer.__dict__.get("forward"), _PackedForward):
            continue
        weight = layer.weight
        if (
            weight.device.type == "cpu"
            and weight.dtype is torch.float32
            and not weight.requires_grad
            and weight.numel() >= _SMALLEST
        ):
            layer.forward = _PackedForward(layer, rows)  # type: ignore[assignment, method-assign]
            count += 1
    return count
