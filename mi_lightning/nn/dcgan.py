"""Generator of a deep convolutional generative adversarial network (DCGAN), and reading its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from mi_lightning.checkpoint import read_weights
from mi_lightning.errors import InputError
from mi_lightning.nn.pictures import with_channels

STATE_KEY = "netG_state_dict"


class FaceGenerator(nn.Module):
    """Transposed convolutions from a code to a square picture, each twice as large as the one before.

    Source of the architecture: Radford, Metz, Chintala, *Unsupervised representation learning with deep convolutional
    generative adversarial networks*, arXiv 1511.06434, section 3. The names of the weights are those of the files that
    `load_generator` reads.

    Args:
        code_size: Size of a code, whose elements are independent standard normal numbers.
        widths: Channels after each layer but the last: the first makes 4 x 4 pixels, each further one doubles them.
        colours: Channels of the picture, 3 or 1.

    Raises:
        InputError: If a size is out of its range.

    Example:
        >>> generator = FaceGenerator(code_size=5, widths=(4, 3, 2, 2)).eval()
        >>> generator(torch.zeros(2, 5)).shape
        torch.Size([2, 3, 64, 64])
    """

    def __init__(self, *, code_size: int = 100, widths: Sequence[int] = (512, 256, 128, 64), colours: int = 3) -> None:
        super().__init__()
        if code_size < 1:
            raise InputError("code_size >= 1", code_size)
        if not widths or min(widths) < 1:
            raise InputError("widths >= 1", tuple(widths))
        if colours not in (1, 3):
            raise InputError("1 or 3 colours", colours)
        self.code_size, self.side = code_size, 4 * 2 ** len(widths)
        layers: list[nn.Module] = []
        before = code_size
        for place, width in enumerate(widths):
            stride, padding = (1, 0) if place == 0 else (2, 1)
            layers += [
                nn.ConvTranspose2d(before, width, 4, stride, padding, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            before = width
        layers += [nn.ConvTranspose2d(before, colours, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, code: Tensor) -> Tensor:
        """Return the pictures, shape (N, colours, side, side), in [-1, 1], of codes of shape (N, code_size)."""
        picture: Tensor = self.main(code[:, :, None, None])
        return picture

    def grey(self, code: Tensor) -> Tensor:
        """Return grey pictures, shape (N, 1, side, side), in [0, 1], of codes of shape (N, code_size)."""
        picture: Tensor = self(code)
        return (with_channels(picture, 1) + 1) / 2


def load_generator(path: str | Path, field: str = "weights") -> FaceGenerator:
    """Make the generator whose weights a file holds; the sizes of its layers are read from the weights.

    Nothing in the file is executed: it is read with ``weights_only=True``.

    Args:
        path: File of a state dict under ``netG_state_dict``.
        field: Argument that named the file, for the error.

    Returns:
        The generator on the CPU, in evaluation mode, its parameters frozen.

    Raises:
        InputError: If there is no such file, or it holds something else.
        MIError: If it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("a file of weights of a face generator", f"none at {path}", field)
    content = read_weights(path)
    if not isinstance(content, dict) or not isinstance(content.get(STATE_KEY), Mapping):
        known = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputError(f"an entry {STATE_KEY} in {path}", known or "an empty file", field)
    state = content[STATE_KEY]
    try:
        # weights of transposed convolutions are (in, out, 4, 4); those of batch norm have one dimension
        sizes = [tuple(weight.shape) for weight in state.values() if weight.ndim == 4]
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
            generator = FaceGenerator(
                code_size=sizes[0][0], widths=[size[1] for size in sizes[:-1]], colours=sizes[-1][1]
            )
        generator.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError, IndexError, InputError) as error:
        reason = " ".join(str(error).split())
        raise InputError("weights of a DCGAN generator", f"{path}: {reason}", field) from None
    return generator.requires_grad_(False).eval()
