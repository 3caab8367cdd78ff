from __future__ import annotations

import pytest
import torch
from torch import nn

from mi_lightning.errors import InputError
from mi_lightning.judging.inside import (
    EvaluatorAccuracy,
    Identification,
    features_and_logits,
    nearest_person,
    person_means,
    top_k_hits,
)


def test_top_k_hits():
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    label = torch.tensor([0, 1, 2])
    assert top_k_hits(logits, label, 1).tolist() == [1, 0, 0]
    assert top_k_hits(logits, label, 2).tolist() == [1, 1, 0]
    assert top_k_hits(logits, label, 5).tolist() == [1, 1, 1]  # more names than classes


def test_logits_that_are_not_finite_hit_nothing():
    logits = torch.tensor([[float("nan"), 0.0], [float("inf"), 0.0]])
    assert top_k_hits(logits, torch.tensor([0, 0]), 1).tolist() == [0, 0]


def test_a_person_is_a_direction_and_each_photograph_counts_the_same():
    # the long feature of person 0 would pull a plain mean to its own side
    features = torch.tensor([[100.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    means = person_means(features, torch.tensor([0, 0, 1]), 2)
    torch.testing.assert_close(means, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 1.0]]))


def test_nearest_is_by_angle_whatever_the_length():
    means = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert nearest_person(torch.tensor([[50.0, 10.0], [0.01, 0.02]]), means).tolist() == [0, 1]


def test_people_without_photographs_are_never_nearest():
    means = person_means(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), 3)
    assert nearest_person(torch.tensor([[-1.0, 0.0], [0.0, 1.0]]), means).tolist() == [1, 1]


def test_features_that_are_not_finite_belong_to_nobody():
    assert nearest_person(torch.tensor([[float("nan"), 0.0]]), torch.eye(2)).tolist() == [-1]


def test_features_and_logits_are_those_of_the_evaluator_whatever_the_batch(evaluator, people):
    features, logits = features_and_logits(evaluator, people.train_x, batch_size=4)
    torch.testing.assert_close(features, people.train_x.flatten(1))
    torch.testing.assert_close(logits, evaluator(people.train_x))
    assert not logits.requires_grad


def test_the_evaluator_judges_in_evaluation_mode_and_is_left_as_it_was(evaluator, people):
    expected = evaluator(people.train_x).detach()
    evaluator.head = nn.Sequential(nn.Dropout(0.9), evaluator.head)
    evaluator.train()
    torch.testing.assert_close(features_and_logits(evaluator, people.train_x)[1], expected)
    assert evaluator.training
    assert evaluator.head[0].training


@pytest.mark.parametrize("shape", [(2, 1, 120), (2, 10, 12), (0, 1, 12, 10)])
def test_samples_of_another_shape_are_refused(evaluator, shape):
    with pytest.raises(InputError, match=r"one or more samples of shape \(1, 12, 10\) for the evaluator, got \("):
        features_and_logits(evaluator, torch.zeros(shape))


def test_evaluator_accuracy_over_batches(evaluator, people):
    metric = EvaluatorAccuracy(evaluator)
    wrong = (people.test_y + 1) % 5
    metric.update(people.test_x, people.test_y)
    assert metric.compute() == 1
    metric.update(people.test_x[:3], wrong[:3])
    assert metric.compute() == pytest.approx(5 / 8)
    everybody = EvaluatorAccuracy(evaluator, top_k=5)
    everybody.update(people.test_x, wrong)
    assert everybody.compute() == 1


def test_evaluator_accuracy_refuses_no_guess(evaluator):
    with pytest.raises(InputError, match="top_k >= 1, got 0"):
        EvaluatorAccuracy(evaluator, top_k=0)


def test_identification_over_batches(evaluator, people):
    metric = Identification(evaluator, people.train_x, people.train_y)
    metric.update(people.test_x, people.test_y)
    assert metric.compute() == 1
    metric.update(people.test_x[:3] * 0.2, (people.test_y[:3] + 1) % 5)
    assert metric.compute() == pytest.approx(5 / 8)
