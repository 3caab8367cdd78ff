from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from mi_lightning.errors import InputError
from mi_lightning.judging import Judge, SpeechJudge, judge, make_judge
from mi_lightning.judging.make import choose_recogniser
from mi_lightning.judging.outside import OutsideJudge, UnfitRecogniserError
from mi_lightning.recognisers import Embeddings, Recogniser
from mi_lightning.targets import WhiteBox
from tests.judging.conftest import StandIns, template_matcher
from tests.judging.voices import ToneSpeakers


class Pixels(Recogniser):
    """Every sample is its own vector; a picture that is darker than ``least`` on average shows no face."""

    kind = "picture"
    looks_for = "a face"
    advice = "use a torch"

    def __init__(self, least: float = 0.0, *, wrong=None) -> None:
        super().__init__()
        self.least, self.wrong, self.embedded = least, wrong, 0

    def embed_new(self, samples, *, value_range, sample_rate):
        self.embedded += len(samples)
        vectors = torch.stack([sample.flatten() for sample in samples])
        if self.wrong is not None:
            vectors = self.wrong(vectors)
        return Embeddings(vectors, torch.tensor([float(sample.mean()) >= self.least for sample in samples]))

    def describe(self):
        return {"class": "Pixels", "weights": {}, "trained_on": "nobody", "metric": self.metric, "embedding_size": 120}

    def check(self):
        pass


class Loudness(Pixels):
    """A sound is the spectrum of its first 400 samples."""

    kind = "sound"
    looks_for = None

    def embed_new(self, samples, *, value_range, sample_rate):
        vectors = torch.stack([torch.fft.rfft(sample[0, :400]).abs() for sample in samples])
        return Embeddings(vectors, torch.ones(len(samples), dtype=torch.bool))


def photographs(people: StandIns, labels) -> torch.Tensor:
    return torch.stack([people.train_x[people.train_y == k][0] for k in labels])


def test_a_recogniser_ranks_by_the_distance_to_enrolled_means(people):
    outside = OutsideJudge(Pixels(), people)
    found, label = photographs(people, [0, 1, 2]), torch.tensor([0, 1, 4])
    opinion = outside.ask(found, label)
    means = torch.stack([people.train_x[people.train_y == k].mean(0).flatten() for k in range(5)])
    expected = torch.linalg.vector_norm(found.flatten(1)[:, None] - means, dim=2)
    torch.testing.assert_close(opinion.scores["recogniser_distance"], expected.gather(1, label[:, None])[:, 0])
    assert opinion.guess.tolist() == expected.argmin(1).tolist() == [0, 1, 2]
    assert opinion.scores["recognised"].tolist() == [1, 1, 0]
    assert opinion.scores["recognised_top5"].tolist() == [1, 1, 1]
    place = 1 + int((expected[2] < expected[2, 4]).sum())
    assert opinion.scores["recogniser_rank"].tolist() == [1, 1, place]
    assert opinion.scores["accepted_at_1_percent"].isnan().all()  # twenty impostor pairs are too few


def test_thresholds_let_in_who_is_near_enough():
    many = StandIns(photographs=(4, 4, 4, 4, 4))
    many.load = lambda: _with_tests(many, 30)
    many.setup()
    outside = OutsideJudge(Pixels(), many)
    limit = outside.on_test(10).limits["1_percent"]
    assert limit.impostor_pairs == 5 * 30 * 4
    opinion = outside.ask(photographs(many, [0, 1]), torch.tensor([0, 2]))
    assert opinion.scores["accepted_at_1_percent"].tolist() == [1, 0]
    assert opinion.scores["wrongly_accepted_at_1_percent"].tolist() == [0, 0.25]
    assert outside.describe(10)["thresholds"]["0.01"]["genuine_accepted"] == 1
    assert outside.describe(10)["thresholds"]["0.001"]["distance"] is None  # for want of pairs


def _with_tests(people: StandIns, tests: int):
    (x, y), (faces, _) = StandIns.load(people)
    generator = torch.Generator().manual_seed(6)
    label = torch.arange(5).repeat_interleave(tests)
    noisy = (faces[label] + 0.05 * torch.randn(len(label), *faces.shape[1:], generator=generator)).clamp(0, 1)
    return (x, y), (noisy, label)


def test_a_whole_judgement(people, evaluator, result_of):
    found = torch.cat([photographs(people, [0, 1]), torch.rand(1, 1, 12, 10)])
    said = Judge(evaluator, people, recogniser=Pixels()).judge(result_of(found, [0, 1, 2]))
    assert said.per_row["recognised"].tolist()[:2] == [1, 1]
    assert said.summary["recognised"] == pytest.approx(said.per_row["recognised"].mean())
    assert said.ceiling["class_mean"]["recognised"] == said.ceiling["real_test"]["recognised"] == 1
    assert said.ceiling["best_photograph"]["recognised"] == 1
    assert said.chance["recognised"] == 1 / 5
    assert said.controls["shuffled"]["recognised"] < 1
    assert said.description["recogniser"]["test_error"] == 0
    assert said.description["recogniser"]["enrolled"] == len(people.train_y)
    assert said.description["recogniser_missing"] is None
    assert [verdict.kind for verdict in said.verdicts[:2]] == ["recognised", "recognised"]
    assert said.recogniser_guess.tolist()[:2] == [0, 1]


def test_the_ceiling_is_that_of_the_people_who_were_attacked(people, result_of):
    # of person 2 the mean of the photographs is taken for somebody else
    far = people.train_y == 2
    people.train_x[far] = people.train_x[far].roll(1, 0) * 0 + people.train_x[people.train_y == 0][:1]
    judge = Judge(None, people, recogniser=Pixels())
    both = judge.judge(result_of(torch.rand(2, 1, 12, 10), [0, 2])).ceiling["real_test"]
    alone = judge.judge(result_of(torch.rand(1, 1, 12, 10), [1])).ceiling["real_test"]
    assert alone["recognised"] == 1
    assert both["recognised"] < 1


def test_only_what_the_selection_ranks_first_is_shown_to_the_recogniser(people, result_of):
    found = torch.cat([photographs(people, [0]), torch.rand(1, 1, 12, 10)])
    result = result_of(found, [0, 0], restart=[0, 1], cost=[0.5, 0.1])
    said = Judge(None, people, recogniser=Pixels()).judge(result)
    assert said.per_row["recognised"].isnan().tolist() == [True, False]
    assert said.recogniser_guess.tolist()[0] == -1


def test_real_samples_are_embedded_once(people, result_of):
    recogniser = Pixels()
    asked = Judge(None, people, recogniser=recogniser)
    asked.judge(result_of(torch.rand(2, 1, 12, 10), [0, 1]))
    before = recogniser.embedded
    asked.judge(result_of(torch.rand(2, 1, 12, 10), [0, 1]))
    assert recogniser.embedded == before + 2


def test_nobody_is_recognised_in_what_is_no_number_and_nobody_knows_where_the_recogniser_fails(people, result_of):
    def blind(vectors):  # to what is nearly white
        return vectors.masked_fill(vectors.mean(1, keepdim=True) > 0.99, torch.nan)

    found = torch.stack([torch.full((1, 12, 10), torch.nan), torch.ones(1, 12, 10)])
    said = Judge(None, people, recogniser=Pixels(wrong=blind)).judge(result_of(found, [0, 1]))
    assert said.per_row["recognised"][0] == 0
    assert said.per_row["recognised"][1].isnan()
    assert [verdict.kind for verdict in said.verdicts] == ["attack_failed", "not_judged"]
    assert math.isnan(said.summary["recognised"])  # a share that leaves people out would be believed


@pytest.mark.parametrize(
    ("recogniser", "reason"),
    [
        (Pixels(wrong=lambda v: v * torch.nan), "gives no numbers"),
        (Pixels(least=2.0), "finds a face in 0.0% of the real test samples: use a torch"),
        (Pixels(wrong=lambda v: (v * 1e4).sin()), "of the real test samples right: it cannot judge others"),
    ],
)
def test_a_recogniser_that_does_not_know_these_people_is_not_believed(people, result_of, recogniser, reason):
    with pytest.raises(UnfitRecogniserError, match=reason):
        OutsideJudge(recogniser, people).ask(people.test_x, people.test_y)
    said = Judge(None, people, recogniser=recogniser).judge(result_of(photographs(people, [0, 1]), [0, 1]))
    assert "recognised" not in said.summary
    assert reason in said.description["recogniser_missing"]
    assert {verdict.kind for verdict in said.verdicts} == {"not_judged"}


def test_a_person_without_real_samples_is_not_judged(people, result_of):
    x, y = people.train_x[people.train_y != 3], people.train_y[people.train_y != 3]
    people.train_x, people.train_y = x, y
    outside = OutsideJudge(Pixels(), people)
    scores = outside.ask(torch.rand(2, 1, 12, 10), torch.tensor([2, 3])).scores
    assert scores["recognised"].isnan().tolist() == [False, True]
    assert outside.chance["recognised"] == 1 / 4


def test_voices_are_compared_with_pieces_of_the_same_length(result_of):
    speakers = ToneSpeakers()
    speakers.setup()
    heard = dict(speakers.utterances("test"))
    real = torch.stack([heard[k][:, :3200] for k in range(speakers.num_classes)])
    result = result_of(real, list(range(speakers.num_classes)), names=speakers.class_names)
    said = SpeechJudge(None, speakers, recogniser=Loudness(), vocoder=torch.nn.Identity()).judge(result)
    assert said.summary["recognised"] == 1
    assert set(said.ceiling) == {"real_test"}
    assert said.description["recogniser"]["tested"] >= speakers.num_classes


def test_which_recogniser_is_asked():
    assert choose_recogniser(None, "picture") == (None, "no recogniser was wanted")
    assert choose_recogniser("auto", "other")[0] is None
    assert "name an Embedder" in str(choose_recogniser("auto", "other")[1])
    named = Pixels()
    assert choose_recogniser(named, "picture") == (named, None)
    with pytest.raises(InputError, match="expected a recogniser of a sound, got Pixels, of a picture"):
        choose_recogniser(named, "sound")


def test_an_evaluator_that_learned_from_the_target_is_refused(people, evaluator, result_of):
    target = WhiteBox(template_matcher(people))
    with torch.no_grad():
        evaluator.head.bias += 1  # another model by its weights
    make_judge(target, datamodule=people, evaluator=evaluator, recogniser=None)
    evaluator.training_info = {"teacher_sha256": target.fingerprint()}
    with pytest.raises(InputError, match="which was trained on the target's answers"):
        make_judge(target, datamodule=people, evaluator=evaluator, recogniser=None)
    result = dataclasses.replace(result_of(people.test_x, range(5)), target_sha256=target.fingerprint())
    with pytest.raises(InputError, match="which was trained on the target's answers"):
        judge(result, people, evaluator, recogniser=None)
    with pytest.raises(InputError, match="which has the target's weights"):
        judge(result, people, template_matcher(people), recogniser=None)


def test_silence_is_no_real_sample_and_voices_that_are_no_numbers_are_nobody(result_of):
    class Deaf(Loudness):
        """Hears nothing in silence."""

        def embed_new(self, samples, *, value_range, sample_rate):
            found = super().embed_new(samples, value_range=value_range, sample_rate=sample_rate)
            silent = torch.tensor([not bool(sample.any()) for sample in samples])
            return Embeddings(found.vectors.masked_fill(silent[:, None], torch.nan), found.detected)

    class Pausing(ToneSpeakers):
        """Speakers who say one piece and are silent for another."""

        def read(self, recording):
            samples, rate = super().read(recording)
            samples[3200:] = 0
            return samples, rate

    speakers = Pausing()
    speakers.setup()
    waves = torch.stack([dict(speakers.utterances("test"))[k][:, :3200] for k in range(speakers.num_classes)])
    waves[0] = torch.nan
    result = result_of(waves, list(range(speakers.num_classes)), names=speakers.class_names)
    said = SpeechJudge(None, speakers, recogniser=Deaf(), vocoder=torch.nn.Identity()).judge(result)
    assert said.description["recogniser_missing"] is None
    assert said.per_row["recognised"].tolist() == [0, 1, 1, 1]
    assert said.verdicts[0].kind == "attack_failed"
