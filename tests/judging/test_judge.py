from __future__ import annotations

import pytest
import torch
from torch import nn

from mi_lightning.checkpoint import weights_digest
from mi_lightning.errors import InputError
from mi_lightning.judging import likeness
from mi_lightning.judging.judge import Judge, _pairs
from mi_lightning.judging.judgement import best_rows
from tests.judging.conftest import NAMES, StandIns, person_mean, template_matcher

LIKENESS = {"mse", "nrmse", "psnr", "ssim", "mse_best", "nrmse_best", "psnr_best", "ssim_best"}
NAMED = {"evaluator_top1", "evaluator_top5", "evaluator_confidence"}


@pytest.fixture
def judge(evaluator, people):
    return Judge(evaluator, people)


@pytest.fixture
def means(people):
    return torch.stack([person_mean(people, k) for k in range(5)])


def test_the_mean_photographs_themselves_are_perfect(judge, means, result_of):
    said = judge.judge(result_of(means, range(5)))
    assert set(said.per_row) == {"confidence", "identification_top1"} | NAMED | LIKENESS
    assert all(value.shape == (5,) for value in said.per_row.values())
    assert said.summary["evaluator_top1"] == said.summary["identification_top1"] == 1
    assert said.summary["mse_mean"] == pytest.approx(0, abs=1e-12)
    assert said.summary["ssim_mean"] == pytest.approx(1, abs=1e-6)
    assert said.summary["confidence_mean"] == pytest.approx(0.945)
    assert said.evaluator_guess.tolist() == [0, 1, 2, 3, 4]
    torch.testing.assert_close(said.reference_mean, means)


def test_numbers_are_those_of_one_row_after_the_other(judge, evaluator, people, result_of):
    label = [3, 0, 0, 4]
    images = torch.rand(4, 1, 12, 10)
    said = judge.judge(result_of(images, label, restart=[0, 0, 1, 0]))
    for row, person in enumerate(label):
        image = images[row : row + 1]
        mean = person_mean(people, person)[None]
        confidence = evaluator(image).softmax(1)[0]
        photographs = (people.train_y == person).nonzero()[:, 0].tolist()
        alike = [likeness.ssim(image, people.train_x[i : i + 1]).item() for i in photographs]
        best = photographs[alike.index(max(alike))]
        order = confidence.argsort(descending=True).tolist()
        expected = {
            "evaluator_top1": float(order[0] == person),
            "evaluator_top5": float(person in order[:5]),
            "evaluator_confidence": confidence[person].item(),
            "mse": likeness.mse(image, mean).item(),
            "nrmse": likeness.nrmse(image, mean).item(),
            "psnr": likeness.psnr(image, mean).item(),
            "ssim": likeness.ssim(image, mean).item(),
            "ssim_best": max(alike),
            "mse_best": likeness.mse(image, people.train_x[best][None]).item(),
        }
        for name, value in expected.items():
            assert said.per_row[name][row].item() == pytest.approx(value, abs=1e-6), name
        assert said.best_match[row].item() == best
        torch.testing.assert_close(said.reference_best[row], people.train_x[best])
        assert said.evaluator_guess[row].item() == order[0]


def test_a_copied_photograph_is_its_own_best_match(judge, people, result_of):
    chosen = torch.tensor([9, 2, 16])
    said = judge.judge(result_of(people.train_x[chosen], people.train_y[chosen].tolist(), restart=[0, 1, 2]))
    assert said.best_match.tolist() == [9, 2, 16]
    torch.testing.assert_close(said.per_row["ssim_best"], torch.ones(3))
    assert said.per_row["mse_best"].tolist() == [0, 0, 0]
    assert (said.per_row["mse"] > 0).all()


def test_pictures_of_somebody_else_are_not_recognised(judge, means, result_of):
    said = judge.judge(result_of(means[[1, 2, 3, 4, 0]], range(5)))
    assert said.summary["evaluator_top1"] == said.summary["identification_top1"] == 0
    assert said.evaluator_guess.tolist() == [1, 2, 3, 4, 0]


def test_the_summary_counts_the_restart_of_least_cost(judge, means, result_of):
    images = torch.stack([means[1], means[0], means[2], means[3]])  # of person 0 twice, of person 2 twice
    result = result_of(images, [0, 0, 2, 2], restart=[0, 1, 0, 1], cost=[0.1, 0.2, 0.1, 0.3])
    assert best_rows(result).tolist() == [0, 2]
    assert judge.judge(result).summary["evaluator_top1"] == 0.5
    better = result_of(images, [0, 0, 2, 2], restart=[0, 1, 0, 1], cost=[0.2, 0.1, 0.1, 0.3])
    assert best_rows(better).tolist() == [1, 2]
    assert judge.judge(better).summary["evaluator_top1"] == 1
    assert judge.judge(better).per_row["evaluator_top1"].tolist() == [0, 1, 1, 0]  # every row is judged


def test_controls_are_near_chance_where_the_reconstructions_are_perfect(judge, means, result_of):
    said = judge.judge(result_of(means, range(5)))
    assert set(said.controls) == {"noise", "mean_face", "shuffled"}
    assert said.chance == pytest.approx({"evaluator_top1": 0.2, "evaluator_top5": 1.0, "identification_top1": 0.2})
    for control in said.controls.values():
        assert set(control) == set(said.summary) - {"confidence_mean"}
        assert control["evaluator_top1"] <= 0.4
    assert said.controls["shuffled"]["evaluator_top1"] == 0
    assert said.controls["shuffled"]["identification_top1"] == 0


def test_the_mean_face_control_is_the_mean_of_all_training_images(judge, means, people, result_of):
    control = judge.judge(result_of(torch.rand(5, 1, 12, 10), range(5))).controls["mean_face"]
    face = people.train_x.mean(0).expand(5, 1, 12, 10)
    assert control["ssim_mean"] == pytest.approx(likeness.ssim(face, means).mean().item(), abs=1e-6)
    assert control["evaluator_top1"] == 0.2  # one name for everybody: right once


def test_noise_fills_the_input_range_and_comes_from_the_seed(evaluator, people, means, result_of):
    result = result_of(means, range(5))
    said = [Judge(evaluator, people, seed=seed).judge(result).controls["noise"] for seed in (0, 0, 1)]
    assert said[0] == said[1]
    assert said[0] != said[2]
    expected = (means**2 - means + 1 / 3).mean()  # mean squared distance of uniform noise on [0, 1]
    assert said[0]["mse_mean"] == pytest.approx(expected.item(), rel=0.15)


@pytest.mark.parametrize("label", range(5))
@pytest.mark.parametrize("seed", [0, 1])
def test_shuffling_leaves_nobody_the_own_label_even_alone(evaluator, people, means, result_of, label, seed):
    said = Judge(evaluator, people, seed=seed).judge(result_of(means[[label]], [label]))
    assert said.summary["evaluator_top1"] == 1
    assert said.controls["shuffled"]["evaluator_top1"] == 0


def test_without_evaluator_only_images_are_compared(people, means, result_of):
    said = Judge(None, people).judge(result_of(means, range(5)))
    assert set(said.per_row) == {"confidence"} | LIKENESS
    assert said.evaluator_guess is None
    assert said.chance == {}
    assert set(said.controls) == {"noise", "mean_face", "shuffled"}


def test_without_data_only_the_evaluator_speaks(evaluator, means, result_of):
    said = Judge(evaluator).judge(result_of(means, range(5)))
    assert set(said.per_row) == {"confidence"} | NAMED
    assert said.best_match is said.reference_mean is said.reference_best is None
    assert set(said.controls) == {"noise", "shuffled"}
    assert said.description["data"] is None


def test_inputs_that_are_no_images_have_no_ssim_and_match_by_squared_error(result_of):
    data = StandIns(shape=(7,))
    data.setup()
    said = Judge(template_matcher(data), data).judge(result_of(data.train_x[[8]], [int(data.train_y[8])]))
    assert "ssim" not in said.per_row
    assert said.best_match.tolist() == [8]


def test_people_without_training_images_have_no_likeness(result_of):
    data = StandIns(photographs=(3, 3, 3, 3, 0))
    data.setup()
    said = Judge(None, data).judge(result_of(torch.rand(2, 1, 12, 10), [0, 4]))
    for name in LIKENESS:
        assert said.per_row[name].isnan().tolist() == [False, True], name
    assert said.best_match[1] == -1


def test_chance_of_identification_counts_the_people_who_can_be_found(evaluator, result_of):
    data = StandIns(photographs=(3, 3, 3, 3, 0))
    chance = Judge(evaluator, data).judge(result_of(torch.rand(1, 1, 12, 10), [0])).chance
    assert chance["identification_top1"] == 1 / 4
    assert chance["evaluator_top1"] == 1 / 5


def test_a_reconstruction_that_is_not_finite_shows_nobody(judge, means, result_of):
    images = means.clone()
    images[0, 0, 3, 3] = float("nan")
    said = judge.judge(result_of(images, range(5)))
    assert said.per_row["evaluator_top1"].tolist() == [0, 1, 1, 1, 1]
    assert said.per_row["identification_top1"].tolist() == [0, 1, 1, 1, 1]
    assert said.evaluator_guess.tolist() == [-1, 1, 2, 3, 4]


def test_passes_through_the_evaluator_are_few_and_nothing_is_computed_twice(judge, evaluator, means, result_of):
    batches = []
    evaluator.features = lambda x: (batches.append(len(x)), x.flatten(1))[1]
    result = result_of(means, range(5))
    said = judge.judge(result)
    assert sorted(batches) == [5, 5, 5, 5, 17]  # the reconstructions and three controls, the training images
    assert judge.judge(result) is said
    assert len(batches) == 5
    judge.judge(result_of(means, range(5)))
    assert batches[5:] == [5, 5, 5, 5]  # the training features are kept


def test_the_global_random_state_is_left_alone(judge, means, result_of):
    before = torch.get_rng_state()
    judge.judge(result_of(means, range(5)))
    assert torch.equal(torch.get_rng_state(), before)


def test_it_says_who_judged(judge, evaluator, people):
    evaluator.training_info["test_accuracy"] = 0.97
    said = judge.describe()
    assert said["evaluator"] == {
        "class": "mi_lightning.classifiers.SoftmaxRegression",
        "weights_sha256": weights_digest(evaluator),
        "test_accuracy": 0.97,
    }
    assert said["data"] == people.describe()


def test_somebody_has_to_judge():
    with pytest.raises(InputError, match=r"an evaluator or reference data to judge by, got None \(references"):
        Judge()


def test_an_evaluator_of_other_inputs_is_refused(people):
    other = StandIns(shape=(36,))
    other.setup()
    with pytest.raises(InputError, match=r"evaluator of inputs \(1, 12, 10\), got \(36,\) \(evaluator\)"):
        Judge(template_matcher(other), people)


def doubled(people):
    """The same people as pictures of twice the size, in colour, from -1 to 1; and an evaluator of these."""
    large = StandIns(shape=(3, 24, 20))
    large.setup()
    as_large = people.train_x.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(-1, 3, -1, -1) * 2 - 1
    large.train_x, large.train_y = as_large.contiguous(), people.train_y
    evaluator = template_matcher(large)
    evaluator.input_range = (-1.0, 1.0)
    return evaluator


def test_an_evaluator_of_pictures_of_another_size_is_shown_them_in_its_own(people, evaluator, means, result_of):
    same, other = Judge(evaluator, people), Judge(doubled(people), people)
    found = result_of(means, range(5))
    said, again = same.judge(found), other.judge(found)
    assert again.evaluator_guess.tolist() == said.evaluator_guess.tolist() == list(range(5))
    assert again.summary["identification_top1"] == said.summary["identification_top1"] == 1
    assert again.summary["mse_mean"] == said.summary["mse_mean"]  # likeness is that of what was found
    assert "fed" not in said.description["evaluator"]
    assert again.description["evaluator"]["fed"] == {
        "from": {"shape": [1, 12, 10], "range": [0.0, 1.0]},
        "to": {"shape": [3, 24, 20], "range": [-1.0, 1.0]},
    }


def test_without_references_what_is_judged_says_its_own_shape(people, means, result_of):
    evaluator = doubled(people)
    said = Judge(evaluator, input_shape=(1, 12, 10), input_range=(0.0, 1.0)).judge(result_of(means, range(5)))
    assert said.evaluator_guess.tolist() == list(range(5))
    with pytest.raises(InputError, match=r"reconstructions of shape \(3, 24, 20\) to judge, got \(1, 12, 10\)"):
        Judge(evaluator).judge(result_of(means, range(5)))


def test_large_pictures_are_judged_in_small_batches(people):
    data = StandIns(shape=(3, 1000, 800))
    assert [_pairs(torch.empty(4, *shape)) for shape in ((1, 112, 92), (3, 224, 224), data.shape)] == [128, 13, 1]


def test_an_evaluator_of_other_people_is_refused(people, evaluator):
    evaluator.class_names = ("ann", "bob", "cleo", "dan", "zoe")
    with pytest.raises(InputError, match=r"people of the data \(ann\.\.eve, 5 people\), got ann\.\.zoe, 5 people"):
        Judge(evaluator, people)


def test_an_attack_on_other_inputs_is_refused(judge, result_of):
    with pytest.raises(InputError, match=r"reconstructions of shape \(1, 12, 10\) to judge, got \(1, 6, 6\)"):
        judge.judge(result_of(torch.rand(1, 1, 6, 6), [0]))


@pytest.mark.parametrize("label", [2, 6])
def test_an_attack_on_other_people_is_refused(judge, result_of, label):
    names = [*NAMES[:2], "zoe", *NAMES[3:], "yan", "xia"]
    with pytest.raises(InputError, match=r"an attack on the people that the judge knows .*, got '(zoe|xia)' where"):
        judge.judge(result_of(torch.rand(1, 1, 12, 10), [label], names=names))


def test_an_evaluator_may_live_in_another_precision(people, means, result_of):
    wide = template_matcher(people).double()
    assert isinstance(wide.head, nn.Linear)
    assert Judge(wide, people).judge(result_of(means, range(5))).summary["evaluator_top1"] == 1
