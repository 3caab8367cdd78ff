"""Who judges what, and whose word is refused before an attack begins."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError
from mi_lightning.judging import Judge, SpeechJudge, judge, make_judge
from mi_lightning.judging.make import JUDGES, same_split
from mi_lightning.targets import BlackBox, WhiteBox
from tests.judging.conftest import NAMES, StandIns, template_matcher
from tests.judging.voices import ToneEar, ToneSpeakers


@pytest.fixture
def target(people) -> WhiteBox:
    """A target that was trained on the people, with other weights than the evaluator."""
    classifier = SoftmaxRegression(input_shape=people.input_shape, num_classes=5, class_names=NAMES)
    classifier.training_info["data"] = people.describe()
    return WhiteBox(classifier)


def test_nobody_judges_by_nothing(target):
    assert make_judge(target) is None


def test_every_kind_has_a_judge():
    assert set(JUDGES) == {"picture", "sound", "other"}


def test_pictures_are_judged_as_pictures(target, people, evaluator):
    made = make_judge(target, datamodule=people, evaluator=evaluator)
    assert type(made) is Judge
    assert made.measures == ("mse", "nrmse", "psnr", "ssim")
    assert (made.references, made.evaluator) == (people, evaluator)
    assert type(make_judge(target, evaluator=evaluator)) is Judge  # known by the target's shape


def test_data_are_set_up(target):
    data = StandIns()
    make_judge(target, datamodule=data)
    assert len(data.train_x)


def test_voices_are_judged_as_voices():
    made = make_judge(WhiteBox(ToneEar()), datamodule=ToneSpeakers(), evaluator=ToneEar(sharpness=15.0))
    assert type(made) is SpeechJudge
    assert made.measures == ()
    assert type(make_judge(WhiteBox(ToneEar()), evaluator=ToneEar(sharpness=15.0))) is SpeechJudge


def test_the_classifier_behind_a_hidden_target_is_heard_if_it_is_given():
    ear = ToneEar().eval()
    hidden = BlackBox.of(ToneEar().eval())
    assert make_judge(hidden, datamodule=ToneSpeakers())._box is None
    assert make_judge(hidden, datamodule=ToneSpeakers(), open_classifier=ear)._box is ear


def test_the_target_does_not_judge_itself(target, people):
    words = r"an evaluator that is independent of the target, got a\.ckpt, which has the target's weights \(evaluator_c"
    with pytest.raises(InputError, match=words):
        make_judge(target, evaluator=target.classifier, evaluator_name="a.ckpt")


def test_other_inputs_and_other_people_are_refused(target, people):
    other = StandIns(shape=(1, 6, 6))
    other.setup()
    with pytest.raises(InputError, match=r"the target's input shape, \(1, 12, 10\), got \(1, 6, 6\) \(data\)"):
        make_judge(target, datamodule=other)
    assert make_judge(target, evaluator=template_matcher(other)).input_shape == (1, 12, 10)  # it is shown them resized
    codes = StandIns(shape=(36,))
    codes.setup()
    with pytest.raises(InputError, match=r"input shape, \(1, 12, 10\), got \(36,\) \(evaluator_ckpt\)"):
        make_judge(target, evaluator=template_matcher(codes))
    stranger = template_matcher(people)
    stranger.class_names = (*NAMES[:4], "zoe")
    with pytest.raises(InputError, match=r"the target's people, .*'eve'\), got .*'zoe'\) \(evaluator_ckpt\)"):
        make_judge(target, evaluator=stranger)
    fewer = SoftmaxRegression(input_shape=people.input_shape, num_classes=4)
    with pytest.raises(InputError, match=r"the target's number of classes, 5, got 4 \(evaluator_ckpt\)"):
        make_judge(target, evaluator=fewer)


def test_another_split_is_refused(target, people, evaluator):
    other = StandIns()
    other.split_seed = 7
    with pytest.raises(InputError, match=r"the target's training split_seed, 0, got 7 \(data\.split_seed\)"):
        make_judge(target, datamodule=other)
    evaluator.training_info["data"] = people.describe() | {"split_seed": 7}
    with pytest.raises(InputError, match=r"the target's training split_seed, 0, got 7 \(evaluator_ckpt\)"):
        make_judge(target, evaluator=evaluator)


def test_what_the_judge_itself_refuses_is_told_by_the_callers_names():
    ear = ToneEar(sharpness=15.0)
    ear.sample_rate = 8000
    target = WhiteBox(ToneEar())
    with pytest.raises(InputError, match=r"the target's sample rate \(Hz\), 16000, got 8000 \(evaluator_ckpt\)"):
        make_judge(target, datamodule=ToneSpeakers(), evaluator=ear)
    target.sample_rate = None  # one that does not say it
    with pytest.raises(InputError, match=r"one sample rate, got \[8000, 16000\] \(evaluator_ckpt\)"):
        make_judge(target, datamodule=ToneSpeakers(), evaluator=ear)


def test_data_of_another_range_are_refused(people):
    module = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(people.input_shape), 5))
    target = WhiteBox(module, input_shape=people.input_shape, input_range=(-1, 1))
    target.adopt_names(people.class_names)
    with pytest.raises(InputError, match=r"the target's input range, \(-1\.0, 1\.0\), got \(0\.0, 1\.0\) \(data\)"):
        make_judge(target, datamodule=people)


def test_same_split_looks_at_what_both_say():
    trained = {"sha256": "a", "split": "first", "split_seed": 0, "test_per_person": 3}
    same_split(trained, trained | {"split_seed": 5}, "data")  # a seed that was not used
    same_split(trained, {"split": "first"}, "data")
    same_split(None, trained, "data")
    same_split(trained, None, "data")
    with pytest.raises(InputError, match=r"the target's samples \(sha256\), a, got b \(data\)"):
        same_split(trained, trained | {"sha256": "b"}, "data")
    with pytest.raises(InputError, match=r"training test_per_person, 3, got 2 \(data\.test_per_person\)"):
        same_split(trained, trained | {"test_per_person": 2}, "data")
    with pytest.raises(InputError, match=r"training test_per_person, 3, got 2 \(evaluator_ckpt\)"):
        same_split(trained, trained | {"test_per_person": 2}, "evaluator_ckpt")


# ------------------------------------------------------------------------------------------------ mi.judge


def test_a_result_is_judged_in_one_call(people, evaluator, result_of):
    result = result_of(people.test_x, range(5))
    said = judge(result, StandIns(), evaluator)  # sets the data up
    by_hand = Judge(evaluator, people).judge(result)
    assert said.summary == by_hand.summary
    assert said.summary["evaluator_top1"] == 1
    assert set(judge(result, people).per_row) == {"confidence"} | {
        f"{name}{best}" for name in ("mse", "nrmse", "psnr", "ssim") for best in ("", "_best")
    }
    assert "evaluator_top1" in judge(result, evaluator=evaluator).summary


def test_voices_are_judged_in_one_call(result_of):
    speakers = ToneSpeakers()
    speakers.setup()
    waves = torch.stack([speakers.utterances("test")[k][1] for k in range(4)])
    said = judge(result_of(waves, range(4), names=speakers.class_names), speakers, ToneEar())
    assert said.summary["evaluator_top1"] == 1
    assert said.vocoded is not None


def test_one_call_refuses_what_does_not_fit(people, evaluator, result_of):
    result = result_of(people.test_x, range(5))
    with pytest.raises(InputError, match=r"references or an evaluator to judge by, got None \(references\)"):
        judge(result)
    evaluator.training_info["data"] = people.describe() | {"split_seed": 7}
    with pytest.raises(InputError, match=r"the references' training split_seed, 0, got 7 \(evaluator\)"):
        judge(result, people, evaluator)
    strangers = result_of(people.test_x[:1], [0], names=("zoe",))
    with pytest.raises(InputError, match=r"the judge knows .*, got 'zoe' where it knows 'ann' \(references"):
        judge(strangers, people)
