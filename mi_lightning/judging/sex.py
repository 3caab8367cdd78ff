"""Infer the sex of the speaker behind each of some d-vectors from real d-vectors of *other* speakers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor


def infer_sex(vectors: Tensor, speaker: Tensor, sexes: Sequence[str], queries: Tensor, of: Tensor) -> list[str]:
    """Infer the sex of the speaker behind each of some d-vectors from real d-vectors of *other* speakers.

    Logistic regression, one for each speaker that is asked about, fitted without that speaker [P23].

    Args:
        vectors: Real d-vectors, shape (N, F).
        speaker: Whose they are, shape (N,), int64.
        sexes: "F" or "M" for each speaker; anything else is unknown and left out.
        queries: D-vectors to judge, shape (R, F).
        of: Speaker of each, shape (R,), int64.

    Returns:
        "F" or "M" for each; "" where the others are not of both sexes, or the d-vector is not finite.
    """
    from sklearn.linear_model import LogisticRegression  # a second that judges of pictures need not wait for

    known = np.array([sexes[k] in ("F", "M") for k in speaker.tolist()])
    sex = np.array([sexes[k] for k in speaker.tolist()])
    x, who = vectors.numpy(), speaker.numpy()
    said = [""] * len(of)
    for label in of.unique().tolist():
        rows = [row for row in (of == label).nonzero()[:, 0].tolist() if bool(queries[row].isfinite().all())]
        others = known & (who != label)
        if not rows or len(set(sex[others].tolist())) < 2:
            continue
        # weighted, since there may be more of one sex; strong enough to separate unit vectors
        model = LogisticRegression(C=100.0, class_weight="balanced", max_iter=1000).fit(x[others], sex[others])
        for row, answer in zip(rows, model.predict(queries[rows].numpy()).tolist(), strict=True):
            said[row] = str(answer)
    return said
