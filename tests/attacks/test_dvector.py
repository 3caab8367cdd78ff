from __future__ import annotations

import pytest
import torch

from mi_lightning.attacks.attack import describe_part
from mi_lightning.attacks.costs import NegativeLogit
from mi_lightning.attacks.costs.dvector_distance import DVectorDistance
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.spaces.waveform import WaveformSpace
from mi_lightning.classifiers.dvectors import dvectors, person_dvectors
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.frames import FrameView
from tests.attacks.conftest import quiet_trainer
from tests.judging.voices import RATE, ToneEar, ToneSpeakers


@pytest.fixture
def ear() -> ToneEar:
    return ToneEar().eval()


def invert(target: object, **settings: object) -> Inversion:
    cost = DVectorDistance(**{"references": ToneSpeakers()} | settings)
    attack = Inversion(
        target=target,
        space=WaveformSpace(duration=0.3, initializer=Noise(mean=0.0, std=0.01)),
        cost=cost,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01),
        max_iterations=40,
    )
    quiet_trainer().invert(attack)
    return attack


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_the_dvector_that_is_found_is_the_speakers(ear, distance):
    attack = invert(WhiteBox(ear), distance=distance)
    result, goal = attack.result, person_dvectors(ear, ToneSpeakers(), "train")
    found = dvectors(ear, list(result.reconstruction))
    cosine = (found * goal).sum(1)
    assert (cosine > 0.98).all()
    expected = 1 - cosine if distance == "cosine" else (found - goal).norm(dim=1)
    torch.testing.assert_close(result.cost, expected, atol=2e-3, rtol=1e-2)


def test_confidence_is_asked_at_last_and_counted(ear):
    target = WhiteBox(ear)
    attack = invert(target)
    result, frames = attack.result, 2
    asked = FrameView(WhiteBox(ear), shift=1600).confidences(result.reconstruction)
    torch.testing.assert_close(result.confidence, asked.gather(1, result.label[:, None])[:, 0])
    assert result.queries.tolist() == [(41 + 1) * frames] * 4
    assert target.queries == 4 * 42 * frames


def test_a_black_box_shows_no_dvectors(ear):
    with pytest.raises(InputError, match=r"expected a target that gives gradients|whose features can be seen"):
        invert(BlackBox.of(ear))


def test_other_speakers_are_refused(ear):
    with pytest.raises(InputError, match=r"expected references of the target's 4 speakers, got 2: .*references"):
        invert(WhiteBox(ear), references=ToneSpeakers(hertz=(200.0, 300.0)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distance": "manhattan"}, "expected distance cosine or euclidean, got manhattan"),
        ({"part": "all"}, "expected part train or test, got all"),
        ({"frame_shift": 0}, "expected frame_shift >= 1, got 0"),
    ],
)
def test_bad_input_is_told_in_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        DVectorDistance(**{"references": ToneSpeakers()} | settings)


def test_a_report_says_whose_references_they_are():
    references = ToneSpeakers()
    cost = DVectorDistance(references=references)
    told = describe_part(cost)["references"]
    assert told["class_path"] == "tests.judging.voices.ToneSpeakers"
    assert (told["each"], told["sample_rate"]) == (4, RATE)
    assert "trainer" not in told
    references.setup()
    assert describe_part(cost)["references"] == references.describe()


def test_a_cost_is_bound_to_what_it_will_ask(ear):
    short, long = (WaveformSpace(duration=seconds) for seconds in (0.2, 0.3))
    assert Problem(WhiteBox(ear), short, NegativeLogit()).view.has_logits
    with pytest.raises(InputError, match=r"expected a target that gives logits, for NegativeLogit, got FrameView"):
        Problem(WhiteBox(ear), long, NegativeLogit())


def test_the_enrolled_dvectors_are_made_once(ear):
    cost, target = DVectorDistance(references=ToneSpeakers()), WhiteBox(ear)
    Problem(target, WaveformSpace(duration=0.3), cost)
    goal = cost._goal
    Problem(target, WaveformSpace(duration=0.3), cost)
    assert cost._goal is goal
