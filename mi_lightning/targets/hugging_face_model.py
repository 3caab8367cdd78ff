"""A folder of Hugging Face that holds a classifier of images, as a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mi_lightning.checkpoint import file_digest, plain_digest
from mi_lightning.errors import InputError
from mi_lightning.extras import load_safetensors, load_transformers
from mi_lightning.io import one_line, read_json
from mi_lightning.targets.preprocessing import Interpolation, Preprocessing, shorter_edge
from mi_lightning.targets.torch_module import LoadedModule
from mi_lightning.targets.weights import Weights

_KNOWN = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_reduce_labels")
_PIL: dict[int, Interpolation] = {0: "nearest", 2: "bilinear", 3: "bicubic"}


class HuggingFaceModel(LoadedModule):
    """A classifier of images that ``save_pretrained`` wrote: a local folder with ``config.json`` and safetensors.

    Nothing is downloaded, and no code of the folder is run: ``trust_remote_code`` is never given, and weights in
    pickles are refused. Weights that are missing in the file, which transformers would draw at random, are an error.

    Args:
        folder: The folder.
        input_shape: Shape of the data's images, (C, H, W); that of the model's own inputs if not given.
        class_names: Name of each class; those of ``id2label`` in the configuration if not given.
        preprocessing: What lies before the model. If not given, that of ``preprocessor_config.json``: its size, crop,
            scale, mean and deviation, for data in [0, 1]. ``{}`` is none.
        untrained: Whether the weights are left as the architecture draws them, for a control; audits set it.
        **white_box: What else :class:`~mi_lightning.targets.WhiteBox` takes: ``max_batch``, ...

    Raises:
        InputError: If the folder holds no such model, or not all of its weights.
        MIError: If transformers or safetensors are missing.

    Example:
        ::

            model:
              target:
                class_path: mi_lightning.targets.HuggingFaceModel
                init_args: {folder: my-vit, input_shape: [3, 128, 128]}
    """

    def __init__(
        self,
        folder: str,
        *,
        input_shape: Sequence[int] | None = None,
        class_names: Sequence[str] | None = None,
        preprocessing: Preprocessing | Callable[[Tensor], Tensor] | None = None,
        untrained: bool = False,
        **white_box: Any,
    ) -> None:
        """Load the model, and look at what it answers."""
        path = Path(folder)
        weights = _weights_of(path)
        _refuse_code(read_json(path / "config.json"), folder)
        load_safetensors()
        package: Any = load_transformers()
        try:
            with _quiet(package.utils.logging), torch.random.fork_rng(devices=[]):
                module, said = package.AutoModelForImageClassification.from_pretrained(
                    folder,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    ignore_mismatched_sizes=True,  # they are listed with the missing ones, and refused below
                    output_loading_info=True,
                )
        except Exception as error:  # what a folder of any kind may raise nobody lists
            raise InputError(
                "a folder with a classifier of images", f"{folder}: {one_line(error)}", "folder"
            ) from error
        wrong = [f"{what.removesuffix('_keys')}: {_first(said[what])}" for what in sorted(said) if said[what]]
        if wrong:
            raise InputError("all weights of the model and no others", f"{folder}, {'; '.join(wrong)}", "folder")
        config = read_json(path / "preprocessor_config.json") if (path / "preprocessor_config.json").is_file() else {}
        if input_shape is None:
            input_shape = _own_shape(module.config, config)
        if preprocessing is None and config:
            preprocessing = preprocessing_of(config, input_shape)
        names = [str(module.config.id2label[index]) for index in range(module.config.num_labels)]
        if class_names is None and names != [f"LABEL_{index}" for index in range(len(names))]:
            class_names = names
        if untrained:
            with torch.random.fork_rng(devices=[]):
                module = type(module)(module.config)
        super().__init__(
            module,
            weights,
            untrained=untrained,
            input_shape=input_shape,
            class_names=class_names,
            preprocessing=preprocessing,
            **white_box,
        )


def preprocessing_of(config: Mapping[str, Any], input_shape: Sequence[int]) -> Preprocessing:
    """Return what an image processor of transformers does to images in [0, 1] of a shape.

    Args:
        config: The content of ``preprocessor_config.json``.
        input_shape: Shape of the images, (C, H, W).

    Raises:
        InputError: If it does anything that :class:`~mi_lightning.targets.Preprocessing` does not.
    """
    unknown = [name for name, value in config.items() if value and _is_unknown(name)]
    if unknown:
        raise InputError(
            "preprocessing, since that of the folder does more than is known here", unknown[0], "preprocessing"
        )
    resize = crop = None
    shape = tuple(input_shape)
    if config.get("do_resize", True) and (size := config.get("size")) is not None:
        edge = size if isinstance(size, int) else size.get("shortest_edge")
        if edge is None:
            resize = (int(size["height"]), int(size["width"]))
        elif "crop_pct" in config and edge < 384:  # as ConvNeXT's: larger, and cut back
            resize, crop = shorter_edge(shape, int(edge / config["crop_pct"])), (edge, edge)
        elif "crop_pct" in config or isinstance(size, int):
            resize = (edge, edge)
        else:
            resize = shorter_edge(shape, edge)
    if config.get("do_center_crop") and (cut := config.get("crop_size")) is not None:
        crop = (cut, cut) if isinstance(cut, int) else (int(cut["height"]), int(cut["width"]))
    # processors count from 0 to 255; mean and deviation are told on the scale of the data here
    factor = 255 * float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 255.0
    mean, std = (config.get(name) if config.get("do_normalize", True) else None for name in ("image_mean", "image_std"))
    return Preprocessing(
        resize=resize,
        interpolation=_PIL.get(config.get("resample", 2), "bilinear"),
        crop=crop,
        channels=3,
        mean=None if mean is None else [value / factor for value in _listed(mean)],
        std=None if std is None else [value / factor for value in _listed(std)],
        scale=None if std is not None or abs(factor - 1) < 1e-9 else factor,
    )


def _is_unknown(name: str) -> bool:
    """Whether a setting of an image processor changes the image in a way that is not known here."""
    return name in ("include_top", "rescale_offset") or (name.startswith("do_") and name not in _KNOWN)


def _listed(value: float | Sequence[float]) -> list[float]:
    return [float(value)] if isinstance(value, int | float) else [float(each) for each in value]


def _own_shape(config: Any, processor: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the shape that a model was made for.

    Raises:
        InputError: If its configuration does not say it.
    """
    size = getattr(config, "image_size", None) or processor.get("crop_size") or processor.get("size")
    if isinstance(size, Mapping):
        size = (size["height"], size["width"]) if "height" in size else size.get("shortest_edge")
    if size is None:
        raise InputError("the shape of the data's images, which this folder does not tell", "none", "input_shape")
    height, width = (size, size) if isinstance(size, int) else size
    return int(getattr(config, "num_channels", 3)), int(height), int(width)


def _weights_of(folder: Path) -> Weights:
    """Find the files of weights, and refuse a folder without."""
    if not (folder / "config.json").is_file():
        raise InputError("a local folder with config.json and safetensors", folder, "folder")
    index = folder / "model.safetensors.index.json"
    names = ["model.safetensors"]
    if index.is_file():
        try:
            names = sorted(set(read_json(index)["weight_map"].values()))
        except (KeyError, AttributeError, TypeError) as error:
            raise InputError("an index of safetensors", f"{index}, which is damaged", "folder") from error
    files = [folder / name for name in names]
    if missing := [file for file in files if file.parent != folder or not file.is_file()]:
        wanted = "weights as safetensors (where you trust others: model.save_pretrained(FOLDER) writes them)"
        raise InputError(wanted, f"{folder} without {missing[0].name}", "folder")
    digests = {file.name: file_digest(file) for file in files}
    digest = next(iter(digests.values())) if len(digests) == 1 else plain_digest(digests)
    return Weights(str(files[0] if len(files) == 1 else folder), digest, "safetensors", {})


def _refuse_code(config: Any, folder: str) -> None:
    """Refuse a configuration that names code, in the folder or on the hub.

    Raises:
        InputError: It names the entry.
    """
    entries = config.items() if isinstance(config, Mapping) else enumerate(config) if isinstance(config, list) else ()
    for name, value in entries:
        kernel = str(name).endswith("_implementation") and "/" in str(
            value
        )  # loaded from the hub whatever is asked for
        if name == "auto_map" or kernel:
            raise InputError("a model without code of its own", f"{folder}, whose configuration has {name}", "folder")
        _refuse_code(value, folder)


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep transformers from printing progress and reports; what is wrong is told in one line."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _first(keys: Any) -> str:
    listed = sorted(map(str, keys))
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")
