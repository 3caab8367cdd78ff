"""What every judge and every metric of `mi_lightning.judging` promises: a new one is tested by being exported.

One that these tests do not know how to build needs a line in ``JUDGES`` or ``METRICS``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, normalized_root_mse, peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics import Metric

import mi_lightning.judging
from mi_lightning.attacks.result import InversionResult
from mi_lightning.judging import Judge, likeness
from tests.judging.conftest import NAMES, StandIns, template_matcher
from tests.judging.voices import ToneEar, ToneSpeakers


@dataclass(frozen=True)
class Case:
    """A judge with test samples of the people that it knows, one of each, and noise like them."""

    make: Callable[[], Judge]
    real: Tensor
    names: tuple[str, ...]


def of_pictures() -> Case:
    people = StandIns()
    people.setup()
    return Case(lambda: Judge(template_matcher(people), people), people.test_x, NAMES)


def of_voices() -> Case:
    speakers, ear = ToneSpeakers(), ToneEar(sharpness=15.0).eval()
    speakers.setup()
    heard = dict(speakers.utterances("test"))
    real = torch.stack([heard[label] for label in range(speakers.num_classes)])
    kind = mi_lightning.judging.SpeechJudge
    return Case(
        lambda: kind(ear, speakers, target=ToneEar().eval(), vocoder=torch.nn.Identity()), real, speakers.class_names
    )


#: How to build a judge of each class.
JUDGES: dict[str, Callable[[], Case]] = {"Judge": of_pictures, "SpeechJudge": of_voices}


def exported(kind: type) -> list[str]:
    parts = {name: getattr(mi_lightning.judging, name) for name in mi_lightning.judging.__all__}
    return sorted(name for name, part in parts.items() if inspect.isclass(part) and issubclass(part, kind))


def example(table: dict[str, Callable], name: str, title: str) -> Callable:
    if name not in table:
        pytest.fail(f"mi_lightning.judging exports {name}: add how to build one to {title} in {__file__}")
    return table[name]


@pytest.fixture(scope="module", params=exported(Judge))
def case(request: pytest.FixtureRequest) -> Case:
    return example(JUDGES, request.param, "JUDGES")()


@pytest.fixture(scope="module")
def judge(case: Case) -> Judge:
    return case.make()


def result_of(case: Case, x: Tensor, label: Tensor) -> InversionResult:
    rows = len(label)
    return InversionResult(
        label=label,
        name=tuple(case.names[k] for k in label.tolist()),
        restart=torch.zeros(rows, dtype=torch.int64),
        candidate=x.clone(),
        reconstruction=x,
        cost=torch.full((rows,), 0.1),
        confidence=torch.linspace(0.5, 0.9, rows),
        iterations=torch.ones(rows, dtype=torch.int64),
        stop_reason=("max_iterations",) * rows,
        queries=torch.ones(rows, dtype=torch.int64),
        seconds=torch.ones(rows),
    )


def everybody(case: Case) -> InversionResult:
    return result_of(case, case.real, torch.arange(len(case.names)))


def shares(numbers: dict[str, float]) -> dict[str, float]:
    """Shares of people who are named right, by whoever names one of all of them, of what the attack itself found."""
    names = ("evaluator_top1", "identification_top1", "target_top1")
    return {name: value for name, value in numbers.items() if name in names}


def test_examples_are_of_what_is_exported():
    assert sorted(JUDGES) == exported(Judge)
    assert sorted(METRICS) == exported(Metric)


def test_real_test_samples_are_recognised(case, judge):
    said = judge.judge(everybody(case))
    assert len(shares(said.summary)) >= 2
    assert set(shares(said.summary).values()) == {1.0}
    assert said.evaluator_guess.tolist() == list(range(len(case.names)))


def test_shuffled_names_are_at_chance(case, judge):
    """Over all rotations of the names but the right one, nobody is named right."""
    count = len(case.names)
    for shift in range(1, count):
        label = torch.arange(count).roll(shift)
        said = judge.judge(result_of(case, case.real, label))
        assert set(shares(said.summary).values()) == {0.0}
    assert set(shares(judge.judge(everybody(case)).controls["shuffled"]).values()) == {0.0}
    # every name given to every sample: right once a sample, which is chance
    rows = torch.arange(count)
    said = judge.judge(result_of(case, case.real.repeat_interleave(count, 0), rows.repeat(count)))
    for name in shares(said.summary):
        assert float(said.per_row[name].mean()) == pytest.approx(said.chance[name])


def test_noise_is_near_chance_and_drawn_from_the_seed(case, judge):
    noise = shares(judge.judge(everybody(case)).controls["noise"])
    assert max(noise.values()) <= 0.5
    again = case.make().judge(everybody(case)).controls["noise"]
    assert shares(again) == noise


def test_scores_do_not_depend_on_the_order_of_the_rows(case, judge):
    generator = torch.Generator().manual_seed(0)
    found = everybody(case)
    low, high = judge.input_range
    mixed = found.reconstruction + 0.2 * (high - low) * torch.randn(found.reconstruction.shape, generator=generator)
    order = torch.randperm(len(found), generator=generator)
    said = judge.judge(result_of(case, mixed, found.label))
    other = judge.judge(result_of(case, mixed[order], found.label[order]))
    assert set(said.per_row) == set(other.per_row)
    for name in said.per_row:
        if name != "confidence":  # the target's, which the result says row by row
            torch.testing.assert_close(other.per_row[name], said.per_row[name][order], msg=name, equal_nan=True)
    for name, value in said.summary.items():
        assert other.summary[name] == pytest.approx(value, rel=1e-4, abs=1e-6, nan_ok=True), name
    assert torch.equal(other.evaluator_guess, said.evaluator_guess[order])


def test_a_row_is_judged_for_itself(case, judge):
    whole = judge.judge(everybody(case))
    alone = judge.judge(result_of(case, case.real[[2]], torch.tensor([2])))
    for name, value in alone.per_row.items():
        if name != "confidence":
            torch.testing.assert_close(value, whole.per_row[name][[2]], atol=1e-5, rtol=1e-4, msg=name, equal_nan=True)


def test_what_is_not_finite_harms_no_other_row(case, judge):
    broken = case.real.clone()
    broken[0] = torch.nan
    said = judge.judge(result_of(case, broken, torch.arange(len(case.names))))
    whole = judge.judge(everybody(case))
    assert said.per_row["evaluator_confidence"][1:].tolist() == pytest.approx(
        whole.per_row["evaluator_confidence"][1:].tolist(), abs=1e-5
    )


def test_the_random_state_and_the_evaluator_are_left_alone(case, judge):
    state, weights = torch.get_rng_state(), {k: v.clone() for k, v in judge.evaluator.state_dict().items()}
    judge.evaluator.train()
    judge.judge(everybody(case))
    assert judge.evaluator.training
    judge.evaluator.eval()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in judge.evaluator.state_dict().items())


def test_numbers_have_their_names_and_shapes(case, judge):
    said = judge.judge(everybody(case))
    rows = len(case.names)
    assert all(value.shape == (rows,) for value in said.per_row.values())
    titles = {name.removesuffix("_mean") for name in said.summary}
    assert titles == set(said.per_row)
    for numbers in said.controls.values():
        assert set(shares(said.summary)) <= set(numbers) <= set(said.summary) - {"confidence_mean"}
    assert set(said.chance) <= set(said.per_row)
    assert said.class_names == tuple(case.names)


def test_the_judge_says_who_it_is_in_plain_values(case, judge):
    said = judge.describe()
    assert json.loads(json.dumps(said)) == said
    assert said["data"] == judge.references.describe()
    assert len(said["evaluator"]["weights_sha256"]) == 64


# ------------------------------------------------------------------------------------------------ metrics

SHAPE = (1, 12, 16)
ROWS = 9


def pictures() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    original = torch.rand(ROWS, *SHAPE, generator=generator)
    return (original + 0.2 * torch.randn(original.shape, generator=generator)).clamp(0, 1), original


def by_skimage(function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[Tensor, Tensor], float]:
    def mean(x: Tensor, y: Tensor) -> float:
        pairs = zip(x.double().numpy(), y.double().numpy(), strict=True)
        return float(np.mean([function(original[0], found[0]) for found, original in pairs]))

    return mean


def ssim_with_mirrored_edges(original: np.ndarray, found: np.ndarray) -> float:
    """scikit-image's map of the similarity, of the mirrored images, without what it would leave out."""
    wide = [np.pad(image, 5, mode="reflect") for image in (original, found)]
    _, each = structural_similarity(
        *wide, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return float(each[5:-5, 5:-5].mean())


@dataclass(frozen=True)
class Gauge:
    """A metric, a batch to update it with, and what somebody else computes of the same batch."""

    make: Callable[[], Metric]
    batch: tuple[Tensor, Tensor]
    expected: Callable[[Tensor, Tensor], float]


def gauge_of(name: str, function: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[], Gauge]:
    return lambda: Gauge(getattr(mi_lightning.judging, name), pictures(), by_skimage(function))


def people_seen() -> tuple[StandIns, tuple[Tensor, Tensor]]:
    """Noisy photographs, some of which are taken for somebody else."""
    people = StandIns()
    people.setup()
    generator = torch.Generator().manual_seed(1)
    label = torch.arange(5).repeat(8)
    x = people.test_x[label] + 3.0 * torch.randn(len(label), *people.input_shape, generator=generator)
    return people, (x, label)


def named_by_the_evaluator() -> Gauge:
    people, batch = people_seen()
    matcher = template_matcher(people)
    weight, bias = (part.detach().double().numpy() for part in (matcher.head.weight, matcher.head.bias))

    def share(x: Tensor, label: Tensor) -> float:
        logits = x.flatten(1).double().numpy() @ weight.T + bias
        return float((logits.argmax(1) == label.numpy()).mean())

    return Gauge(lambda: mi_lightning.judging.EvaluatorAccuracy(matcher), batch, share)


def nearest_in_feature_space() -> Gauge:
    people, batch = people_seen()
    matcher = template_matcher(people)  # its features are the pixels

    def share(x: Tensor, label: Tensor) -> float:
        gallery = people.train_x.flatten(1).double().numpy()
        gallery /= np.linalg.norm(gallery, axis=1, keepdims=True)
        means = np.stack([gallery[people.train_y.numpy() == k].mean(0) for k in range(5)])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        found = (x.flatten(1).double().numpy() @ means.T).argmax(1)  # the length of a row changes no order
        return float((found == label.numpy()).mean())

    make = mi_lightning.judging.Identification
    return Gauge(lambda: make(matcher, people.train_x, people.train_y), batch, share)


#: How to build each metric, and its independent reference.
METRICS: dict[str, Callable[[], Gauge]] = {
    "EvaluatorAccuracy": named_by_the_evaluator,
    "Identification": nearest_in_feature_space,
    "ReconstructionMSE": gauge_of("ReconstructionMSE", mean_squared_error),
    "ReconstructionNRMSE": gauge_of("ReconstructionNRMSE", normalized_root_mse),
    "ReconstructionPSNR": gauge_of("ReconstructionPSNR", lambda y, x: peak_signal_noise_ratio(y, x, data_range=1.0)),
    "ReconstructionSSIM": gauge_of("ReconstructionSSIM", ssim_with_mirrored_edges),
}


@pytest.fixture(scope="module", params=exported(Metric))
def gauge(request: pytest.FixtureRequest) -> Gauge:
    return example(METRICS, request.param, "METRICS")()


def value_of(metric: Metric, *batches: tuple[Tensor, Tensor]) -> float:
    for batch in batches:
        metric.update(*batch)
    return float(metric.compute())


def test_the_value_is_that_of_an_independent_reference(gauge):
    expected = gauge.expected(*gauge.batch)
    assert value_of(gauge.make(), gauge.batch) == pytest.approx(expected, rel=1e-4)
    assert expected not in (0.0, 1.0)  # or the batch would tell nothing


def test_the_value_does_not_depend_on_batches_or_order(gauge):
    x, y = gauge.batch
    expected = value_of(gauge.make(), gauge.batch)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    parts = [(x[index], y[index]) for index in order.split([1, 3, len(x) - 4])]
    assert value_of(gauge.make(), *parts) == pytest.approx(expected, rel=1e-5)


def test_reset_forgets_everything(gauge):
    x, y = gauge.batch
    metric = gauge.make()
    value_of(metric, (x[:3], y[:3]))
    metric.reset()
    assert value_of(metric, gauge.batch) == pytest.approx(value_of(gauge.make(), gauge.batch), rel=1e-6)


def test_better_is_the_direction_that_it_says(gauge):
    """Reconstructions that come nearer to the truth change the value the way it says."""
    x, y = gauge.batch
    if y.ndim == 1:  # labels: the photograph of the person is nearer
        people = StandIns()
        people.setup()
        truth = people.test_x[y]
    else:
        truth = y
    nearer = value_of(gauge.make(), (x.lerp(truth, 0.8), y))
    farther = value_of(gauge.make(), gauge.batch)
    assert (nearer > farther) == gauge.make().higher_is_better
    assert nearer != farther


@pytest.mark.parametrize("name", sorted(likeness.MEASURES))
def test_every_measure_of_the_judge_has_a_metric_of_the_same_value(name):
    x, y = pictures()
    metric = getattr(mi_lightning.judging, f"Reconstruction{name.upper()}")()
    assert value_of(metric, (x, y)) == pytest.approx(float(likeness.MEASURES[name](x, y, 1.0).mean()), rel=1e-6)
