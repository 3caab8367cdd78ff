"""The candidate is the input itself, pixel by pixel [F15]."""

from __future__ import annotations

from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.initializers.constant import MidGrey
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.base import InputSpace


class PixelSpace(InputSpace):
    """The candidate is the input itself, pixel by pixel [F15].

    Args:
        initializer: Where the candidates start; mid-grey if None.
        clamp: Whether every update is followed by clamping to the target's input range. [F15] does not say;
            without it values leave the range, and the picture has to be rescaled to be looked at.
    """

    def __init__(self, *, initializer: Initializer | None = None, clamp: bool = True) -> None:
        """Keep the arguments."""
        super().__init__(clamp=clamp)
        self.initializer = initializer or MidGrey()

    def initial(self, rows: Rows) -> Tensor:
        """Return the initial images, shape (R, *input_shape)."""
        return self.initializer(rows, self.input_shape, self.input_range)
