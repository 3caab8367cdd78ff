from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mi_lightning.report.media.timeline import FRAMES, film, kept_frames

LABELS = np.array([7, 7, 2, 2])  # two restarts of two people; frames come in rising order of labels: 2, 7


def run(frames: int = 3, shape: tuple[int, ...] = (12, 10)) -> dict[str, np.ndarray]:
    """Grey levels that tell frame and person."""
    timeline = np.zeros((frames, 2, *shape), np.uint8)
    for frame in range(frames):
        timeline[frame, 0], timeline[frame, 1] = 20 + 5 * frame, 150 + 5 * frame
    return {"label": LABELS, "timeline": timeline, "timeline_iteration": np.arange(frames) * 5}


def strip(shown: dict) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(shown["strip"].partition(",")[2]))) as image:
        return np.asarray(image.convert("L")).astype(int)


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 3), (1, 12, 10), (3, 12, 10)])
@pytest.mark.parametrize(("index", "level"), [(0, 150), (3, 20)])
def test_frames_of_the_rows_person_from_the_left_to_the_right(shape, index, level):
    shown = film(run(shape=shape), index)
    assert shown["iterations"] == [0, 5, 10]
    assert shown["shape"] == (10, 12)
    pixels = strip(shown)
    assert pixels.shape == (12, 30)
    for frame in range(3):
        assert abs(pixels[:, 10 * frame + 3 : 10 * frame + 7] - (level + 5 * frame)).max() < 6


def test_large_pictures_are_made_small_and_many_frames_few():
    shown = film(run(frames=20, shape=(144, 72)), 0)
    assert shown["shape"] == (36, 72)
    assert len(shown["iterations"]) == FRAMES
    assert (shown["iterations"][0], shown["iterations"][-1]) == (0, 95)


def test_a_run_without_snapshots_or_with_others_shows_none():
    assert film({"label": LABELS}, 0) is None
    good = run()
    assert film(good | {"timeline": good["timeline"][:1]}, 0) is None
    assert film(good | {"timeline": good["timeline"].astype(np.float32)}, 0) is None
    assert film(good | {"timeline": good["timeline"][:, :1]}, 0) is None
    assert film(good | {"timeline_iteration": np.arange(2)}, 0) is None


@pytest.mark.parametrize(("count", "most", "expected"), [(1, 8, [0]), (8, 8, list(range(8))), (9, 3, [0, 4, 8])])
def test_kept_frames(count, most, expected):
    assert kept_frames(count, most) == expected
