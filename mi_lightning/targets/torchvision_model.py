"""An architecture of torchvision and the file of its weights, as a target."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from mi_lightning.errors import InputError
from mi_lightning.extras import load_torchvision
from mi_lightning.io import one_line
from mi_lightning.targets.torch_module import LoadedModule
from mi_lightning.targets.weights import Weights, find_num_classes, read_weights_file, with_weights


class TorchvisionModel(LoadedModule):
    """A classifier of torchvision by its name, with the weights of a file. Nothing is downloaded.

    Args:
        name: Name of the architecture, such as ``resnet18``.
        weights: File of the weights, see :class:`~mi_lightning.targets.TorchModule`. None, which has to be
            said, leaves them at random.
        num_classes: Number of classes; that of the file if not given.
        arguments: Further arguments of the architecture, such as ``{width_per_group: 128}``.
        ignore: Patterns such as ``loss.*`` of names in the file that do not belong to the model.
        untrained: Whether the weights are left as the architecture draws them, for a control; audits set it.
        input_shape: Shape of the data's images, (C, H, W).
        **white_box: What else :class:`~mi_lightning.targets.WhiteBox` takes: ``preprocessing``, ``class_names``, ...

    Raises:
        InputError: If there is no such architecture, or the weights do not fit it.
        MIError: If torchvision is missing.

    Example:
        ::

            model:
              target:
                class_path: mi_lightning.targets.TorchvisionModel
                init_args: {name: resnet18, weights: faces.pt, preprocessing: {channels: 3, mean: 0.5, std: 0.25}}
    """

    def __init__(
        self,
        name: str,
        weights: str | None = "",
        *,
        num_classes: int | None = None,
        arguments: dict[str, Any] | None = None,
        ignore: Sequence[str] = (),
        untrained: bool = False,
        input_shape: Sequence[int] = (3, 224, 224),
        **white_box: Any,
    ) -> None:
        """Make the architecture, load the weights, and look at what it answers."""
        package: Any = load_torchvision()
        check_name(name, package.list_models(module=package), "torchvision")
        found = read_named(weights)

        def make(**settings: Any) -> nn.Module:
            module: nn.Module = package.get_model(name, weights=None, **settings, **(arguments or {}))
            return module

        module = build(make, found, num_classes, ignore, untrained=untrained)
        super().__init__(module, found, untrained=untrained, input_shape=input_shape, **white_box)


def read_named(weights: str | None) -> Weights | None:
    """Read the file of an architecture's weights; None where it was said that there is none.

    Raises:
        InputError: If nothing was said, or the file cannot be used.
    """
    if weights == "":
        raise InputError("a file of weights, or null for weights at random", "none", "weights")
    return None if weights is None else read_weights_file(weights)


def check_name(name: str, known: Iterable[str], package: str) -> None:
    """Refuse the name of an architecture that a package does not have, and tell the nearest.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in (names := list(known)):
        near = difflib.get_close_matches(name, names, n=3)
        hint = f" (near it: {', '.join(near)})" if near else ""
        raise InputError(f"an architecture of {package}", f"{name}{hint}", "name")


def build(
    make: Callable[..., nn.Module],
    weights: Weights | None,
    num_classes: int | None,
    ignore: Sequence[str],
    *,
    untrained: bool = False,
) -> nn.Module:
    """Make an architecture with as many classes as its weights have, and load them.

    Args:
        make: Makes it, with ``num_classes`` as a keyword, or with its usual number without.
        weights: What to load; the weights stay at random if None.
        num_classes: Number of classes; found out by the shapes of the weights if None.
        ignore: See :func:`~mi_lightning.targets.weights.with_weights`.
        untrained: Whether the weights are left as they were drawn, although there are others to load.

    Raises:
        InputError: If the architecture does not take its arguments, or the weights do not fit it.
    """
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
            module = make() if num_classes is None else make(num_classes=num_classes)
            if weights is not None and num_classes is None:
                num_classes = find_num_classes(weights.state, module.state_dict())
                module = module if num_classes is None else make(num_classes=num_classes)
    except (TypeError, ValueError, RuntimeError, KeyError, AssertionError) as error:  # torchvision asserts
        raise InputError("arguments that the architecture takes", one_line(error), "arguments") from error
    return module if weights is None or untrained else with_weights(module, weights, ignore=ignore)
