"""Utility through a defense: calibration against an independent reference, accuracy of what is released."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from mi_lightning.errors import InputError
from mi_lightning.judging.calibration import Utility, calibration_error, measure_utility
from mi_lightning.targets import BlackBox
from mi_lightning.targets.defenses import GaussianNoise, Rounding

TABLE = torch.tensor([[0.70, 0.20, 0.10], [0.30, 0.36, 0.34], [0.30, 0.34, 0.36], [0.05, 0.90, 0.05]])
PERSON = torch.tensor([0, 1, 1, 1])  # the third photograph is taken for another person


@pytest.fixture
def target():
    """Answers with a line of the table: the number of the line is in the first pixel."""
    return BlackBox(lambda x: TABLE[x[:, 0, 0, 0].long()], input_shape=(1, 2, 2), num_classes=3, input_range=(0, 3))


@pytest.fixture
def photographs():
    return torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_error_agrees_with_torchmetrics(bins):
    generator = torch.Generator().manual_seed(0)
    p = (3 * torch.randn(500, 7, generator=generator)).softmax(1)
    y = torch.randint(7, (500,), generator=generator)
    confidence, guess = p.double().max(1)
    expected = multiclass_calibration_error(p.double(), y, num_classes=7, n_bins=bins)
    found = calibration_error(confidence.numpy(), (guess == y).double().numpy(), bins=bins)
    assert float(found) == pytest.approx(float(expected), abs=1e-6)


def test_calibration_error_by_hand():
    # two bins of ten: (0.3 s, one of two right) and (0.9 s, both right)
    confidence, correct = np.array([0.32, 0.34, 0.91, 0.95]), np.array([1.0, 0.0, 1.0, 1.0])
    assert float(calibration_error(confidence, correct, bins=10)) == pytest.approx(0.5 * 0.17 + 0.5 * 0.07)
    assert float(calibration_error(np.ones(3), np.ones(3))) == 0  # a confidence of 1 is in the last bin
    both = calibration_error(np.stack([confidence, confidence]), np.stack([correct, correct]), bins=10)
    assert both.tolist() == pytest.approx([0.12, 0.12])
    with pytest.raises(InputError, match="bins >= 1, got 0"):
        calibration_error(confidence, correct, bins=0)


def test_a_target_that_repeats_itself_is_asked_once(target, photographs):
    utility = measure_utility(target, photographs, PERSON)
    assert utility.correct.tolist() == [[1, 1, 0, 1]]
    assert utility.confidence[0] == pytest.approx([0.7, 0.36, 0.36, 0.9])
    assert utility.accuracy == 0.75
    assert target.queries == 8  # twice, to see that the answers are the same


def test_rounding_ties_go_to_the_first_person(target, photographs):
    released = Rounding(r=0.35).wrap(target)
    utility = measure_utility(released, photographs, PERSON)
    # 0.70 -> 2 steps; 0.36 -> 1; 0.36 -> 1 (of another person); 0.90 -> 2: each alone, so 1 is released
    assert utility.confidence.tolist() == [[1, 1, 1, 1]]
    nothing = measure_utility(Rounding(r=1.0).wrap(target), photographs, PERSON)
    assert nothing.confidence[0] == pytest.approx([1 / 3] * 4)
    assert nothing.correct.tolist() == [[1, 0, 0, 0]]  # uniform: the first class is taken


def test_noise_is_averaged_over_passes_and_drawn_from_the_start(target, photographs):
    noisy = GaussianNoise(sigma=0.05).wrap(target)
    first = measure_utility(noisy, photographs, PERSON, passes=30)
    assert first.correct.shape == (30, 4)
    assert set(first.correct[:, [0, 3]].ravel()) == {1}  # far from its rivals
    assert 0 < first.per_photograph[1] < 1  # 0.36 against 0.34
    again = measure_utility(noisy, photographs, PERSON, passes=30)
    assert np.array_equal(first.confidence, again.confidence)


def test_intervals_enclose_what_was_found():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, (5, 80))
    utility = Utility(confidence, (rng.random((5, 80)) < confidence).astype(float))
    low, high = utility.accuracy_interval()
    assert low < utility.accuracy < high
    # the spread of a mean over photographs, not over answers
    assert (high - low) / 3.92 == pytest.approx(utility.per_photograph.std() / np.sqrt(80), rel=0.1)
    low, high = utility.calibration_interval()
    assert 0 <= low < high < 0.3


def test_nothing_to_measure(target, photographs):
    with pytest.raises(InputError, match="one or more photographs, got 0"):
        measure_utility(target, photographs[:0], PERSON[:0])
    with pytest.raises(InputError, match="passes >= 1, got 0"):
        measure_utility(target, photographs, PERSON, passes=0)


def test_the_target_s_batch_limit_holds():
    sizes = []

    def answer(x):
        sizes.append(len(x))
        return TABLE[x[:, 0, 0, 0].long()]

    shape = {"input_shape": (1, 2, 2), "num_classes": 3, "input_range": (0, 3)}
    x, y = torch.arange(4.0).repeat(150).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2), PERSON.repeat(150)
    limited = measure_utility(BlackBox(answer, max_batch=7, **shape), x, y)
    assert max(sizes) == 7
    free = measure_utility(BlackBox(answer, **shape), x, y)
    assert max(sizes) > 7
    np.testing.assert_array_equal(limited.confidence, free.confidence)
    assert sum(sizes) == 4 * len(x)  # two passes each, to see that the answers are not random
