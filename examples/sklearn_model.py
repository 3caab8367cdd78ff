"""An estimator of scikit-learn, from a file of skops: mi-lightning invert --config sklearn_model.yaml."""

from __future__ import annotations

import numpy as np
import skops.io
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

import mi_lightning as mi

PEOPLE = ["s1", "s2", "s3", "s8", "s9", "s10"]  # scikit-learn sorts names: s1, s10, s2, ...


def make() -> None:
    """Write the file that a training would have left: noise of six kinds, pictures of nobody."""
    draw = np.random.default_rng(0)
    faces = draw.random((6, 16 * 12)).repeat(8, 0)
    pictures = (faces + draw.normal(0, 0.1, faces.shape)).clip(0, 1)
    estimator = make_pipeline(PCA(5), LinearSVC())
    skops.io.dump(estimator.fit(pictures, np.repeat(PEOPLE, 8)), "sklearn_model.skops")


def main() -> None:
    """Attack two of the people by labels alone: this estimator has no probabilities."""
    target = mi.SklearnModel("sklearn_model.skops", label_only=True, input_shape=(1, 16, 12), class_names=PEOPLE)
    result = mi.attacks.spsa(pairs=8, delta=0.1, max_iterations=3).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.name, target.queries)


if __name__ == "__main__":
    make()
    main()
