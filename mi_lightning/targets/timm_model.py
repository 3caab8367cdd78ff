"""An architecture of timm and the file of its weights, as a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from mi_lightning.extras import load_timm
from mi_lightning.targets.preprocessing import Preprocessing, shorter_edge
from mi_lightning.targets.torch_module import LoadedModule
from mi_lightning.targets.torchvision_model import build, check_name, read_named


class TimmModel(LoadedModule):
    """A classifier of timm by its name, with the weights of a file. Nothing is downloaded.

    Args:
        name: Name of the architecture, such as ``resnet18`` or ``vit_tiny_patch16_224``.
        weights: File of the weights, see :class:`~mi_lightning.targets.TorchModule`. None, which has to be
            said, leaves them at random.
        num_classes: Number of classes; that of the file if not given.
        arguments: Further arguments of ``timm.create_model``, such as ``{in_chans: 1}``.
        ignore: Patterns such as ``loss.*`` of names in the file that do not belong to the model.
        untrained: Whether the weights are left as the architecture draws them, for a control; audits set it.
        input_shape: Shape of the data's images, (C, H, W); that of the model's own inputs if not given.
        preprocessing: What lies before the model. If not given, that of timm's own evaluation of this architecture:
            its size, crop, mean and deviation. ``{}`` is none.
        **white_box: What else :class:`~mi_lightning.targets.WhiteBox` takes: ``class_names``, ``max_batch``, ...

    Raises:
        InputError: If there is no such architecture, or the weights do not fit it.
        MIError: If timm is missing.

    Example:
        ::

            model:
              target:
                class_path: mi_lightning.targets.TimmModel
                init_args: {name: resnet18, weights: faces.safetensors, input_shape: [1, 112, 92]}
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
        input_shape: Sequence[int] | None = None,
        preprocessing: Preprocessing | Callable[[Tensor], Tensor] | None = None,
        **white_box: Any,
    ) -> None:
        """Make the architecture, load the weights, and look at what it answers."""
        package: Any = load_timm()
        check_name(name, package.list_models(), "timm")
        found = read_named(weights)

        def make(**settings: Any) -> nn.Module:
            module: nn.Module = package.create_model(name, pretrained=False, **settings, **(arguments or {}))
            return module

        module = build(make, found, num_classes, ignore, untrained=untrained)
        config = package.data.resolve_model_data_config(module)
        input_shape = tuple(input_shape or config["input_size"])
        if preprocessing is None:
            preprocessing = evaluation_of(config, input_shape)
        super().__init__(
            module, found, untrained=untrained, input_shape=input_shape, preprocessing=preprocessing, **white_box
        )


def evaluation_of(config: dict[str, Any], input_shape: Sequence[int]) -> Preprocessing:
    """Return what timm's evaluation does to images of a shape.

    Args:
        config: Of ``timm.data.resolve_model_data_config``.
        input_shape: Shape of the images, (C, H, W).
    """
    channels, height, width = config["input_size"]
    edge = int(min(height, width) / config["crop_pct"])
    size = shorter_edge(input_shape, edge)
    if config["crop_mode"] == "squash" or min(size[0] - height, size[1] - width) < 0:
        size = (int(height / config["crop_pct"]), int(width / config["crop_pct"]))
    return Preprocessing(
        resize=size,
        interpolation="bicubic" if config["interpolation"] == "bicubic" else "bilinear",
        crop=(height, width),
        channels=channels if channels in (1, 3) else None,
        mean=config["mean"],
        std=config["std"],
    )
