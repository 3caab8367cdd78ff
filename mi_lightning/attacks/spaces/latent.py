"""The candidate is a code, which a decoder turns into an input: what cannot be decoded cannot be found [F15]."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.initializers.constant import MidGrey
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.base import Space
from mi_lightning.checkpoint import file_digest, read_weights
from mi_lightning.errors import InputError
from mi_lightning.nn.frozen import frozen_copy
from mi_lightning.public_models.base import FittedDecoder
from mi_lightning.targets.base import Target
from mi_lightning.targets.code_view import Codec, CodeView
from mi_lightning.targets.defenses.base import Defense
from mi_lightning.targets.white_box import WhiteBox


class LatentSpace(Space):
    """The candidate is a code, which a decoder turns into an input: what cannot be decoded cannot be found [F15].

    The cost may look at the code or at the decoded image, and the two are different attacks. ``look_at="code"`` asks
    the last layer of the classifier about the candidate itself, as [F15] does: cheap, since no decoder and no encoder
    runs, but a code may please the last layer and still decode to something that the classifier, asked about the
    picture, takes for another person. ``look_at="image"`` asks the whole target about the decoded picture: what is
    found is an input that the target does recognise, any decoder serves, and so does a target that is only queried.

    Args:
        decoder: Turns codes, shape (N, code_size), into inputs of the target's shape; the decoders of the target's own
            classifier (``StackedDAE``) if None.
        weights: File with the decoder's state dict, read with ``weights_only=True``; as it was made if None.
        weights_key: Entry of the file that holds the state dict; the file itself is one if None.
        code_size: Size of a code; that of the target's own codes if None.
        look_at: What the cost looks at.
        initializer: Where the codes start; the middle of ``code_range`` everywhere if None.
        clamp: Whether every update is followed by clamping to ``code_range``.
        code_range: Lowest and highest value of a code; those of tanh units unless another decoder has others.

    Raises:
        InputError: If an argument is outside its range.
    """

    def __init__(
        self,
        *,
        decoder: nn.Module | None = None,
        weights: str | None = None,
        weights_key: str | None = None,
        code_size: int | None = None,
        look_at: Literal["code", "image"] = "code",
        initializer: Initializer | None = None,
        clamp: bool = True,
        code_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        """Check the arguments; files are opened when the attack starts."""
        super().__init__()
        if look_at not in ("code", "image"):
            raise InputError("look_at code or image", look_at, field="look_at")
        if code_size is not None and code_size < 1:
            raise InputError("code_size >= 1", code_size, field="code_size")
        if not code_range[0] < code_range[1]:
            raise InputError("code_range (low, high) with low < high", tuple(code_range), field="code_range")
        if decoder is None and weights is not None:
            raise InputError("a decoder for the weights", "none", field="decoder")
        # a copy: the module stays as it was. Only with weights of its own does it take memory of its own
        self.decoder = None if decoder is None else _copied(decoder, own_memory=weights is not None)
        self.weights, self.weights_key, self.weights_sha256 = weights, weights_key, ""
        self.code_size, self.look_at = code_size, look_at
        self.asks_about_inputs = look_at == "image"
        self.initializer, self.clamp = initializer or MidGrey(), clamp
        self.code_range = (float(code_range[0]), float(code_range[1]))
        self._encode: Callable[[Tensor], Tensor] | None = None
        self._size = 0

    @property
    def public(self) -> bool:
        """Whether the decoder is not the target's own: then it was learned from other people."""
        return self.decoder is not None

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: Lightning puts every module into training mode when it fits."""
        return super().train(False)

    def bind(self, target: Target) -> None:
        """Load the decoder and try it.

        Raises:
            InputError: If there is no decoder, it fits neither the code nor the target's input, or the cost cannot
                look at the code.
            MIError: If the weights cannot be read.
        """
        super().bind(target)
        white_box = _white_box(target)
        classifier: object = None if white_box is None else white_box.classifier
        codec = classifier if isinstance(classifier, Codec) else None
        if self.look_at == "code" and (codec is None or white_box is not target):
            got = f"a {type(target).__name__}" + ("" if classifier is None else f" of a {type(classifier).__name__}")
            raise InputError(
                "a target in the open whose last layer takes a code (StackedDAE), or look_at image",
                got,
                field="look_at",
            )
        if self.decoder is None and codec is None:
            raise InputError(
                "a decoder, or a target in the open with decoders of its own (StackedDAE)",
                f"none and a {type(target if classifier is None else classifier).__name__}",
                field="decoder",
            )
        own = self.code_size if codec is None else codec.code_size
        self._size = self.code_size or own or 0
        if self._size == 0:
            raise InputError("the code_size of the decoder", "none", field="code_size")
        if own != self._size and (self.look_at == "code" or self.decoder is None):
            raise InputError(f"the code_size of the target, {own}", self._size, field="code_size")
        # the classifier's own methods, not the classifier: it belongs to the target
        self._encode = codec.encode if codec is not None and self.decoder is None else None
        if isinstance(self.decoder, FittedDecoder):
            self.decoder.bind(self.input_shape, self.input_range)
        if self.decoder is not None:
            self._load(self.decoder)
        self._decode: Callable[[Tensor], Tensor] = codec.decode if codec and self.decoder is None else self._given
        self._try_decoder(target if self.decoder is None else self.decoder)

    def initial(self, rows: Rows) -> Tensor:
        """Return the initial codes, shape (R, code_size)."""
        return self.initializer(rows, (self._size,), self.code_range)

    def decode(self, z: Tensor) -> Tensor:
        """Decode codes, shape (R, code_size), and clamp to the input range: a decoder may go beyond, an input not."""
        return self._decode(z).clamp(*self.input_range)

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes, shape (R, code_size), of inputs of shape (R, *input_shape).

        Raises:
            InputError: If nothing is known to encode them: a decoder was given, or the space is not bound.
        """
        if self._encode is None:
            raise InputError(
                "the decoders of the target (StackedDAE), which come with encoders", "others", field="decoder"
            )
        return self._encode(x)

    @property
    def can_encode(self) -> bool:
        """Whether :meth:`encode` works, after :meth:`bind`."""
        return self._encode is not None

    def view(self, target: Target) -> Target:
        """Return the last layer of the classifier if the cost looks at the code, else the target."""
        if self.look_at == "image":
            return target
        codec: object = target.classifier if isinstance(target, WhiteBox) else None
        if not isinstance(target, WhiteBox) or not isinstance(codec, Codec):
            raise RuntimeError("the space is not bound to this target: call bind first")
        return CodeView(target, codec)

    def present(self, z: Tensor) -> Tensor:
        """Return the code, or the input that it stands for, as the cost looks at it."""
        return z if self.look_at == "code" else self.decode(z)

    @torch.no_grad()
    def constrain_(self, z: Tensor) -> None:
        """Clamp to the range of a code, in place, if asked for."""
        if self.clamp:
            z.clamp_(*self.code_range)

    def bounds(self) -> tuple[float, float] | None:
        """Return the range of a code if candidates are kept in it."""
        return self.code_range if self.clamp else None

    def _given(self, z: Tensor) -> Tensor:
        """Decode by the decoder that was given."""
        if self.decoder is None:
            raise RuntimeError("there is no decoder: call bind first")
        x: Tensor = self.decoder(z)
        return x

    def _load(self, decoder: nn.Module) -> None:
        """Put the weights of the file into the decoder."""
        if self.weights is None:
            return
        path = Path(self.weights)
        if not path.is_file():
            raise InputError("a file of weights", f"none at {path}", field="weights")
        content = read_weights(path)
        if self.weights_key is not None:
            if not isinstance(content, dict) or self.weights_key not in content:
                known = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
                raise InputError(f"an entry {self.weights_key} in {path}", known, field="weights_key")
            content = content[self.weights_key]
        try:
            decoder.load_state_dict(content)
        except (RuntimeError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"weights that fit {type(decoder).__name__}", f"{path}: {reason}", field="weights"
            ) from None
        self.weights_sha256 = file_digest(path)

    @torch.no_grad()
    def _try_decoder(self, owner: nn.Module) -> None:
        """Decode one code, on the device of the weights."""
        device = next((parameter.device for parameter in owner.parameters()), None)
        name = "the target's decoders" if self.decoder is None else type(self.decoder).__name__
        try:
            x = self._decode(torch.zeros(1, self._size, device=device))
        except (RuntimeError, ValueError, IndexError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"a decoder of codes of size {self._size}", f"{name}: {reason}", field="decoder") from None
        expected = (1, *self.input_shape)
        if not isinstance(x, Tensor) or tuple(x.shape) != expected:
            got = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise InputError(f"a decoder to inputs of shape {expected}", f"{name} to {got}", field="decoder")


def _copied(decoder: nn.Module, *, own_memory: bool) -> nn.Module:
    """Copy a decoder, frozen and in evaluation mode.

    Args:
        decoder: The decoder.
        own_memory: Whether its parameters are to be changed.
    """
    return copy.deepcopy(decoder).requires_grad_(False).eval() if own_memory else frozen_copy(decoder)


def _white_box(target: Target) -> WhiteBox | None:
    """Return the white box behind a target's defenses, None if there is none."""
    while isinstance(target, Defense):
        target = target.inner
    return target if isinstance(target, WhiteBox) else None
