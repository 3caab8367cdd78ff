"""A recogniser of one's own: any module, ONNX file or function that turns inputs into vectors."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mi_lightning.checkpoint import class_path, weights_digest
from mi_lightning.errors import InputError
from mi_lightning.extras import MissingPackageError
from mi_lightning.imports import check_path
from mi_lightning.io import one_line
from mi_lightning.nn.frozen import evaluation_mode
from mi_lightning.nn.onnx_file import OnnxFile
from mi_lightning.nn.pictures import fit_pictures, is_picture
from mi_lightning.recognisers.base import METRICS, Embeddings, Kind, Metric, MissingRecogniserError, Recogniser

_log = logging.getLogger(__name__)

Function = Callable[[Tensor], Tensor]


class Embedder(Recogniser):
    """Makes a recogniser of a network that turns inputs into vectors, near for one person and far for two.

    Use one that was trained on other people than those who are judged: that is what a recogniser is.

    Args:
        network: A module, which is asked in evaluation mode and left as it was; a function of a batch; the path of an
            ONNX file with one input and, first, an output of vectors; or ``"package.module:name"`` of a module or a
            function (of ``"package.module:name()"`` what it returns is taken).
        kind: Kind of samples that it takes; any if None.
        metric: Distance between two vectors.
        input_range: Least and greatest value that the network expects; samples are brought to it. As they are if None.
        input_shape: Channels, height and width of the pictures that the network takes; others are resized, grey and
            colour are made of each other. As they are if None.
        preprocess: What is done to a batch (N, *input_shape) before the network sees it, such as cropping, or
            ``"package.module:name"`` of it.
        batch_size: Samples that the network takes at a time, at most.
        name: What it is called in results; the network's own name if None.
        trained_on: Whose pictures or sounds it was trained on, for the report.

    Raises:
        InputError: If an argument is none of these.
    """

    def __init__(
        self,
        network: nn.Module | Function | str,
        *,
        kind: Kind | None = None,
        metric: Metric = "cosine",
        input_range: tuple[float, float] | None = None,
        input_shape: Sequence[int] | None = None,
        preprocess: Function | str | None = None,
        batch_size: int = 64,
        name: str | None = None,
        trained_on: str = "not stated",
    ) -> None:
        """Check the arguments; files and modules are opened by `check`, or on first use."""
        super().__init__()
        if not callable(network) and not (isinstance(network, str) and (_is_file(network) or ":" in network)):
            raise InputError(
                "a module, a function, the path of an .onnx file or package.module:name", repr(network), "network"
            )
        if metric not in METRICS:
            raise InputError(f"a metric of {', '.join(METRICS)}", metric, "metric")
        if kind not in ("picture", "sound", "other", None):
            raise InputError("a kind of picture, sound, other", kind, "kind")
        if input_range is not None and not input_range[0] < input_range[1]:
            raise InputError("a least value below the greatest", input_range, "input_range")
        if input_shape is not None and not is_picture(input_shape):
            raise InputError(
                "the shape of pictures (1 or 3 channels, height, width)", tuple(input_shape), "input_shape"
            )
        if preprocess is not None and not callable(preprocess) and ":" not in preprocess:
            raise InputError("a function or package.module:name", repr(preprocess), "preprocess")
        if batch_size < 1:
            raise InputError("batch_size >= 1", batch_size, "batch_size")
        self.network, self.preprocess, self.input_range = network, preprocess, input_range
        self.kind, self.metric, self.batch_size = kind, metric, batch_size
        self.input_shape = None if input_shape is None else tuple(int(side) for side in input_shape)
        self.name, self.trained_on = name or _name_of(network), trained_on
        self._digest = ""

    def check(self) -> None:
        """See that the network can be loaded.

        Raises:
            InputError: If there is no such file, module or name.
            MissingRecogniserError: If it is an ONNX file and onnxruntime is not installed.
            MIError: If the file holds no network that can be run.
        """
        _ = self._function, self._prepare

    def describe(self) -> dict[str, Any]:
        """Return what it is; the digest is that of the file or of the module's weights, none of a function."""
        self.check()
        sizes = {len(vector) for vector, _ in self.memory.values()}
        return {
            "class": class_path(type(self)),
            "name": self.name,
            "weights": self._weights(),
            "trained_on": self.trained_on,
            "metric": self.metric,
            "embedding_size": next(iter(sizes), None),
            **({} if self.input_shape is None else {"input_shape": list(self.input_shape)}),
        }

    def embed(
        self,
        samples: Tensor | Sequence[Tensor],
        *,
        value_range: tuple[float, float],
        sample_rate: int | None = None,
    ) -> Embeddings:
        """Embed samples, see `Recogniser.embed`; what was embedded by other weights of the module is forgotten."""
        if isinstance(self._function, nn.Module):
            digest = weights_digest(self._function)
            if digest != self._digest:
                self.memory, self._digest = {}, digest
        return super().embed(samples, value_range=value_range, sample_rate=sample_rate)

    @torch.no_grad()
    def embed_new(
        self, samples: list[Tensor], *, value_range: tuple[float, float], sample_rate: int | None
    ) -> Embeddings:
        """Embed samples, those of one shape together.

        Raises:
            InputError: If what comes back are not vectors of one size, one for each sample.
        """
        by_shape: dict[torch.Size, list[int]] = {}
        for place, sample in enumerate(samples):
            by_shape.setdefault(sample.shape, []).append(place)
        found: dict[int, Tensor] = {}
        with evaluation_mode(self._function):
            for places in by_shape.values():
                for start in range(0, len(places), self.batch_size):
                    batch = places[start : start + self.batch_size]
                    found.update(
                        zip(batch, self._vectors([samples[place] for place in batch], value_range), strict=True)
                    )
        vectors = [found[place] for place in range(len(samples))]
        sizes = sorted({len(vector) for vector in vectors} | {len(vector) for vector, _ in self.memory.values()})
        if len(sizes) > 1:
            raise InputError(f"vectors of one size from {self.name}", f"sizes {', '.join(map(str, sizes))}", "network")
        stacked = torch.stack(vectors)
        unusable = int((~stacked.isfinite().all(1)).sum())
        if unusable:
            _log.warning(
                "%s gives no number for %d of %d samples: nobody is recognised", self.name, unusable, len(samples)
            )
        return Embeddings(stacked, torch.ones(len(samples), dtype=torch.bool))

    def _vectors(self, samples: list[Tensor], value_range: tuple[float, float]) -> Tensor:
        """Ask about one batch."""
        x = torch.stack(samples)
        if self.input_shape is not None:
            x = fit_pictures(x, self.input_shape)
        if self.input_range is not None:
            (low, high), (least, most) = value_range, self.input_range
            x = least + (x - low) * ((most - least) / (high - low))
        x = x if self._prepare is None else self._prepare(x)
        function = self._function
        if isinstance(function, nn.Module):
            device = next((weight.device for weight in function.parameters()), x.device)
            x = x.to(device)
        try:
            vectors = function(x)
        except (RuntimeError, ValueError, TypeError) as error:
            got = f"{tuple(x.shape)}, of which it says: {one_line(error)}"
            raise InputError(f"a network that takes these inputs ({self.name})", got, "network") from error
        if not isinstance(vectors, Tensor) or vectors.ndim != 2 or len(vectors) != len(samples) or not vectors.numel():
            got = f"shape {tuple(vectors.shape)}" if isinstance(vectors, Tensor) else type(vectors).__name__
            raise InputError(f"vectors ({len(samples)}, E) from {self.name}", got, "network")
        return vectors.detach().to("cpu", torch.float32)

    @cached_property
    def _function(self) -> nn.Module | Function:
        if not isinstance(self.network, str):
            return self.network
        if not _is_file(self.network):
            imported: Function = _imported(self.network, "network")
            return imported
        try:
            return OnnxFile(self.network, what="recogniser", field="network")
        except MissingPackageError as error:
            raise MissingRecogniserError(str(error)) from error

    @cached_property
    def _prepare(self) -> Function | None:
        return _imported(self.preprocess, "preprocess") if isinstance(self.preprocess, str) else self.preprocess

    def _weights(self) -> dict[str, str]:
        if isinstance(self._function, nn.Module):
            return {self.name: weights_digest(self._function)}
        if isinstance(self._function, OnnxFile):
            return {Path(self._function.path).name: self._function.sha256}
        return {}


def _imported(path: str, field: str) -> Any:
    """Import ``package.module:name``, or what ``package.module:name()`` returns."""
    module, _, name = path.partition(":")
    check_path(module, field)  # a configuration names it: whoever runs that has said which code may run
    try:
        found: Any = import_module(module)
        for part in name.removesuffix("()").split("."):
            found = getattr(found, part)
        if inspect.isroutine(found) or inspect.isclass(found):
            check_path(f"{found.__module__}.{found.__name__}", field)  # it may come from elsewhere: `module:os.system`
        made: Any = found() if name.endswith("()") and callable(found) else found
    except InputError:
        raise
    except Exception as error:
        raise InputError("package.module:name that can be imported", f"{path}: {one_line(error)}", field) from error
    if not callable(made) or inspect.isclass(made):
        raise InputError("a function or a module", f"{path}, which is {type(made).__name__}", field)
    return made


def _is_file(network: str) -> bool:
    return network.endswith(".onnx")


def _name_of(network: nn.Module | Function | str) -> str:
    if isinstance(network, str):
        return Path(network).name if _is_file(network) else network
    return type(network).__name__ if isinstance(network, nn.Module) else getattr(network, "__name__", "function")
