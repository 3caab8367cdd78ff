"""Targets of scikit-learn: whose column is whose, files that run no code, and labels alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import skops.io
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mi_lightning.errors import InputError, MIError
from mi_lightning.targets import Preprocessing, SklearnModel, TargetError

SHAPE = (1, 2, 3)
NAMES = ["s1", "s2", "s10"]  # in the order of the data; scikit-learn sorts them s1, s10, s2


class Own(ClassifierMixin, BaseEstimator):
    """An estimator that skops does not know."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, x):
        return np.full((len(x), len(self.classes_)), 1 / len(self.classes_))


def samples():
    generator = np.random.default_rng(0)
    who = np.arange(30) % 3
    return generator.random((30, 6)) + who[:, None] * 0.3, who


def fitted(labels, estimator=None):
    x, who = samples()
    return (LogisticRegression() if estimator is None else estimator).fit(x, np.asarray(labels)[who])


def inputs(n=5):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def flat(x):
    return x.flatten(1).numpy()


def test_it_answers_as_the_estimator_does():
    estimator = fitted([0, 1, 2], make_pipeline(StandardScaler(), LogisticRegression()))
    target = SklearnModel(estimator, input_shape=SHAPE)
    p = target.confidences(inputs())
    np.testing.assert_allclose(p, estimator.predict_proba(flat(inputs())), atol=1e-6)
    assert (target.num_classes, target.class_names, target.queries) == (3, ("0", "1", "2"), 5)
    assert target.describe()["class"] == "sklearn.pipeline.Pipeline"
    assert SklearnModel(estimator).input_shape == (6,)


def test_columns_are_put_into_the_order_of_the_data():
    """Sorted names are in another order than the people of the data: that is how weights come to be judged 2.5%."""
    estimator = fitted(NAMES)
    assert estimator.classes_.tolist() == ["s1", "s10", "s2"]
    said = estimator.predict_proba(flat(inputs()))
    ours = SklearnModel(estimator, input_shape=SHAPE, class_names=NAMES)
    np.testing.assert_allclose(ours.confidences(inputs()), said[:, [0, 2, 1]], atol=1e-6)
    assert ours.class_names == tuple(NAMES)
    theirs = SklearnModel(estimator, input_shape=SHAPE)
    np.testing.assert_allclose(theirs.confidences(inputs()), said, atol=1e-6)
    assert theirs.class_names == ("s1", "s10", "s2")


def test_whole_numbers_are_indices_and_a_person_that_it_never_saw_has_none():
    estimator = fitted([4, 0, 2])
    target = SklearnModel(estimator, input_shape=SHAPE, num_classes=6)
    said = estimator.predict_proba(flat(inputs()))
    p = target.confidences(inputs()).numpy()
    np.testing.assert_allclose(p[:, [0, 2, 4]], said, atol=1e-6)
    assert not p[:, [1, 3, 5]].any()
    named = SklearnModel(fitted([1, 0, 2]), input_shape=SHAPE, class_names=["ann", "bob", "cyd"])
    assert named.class_names == ("ann", "bob", "cyd")


@pytest.mark.parametrize("labels", [[0, 1, 2], NAMES, [2.0, 0.0, 1.0]])
def test_labels_alone(labels):
    estimator = fitted(labels, RandomForestClassifier(5, random_state=0))
    names = NAMES if isinstance(labels[0], str) else None
    target = SklearnModel(estimator, input_shape=SHAPE, class_names=names, label_only=True)
    p = target.confidences(inputs(20))
    who = estimator.predict(flat(inputs(20))).tolist()
    index = [NAMES.index(label) if names else int(label) for label in who]
    assert p.argmax(1).tolist() == index
    assert p.sum(1).tolist() == [1.0] * 20
    assert target.describe()["answers"] == "labels"


def test_preprocessing_comes_before_it_is_flattened():
    estimator = fitted([0, 1, 2])
    target = SklearnModel(estimator, input_shape=(3, 2, 3), preprocessing=Preprocessing(channels=1, scale=2.0))
    x = torch.rand(4, 3, 2, 3, generator=torch.Generator().manual_seed(0))
    grey = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1) * 2
    np.testing.assert_allclose(target.confidences(x), estimator.predict_proba(flat(grey)), atol=1e-5)


def test_a_table_with_names_of_columns():
    x, who = samples()
    estimator = LogisticRegression().fit(x, who)
    estimator.feature_names_in_ = np.asarray([f"pixel {n}" for n in range(6)], dtype=object)
    assert SklearnModel(estimator, input_shape=SHAPE).confidences(inputs()).shape == (5, 3)  # warnings are errors here


def test_a_file_of_skops(tmp_path):
    estimator, file = fitted(NAMES), str(tmp_path / "model.skops")
    skops.io.dump(estimator, file)
    target = SklearnModel(file, input_shape=SHAPE, class_names=NAMES, price_per_query=2.0)
    direct = SklearnModel(estimator, input_shape=SHAPE, class_names=NAMES)
    assert torch.equal(target.confidences(inputs()), direct.confidences(inputs()))
    said = target.describe()
    assert (said["checkpoint"], said["price"]) == (file, 10.0)
    assert len(said["checkpoint_sha256"]) == 64
    assert target.fingerprint() == said["checkpoint_sha256"]
    assert direct.fingerprint() is None


def test_types_of_others_must_be_trusted_by_name(tmp_path):
    file = str(tmp_path / "own.skops")
    skops.io.dump(fitted([0, 1, 2], Own()), file)
    name = f"{Own.__module__}.Own"
    with pytest.raises(InputError, match=rf"types that are trusted by name.*, got {name} in .* \(trusted\)"):
        SklearnModel(file, input_shape=SHAPE)
    assert SklearnModel(file, input_shape=SHAPE, trusted=[name]).confidences(inputs()).shape == (5, 3)


class Evil:
    def __reduce__(self):
        return exec, ("raise SystemExit('run')",)


@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.skops"])
def test_pickles_are_refused_unread(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match=r"a file that skops wrote, got .* a pickle or something else .*skops.io.dump"):
        SklearnModel(str(tmp_path / name), input_shape=SHAPE)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match=r"a file of an estimator, got none at absent.skops \(estimator\)"):
        SklearnModel("absent.skops", input_shape=SHAPE)
    (tmp_path / "half.skops").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(MIError, match=r"half.skops is no file that skops can read"):
        SklearnModel(str(tmp_path / "half.skops"), input_shape=SHAPE)


@pytest.mark.parametrize(
    ("estimator", "settings", "words"),
    [
        (lambda: LogisticRegression(), {}, r"a fitted classifier, which has classes_, got LogisticRegression"),
        (lambda: object(), {}, r"an estimator with predict_proba, or label_only.*, got object"),
        (lambda: fitted([0, 1, 2], LinearSVC()), {}, r"with predict_proba, or label_only, or .*CalibratedClassifierCV"),
        (lambda: fitted([1, 2, 3]), {}, r"indices from 0 to 3, .*, got 1 to 3, which may be counted from 1"),
        (lambda: fitted([1, 2, 3]), {"num_classes": 3}, r"indices from 0 to 2, .*, got 1 to 3, which may be counted"),
        (
            lambda: fitted(["a", "b", "c"]),
            {"class_names": NAMES},
            r"names of all classes_, a, b, c",
        ),
        (lambda: fitted(NAMES), {"num_classes": 4}, r"num_classes 3, as the names say, got 4"),
        (lambda: fitted(NAMES), {"class_names": ["s1", "s1", "s2", "s10"]}, r"names that differ, got the same name"),
        (lambda: fitted([-1, 0, 1]), {}, r"classes_ that are names, or indices of people, got \[-1, 0, 1\]"),
        (lambda: fitted([0, 1, 2]), {"input_shape": (1, 2, 4)}, r"inputs of 6 numbers, .*, got 8 \(input_shape\)"),
        (lambda: fitted([0, 1, 2]), {"tolerance": -1.0}, r"tolerance >= 0, got -1.0"),
    ],
)
def test_what_does_not_fit(estimator, settings, words):
    with pytest.raises(InputError, match=words):
        SklearnModel(estimator(), **{"input_shape": SHAPE, **settings})


def test_an_estimator_of_several_outputs():
    x, who = samples()
    estimator = MultiOutputClassifier(LogisticRegression()).fit(x, np.stack((who, who), 1))
    with pytest.raises(InputError, match=r"one label for each input, got MultiOutputClassifier, which gives several"):
        SklearnModel(estimator, input_shape=SHAPE)


def test_answers_that_are_none():
    class Odd(Own):
        n_features_in_ = 6

        def predict_proba(self, x):
            return np.full((len(x), 2), 0.5)

        def predict(self, x):
            return np.full(len(x), 9)

    odd = Odd().fit(*samples())
    with pytest.raises(TargetError, match=r"expected confidences of shape \(5, 3\), got \(5, 2\)"):
        SklearnModel(odd, input_shape=SHAPE).confidences(inputs())
    with pytest.raises(TargetError, match=r"expected labels of classes_, got .*9"):
        SklearnModel(odd, input_shape=SHAPE, label_only=True).confidences(inputs())
