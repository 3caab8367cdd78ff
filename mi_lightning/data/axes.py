"""What parts that make sense on some inputs only ask of a shape: height and width, or time."""

from __future__ import annotations

from collections.abc import Sequence

from mi_lightning.data.base import AXES, Kind
from mi_lightning.errors import InputError

_LEAST_SIDE = 4  # of what looks like pictures whose channels are last


def channels_last(shape: Sequence[int]) -> bool:
    """Whether a shape looks like a picture with its channels last, (height, width, 1 or 3).

    Example:
        >>> channels_last((64, 64, 3)), channels_last((3, 64, 64)), channels_last((1, 64, 3))
        (True, False, False)
    """
    return len(shape) == 3 and shape[-1] in (1, 3) and min(shape[:2]) >= _LEAST_SIDE


def check_axes(shape: Sequence[int], kind: Kind | None, who: object, field: str = "") -> None:
    """Refuse a shape that lacks the axes that a part works on: on others it would mix up what does not belong together.

    Pictures may have any number of channels here.

    Args:
        shape: Shape of one candidate or input, without the batch.
        kind: ``"picture"`` or ``"sound"``; any shape will do if None.
        who: The part.
        field: Argument that gave it, for the error.

    Raises:
        InputError: If the axes are others.
    """
    shape = tuple(shape)
    if kind is None or (kind == "picture" and len(shape) == 3 and not channels_last(shape)):
        return
    if kind == "sound" and len(shape) == 2 and shape[0] == 1:
        return
    hint = ", whose channels are last" if kind == "picture" and channels_last(shape) else ""
    name = {"channel": "channels", "time": "samples"}
    axes = ", ".join("1" if (kind, axis) == ("sound", "channel") else name.get(axis, axis) for axis in AXES[kind])
    raise InputError(f"{kind}s ({axes}) for {type(who).__name__}", f"shape {shape}{hint}", field)
