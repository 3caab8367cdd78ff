"""Any function that answers: mi-lightning invert --config black_box.yaml --import black_box."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import mi_lightning as mi


def make() -> None:
    """Write the weights that the function reads."""
    np.save("black_box.npy", np.random.default_rng(0).normal(size=(16 * 12, 6)))


def predict_proba(x: Any) -> Any:
    """Confidences, shape (N, 6), of rows of pixels, shape (N, 192): whatever you can write down."""
    odds = np.exp(x @ np.load(Path("black_box.npy")))
    return odds / odds.sum(1, keepdims=True)


def main() -> None:
    """Attack two of the people, by queries."""
    target = mi.BlackBox(mi.NumpyFunction(predict_proba), input_shape=(1, 16, 12), num_classes=6)
    result = mi.attacks.spsa(pairs=8, delta=0.1, max_iterations=3).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.confidence, target.queries)


if __name__ == "__main__":
    make()
    main()
