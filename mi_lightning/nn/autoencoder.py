"""Denoising autoencoders, one layer and stacked: pure torch, usable without the rest of the library."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from mi_lightning.errors import InputError


class DenoisingAutoencoder(nn.Module):
    """One layer: a tanh encoder and a linear decoder, trained to restore an input of which a part was erased.

    ``code = tanh(W (x - offset) + b)`` and ``reconstruction = V code + c + offset``, with weights of their own for the
    two directions. Source: Vincent, Larochelle, Bengio, Manzagol, *Extracting and composing robust features with
    denoising autoencoders* (ICML 2008), with their masking noise, here called binomial corruption.

    Args:
        inputs: Size of an input.
        hidden: Size of a code.
        corruption: Probability that an element of the input is erased (put to ``offset``) in training, in [0, 1).
        offset: What is taken from every element before the encoder and given back after the decoder: the middle of the
            values. Inputs that are all positive, such as grey levels, drive tanh units into saturation when the
            thousands of weights of a unit grow at the same time, as Adam lets them.
        rescale: Whether the elements that stay are divided by 1 - corruption (counted from ``offset``): what reaches a
            unit keeps its mean, so that a whole input, as after training, is no stronger than those seen in it. False
            is the paper's way.

    Raises:
        InputError: If a size is below 1 or the corruption is outside [0, 1).

    Example:
        >>> autoencoder = DenoisingAutoencoder(6, 2)
        >>> code = autoencoder.encode(torch.rand(5, 6))
        >>> code.shape, autoencoder.decode(code).shape
        (torch.Size([5, 2]), torch.Size([5, 6]))
    """

    def __init__(
        self, inputs: int, hidden: int, *, corruption: float = 0.3, offset: float = 0.0, rescale: bool = True
    ) -> None:
        super().__init__()
        for name, size in (("inputs", inputs), ("hidden", hidden)):
            if size < 1:
                raise InputError(f"{name} >= 1", size, field=name)
        if not 0 <= corruption < 1:
            raise InputError("corruption in [0, 1)", corruption, field="corruption")
        self.corruption, self.offset, self.rescale = corruption, offset, rescale
        self.encoder = nn.Linear(inputs, hidden)
        self.decoder = nn.Linear(hidden, inputs)
        # from zero the decoder learns at once, where a random one first has to be unlearned
        nn.init.zeros_(self.decoder.weight)
        nn.init.zeros_(self.decoder.bias)

    @property
    def inputs(self) -> int:
        """Size of an input."""
        return self.encoder.in_features

    @property
    def hidden(self) -> int:
        """Size of a code."""
        return self.encoder.out_features

    def corrupt(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Erase elements at random.

        Args:
            x: Inputs, shape (N, inputs).
            generator: Source of the random numbers, on the device of ``x``; the global one if None.

        Returns:
            Shape (N, inputs). ``x`` itself if the corruption is 0.
        """
        if self.corruption == 0:
            return x
        stay = torch.rand(x.shape, generator=generator, device=x.device) >= self.corruption
        gain = 1 / (1 - self.corruption) if self.rescale else 1.0
        return (x - self.offset) * (stay * gain) + self.offset

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes, in (-1, 1), shape (N, hidden), of inputs of shape (N, inputs)."""
        return torch.tanh(self.encoder(x - self.offset))

    def decode(self, code: Tensor) -> Tensor:
        """Return the reconstructions, shape (N, inputs), of codes of shape (N, hidden)."""
        decoded: Tensor = self.decoder(code)
        return decoded + self.offset

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode inputs of shape (N, inputs); of corrupted ones in training mode. Same shape."""
        return self.decode(self.encode(self.corrupt(x) if self.training else x))

    def loss(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the training loss: mean squared difference of ``x`` and what is restored from its corrupted form."""
        return mse_loss(self.decode(self.encode(self.corrupt(x, generator))), x)


class StackedDenoisingAutoencoder(nn.Module):
    """Denoising autoencoders on top of each other: each encodes the codes of the one below.

    Args:
        sizes: Size of the input and of each code in turn, such as (10304, 1000, 300).
        corruption: Erased part of the input of each layer, in [0, 1): one number for all layers or one for each.
        offset: Middle of the values of the input. Codes lie around zero, so that deeper layers need none.
        rescale: Whether what is not erased makes up for what is.

    Raises:
        InputError: If there is no layer, a size is below 1, or a corruption is outside [0, 1) or missing.

    Example:
        >>> stack = StackedDenoisingAutoencoder((6, 4, 2))
        >>> stack.encode(torch.rand(5, 6)).shape
        torch.Size([5, 2])
        >>> stack.encode(torch.rand(5, 6), depth=1).shape
        torch.Size([5, 4])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        corruption: float | Sequence[float] = 0.3,
        offset: float = 0.0,
        rescale: bool = True,
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise InputError("the size of the input and of at least one layer", tuple(sizes), field="hidden")
        parts = [corruption] * (len(sizes) - 1) if isinstance(corruption, int | float) else list(corruption)
        if len(parts) != len(sizes) - 1:
            raise InputError(f"one corruption for each of {len(sizes) - 1} layers", len(parts), field="corruption")
        self.layers = nn.ModuleList(
            DenoisingAutoencoder(inputs, hidden, corruption=part, offset=offset if depth == 0 else 0.0, rescale=rescale)
            for depth, ((inputs, hidden), part) in enumerate(zip(itertools.pairwise(sizes), parts, strict=True))
        )

    @property
    def inputs(self) -> int:
        """Size of an input."""
        return self.layer(0).inputs

    @property
    def code_size(self) -> int:
        """Size of the deepest code."""
        return self.layer(-1).hidden

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    def layer(self, index: int) -> DenoisingAutoencoder:
        """Return one layer, 0 the lowest."""
        layer = self.layers[index]
        if not isinstance(layer, DenoisingAutoencoder):
            raise TypeError(f"layer {index} is a {type(layer).__name__}, no DenoisingAutoencoder")
        return layer

    def encode(self, x: Tensor, depth: int | None = None) -> Tensor:
        """Encode inputs of shape (N, inputs).

        Args:
            x: Inputs.
            depth: How many layers to go through; all if None.

        Returns:
            Codes of that depth, shape (N, size of the code).
        """
        for index in range(self.depth if depth is None else depth):
            x = self.layer(index).encode(x)
        return x

    def decode(self, code: Tensor, depth: int | None = None) -> Tensor:
        """Decode codes of a depth, of all layers if None, down to inputs, shape (N, inputs)."""
        for index in reversed(range(self.depth if depth is None else depth)):
            code = self.layer(index).decode(code)
        return code

    def forward(self, x: Tensor) -> Tensor:
        """Encode and decode inputs of shape (N, inputs), nothing erased. Same shape."""
        return self.decode(self.encode(x))
