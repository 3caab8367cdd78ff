"""Classifiers that were never trained: the same kind, other weights, something to attack."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mi_lightning.checkpoint import weights_digest
from mi_lightning.classifiers import Classifier, SoftmaxRegression
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.classifiers.untrained import untrained, untrained_copy
from mi_lightning.errors import InputError, MIError
from tests.contracts.test_classifiers import EVERY, make

DATA = {"sha256": "a" * 64, "split": "random", "split_seed": 3}


class Deaf(Classifier):
    """Says the same whatever it is asked."""

    def __init__(self, **classifier):
        super().__init__(**classifier)
        self.head = nn.Linear(1, self.num_classes)
        self.remember()

    def features(self, x):
        return torch.ones(len(x), 1)


@EVERY
def test_every_classifier_has_an_untrained_twin_that_can_be_attacked(part, tmp_path):
    trained = make(part, class_names=["ann", "ben", "cy"])
    trained.training_info = {"test_accuracy": 0.9, "epochs": 7, "fit": {"seed_everything": 0}, "data": DATA}
    save_classifier(trained, tmp_path / "trained.ckpt")
    state = torch.get_rng_state()
    made = untrained_copy(tmp_path / "trained.ckpt", tmp_path / "deep/untrained.ckpt", seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    loaded = load_classifier(tmp_path / "deep/untrained.ckpt")
    assert weights_digest(loaded) == weights_digest(made) != weights_digest(trained)
    assert type(loaded) is part
    assert loaded.init_args == trained.init_args
    # what describes the training is gone, what the judges compare is there
    assert loaded.training_info == {"untrained": True, "seed": 5, "test_accuracy": None, "data": DATA}
    # there is a slope to go down, whatever the class starts from
    low, high = loaded.input_range
    x = torch.rand(3, *loaded.input_shape, generator=torch.Generator().manual_seed(2)) * (high - low) + low
    x.requires_grad_()
    own = loaded(x).log_softmax(1).diagonal().sum()
    (slope,) = torch.autograd.grad(own, x)
    assert bool(slope.isfinite().all())
    assert bool((slope != 0).any())
    # nothing of the trained weights is left but what is no weight
    fresh, kept = dict(loaded.named_parameters()), dict(trained.named_parameters())
    assert not any(torch.equal(fresh[name], kept[name]) for name in fresh)


@EVERY
def test_the_seed_decides_on_the_weights(part):
    trained = make(part)
    first, again, other = (weights_digest(untrained(trained, seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_the_file_is_the_same_each_time_so_that_a_finished_control_is_recognised(tmp_path):
    save_classifier(make(SoftmaxRegression), tmp_path / "trained.ckpt")
    for name in ("a", "b"):
        untrained_copy(tmp_path / "trained.ckpt", tmp_path / name / "untrained.ckpt", seed=1)
    first, second = ((tmp_path / name / "untrained.ckpt").read_bytes() for name in ("a", "b"))
    assert first == second


def test_what_starts_at_zero_is_drawn_as_pytorch_draws_it():
    trained = make(SoftmaxRegression)
    bound = 1 / trained.head.in_features**0.5
    weight = untrained(trained, 0).head.weight.detach()
    assert float(weight.abs().max()) <= bound
    # uniform within the bound: its deviation is bound / sqrt(3)
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=0.1)


def test_what_cannot_be_attacked_untrained_is_refused(tmp_path):
    with pytest.raises(MIError, match="a Deaf that was never trained gives every input the same answer"):
        untrained(Deaf(input_shape=(1, 4, 4), num_classes=3))
    with pytest.raises(InputError, match=r"expected seed >= 0, got -1 \(seed\)"):
        untrained(make(SoftmaxRegression), -1)
    with pytest.raises(MIError, match="no checkpoint at"):
        untrained_copy(tmp_path / "absent.ckpt", tmp_path / "out.ckpt")
    assert not (tmp_path / "out.ckpt").exists()
