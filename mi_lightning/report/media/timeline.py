"""A reconstruction over time: a few snapshots of what a row had found so far, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mi_lightning.report.inline import webp_uri
from mi_lightning.report.pictures import Pixels

FRAMES = 8  # snapshots of a row that are kept and shown at most
_EDGE = 72  # pixels of the longer side of a snapshot on a page


def kept_frames(count: int, most: int = FRAMES) -> list[int]:
    """Which of ``count`` snapshots are kept: the first, the last, and some between, evenly spaced.

    Example:
        >>> kept_frames(5), kept_frames(100, 3)
        ([0, 1, 2, 3, 4], [0, 50, 99])
    """
    if count <= most:
        return list(range(count))
    return [int(place) for place in np.linspace(0, count - 1, most).round()]


def film(arrays: Mapping[str, NDArray[Any]], index: int) -> dict[str, Any] | None:
    """The snapshots of a row as one picture, if the run kept any.

    Args:
        arrays: Content of ``reconstructions.npz``. ``timeline`` holds pictures of the best iterate so far, uint8, shape
            (frames, L, H, W), (frames, L, H, W, 3) or (frames, L, C, H, W), one for each label that was attacked, in
            rising order of labels; ``timeline_iteration`` the iteration of each frame, shape (frames,).
        index: Row.

    Returns:
        ``strip`` (all frames from the left to the right), ``iterations``, and ``shape`` (width and height of a frame);
        None if there is nothing to see.
    """
    timeline, iterations = arrays.get("timeline"), arrays.get("timeline_iteration")
    if timeline is None or iterations is None or timeline.dtype != np.uint8 or len(timeline) < 2:
        return None
    people = np.unique(arrays["label"])
    if timeline.ndim not in (4, 5) or timeline.shape[1] != len(people) or len(iterations) != len(timeline):
        return None  # of another version: the page does without
    place = int(people.searchsorted(arrays["label"][index]))
    chosen = kept_frames(len(timeline))
    frames = [_small(timeline[frame, place]) for frame in chosen]
    height, width = frames[0].shape[:2]
    return {
        "strip": webp_uri(np.concatenate(frames, axis=1)),
        "iterations": [int(iterations[frame]) for frame in chosen],
        "shape": (width, height),
    }


def _small(frame: NDArray[np.uint8]) -> Pixels:
    if frame.ndim == 3 and frame.shape[0] in (1, 3) and frame.shape[2] != 3:
        frame = np.moveaxis(frame, 0, -1)
    if frame.ndim == 3 and frame.shape[-1] == 1:
        frame = frame[..., 0]
    scale = min(1.0, _EDGE / max(frame.shape[:2]))
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    picture: Pixels = np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.LANCZOS))
    return picture
