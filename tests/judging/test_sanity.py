"""Is the target what one thinks it is? Each thing that goes wrong in the field, made, and what is said of it."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from mi_lightning.attacks import gradient_descent
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.classifiers.untrained import untrained
from mi_lightning.errors import InputError
from mi_lightning.judging.diagnosis import Answers, looks_like_order, looks_like_two_softmaxes
from mi_lightning.judging.make import judge
from mi_lightning.judging.sanity import check_evaluator, check_target, evenly
from mi_lightning.targets import BlackBox, LabelOnly, TargetError, WhiteBox
from mi_lightning.targets.defenses import GaussianNoise, HardLabel
from mi_lightning.targets.defenses.base import defend
from tests.judging.made import NAMES, PEOPLE, SHAPE, Knower, MadePeople, Then, prototypes

SORTED = sorted(range(PEOPLE), key=lambda place: NAMES[place])
DRAWN = [3, 7, 0, 11, 2, 9, 1, 10, 6, 5, 4, 8]


@pytest.fixture(scope="module")
def people():
    return MadePeople()


def white_box(model, **settings):
    target = WhiteBox(model, input_shape=SHAPE, **settings)
    target.adopt_names(NAMES)
    return target


def trained(names=NAMES, **info):
    """A classifier of ours that knows the people: its weights are the prototypes."""
    model = SoftmaxRegression(input_shape=SHAPE, num_classes=PEOPLE, class_names=names)
    faces = prototypes().flatten(1)
    with torch.no_grad():
        model.head.weight.copy_(40 * faces)
        model.head.bias.copy_(-20 * faces.square().sum(1))
    model.training_info = {"test_accuracy": 1.0, **info}
    return model.eval()


def refusal(target, people, **settings):
    with pytest.raises(InputError) as caught:
        check_target(target, people, **settings)
    assert "\n" not in str(caught.value)
    assert caught.value.field == "unverified"
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------- what holds


def test_a_target_that_knows_the_people(people):
    found = check_target(WhiteBox(trained()), people)
    assert (found.status, found.reason, found.hint, found.names) == ("verified", "", "", "target")
    assert (found.n, found.samples, found.accuracy, found.recorded_accuracy) == (3 * PEOPLE, "test", 1.0, 1.0)
    assert found.chance == 1 / PEOPLE
    assert found.p_value == pytest.approx(binomtest(36, 36, 1 / PEOPLE, alternative="greater").pvalue)
    assert found.verification_queries == 3 * PEOPLE


def test_it_costs_no_row_a_query_and_no_defense_a_number(people):
    target = defend(WhiteBox(trained()), [HardLabel(), GaussianNoise(sigma=1.0)])
    target.restart(7)
    with target.asking([0]):
        target.confidences(people.test_x[:2])
    before = target.run_state()
    random = torch.get_rng_state()
    found = check_target(target, people)
    assert found.status == "verified"  # such noise drowns every confidence: it is asked of what is behind
    assert found.verification_queries == target.ledger.verification == 36
    after = target.run_state()
    assert after["behind"]["behind"]["ledger"] == before["behind"]["behind"]["ledger"]
    assert repr(after) == repr(before)
    assert torch.equal(random, torch.get_rng_state())


def test_fewer_samples_for_who_pays_by_the_query(people):
    asked = []

    def service(x):
        asked.append(len(x))
        return Knower()(x).softmax(1)

    target = BlackBox(service, input_shape=SHAPE, num_classes=PEOPLE)
    found = check_target(target, people, samples=15)
    assert (found.status, found.n, found.verification_queries, sum(asked)) == ("verified", 15, 15, 15)
    wrong = BlackBox(lambda x: service(x).roll(5, 1), input_shape=SHAPE, num_classes=PEOPLE, class_names=NAMES)
    asked.clear()
    text = refusal(wrong, people, samples=36)
    assert sum(asked) == 36 + 36  # test and training samples; what costs a query is not tried in other ranges
    assert "100.0% under another order of the labels" in text
    with pytest.raises(InputError, match=r"expected verification_samples >= 1, got 0 \(verification_samples\)"):
        check_target(target, people, samples=0)


def test_samples_are_dealt_out_evenly():
    label = torch.tensor([1, 1, 1, 1, 0, 0, 2])
    assert label[evenly(label, 3)].tolist() == [1, 0, 2]
    assert label[evenly(label, 6)].tolist() == [1, 1, 1, 0, 0, 2]
    assert evenly(label, None).tolist() == evenly(label, 99).tolist() == list(range(7))


def test_what_was_learned_by_heart_is_known(people):
    seen = people.train_x.flatten(1)

    def by_heart(x):
        same = (torch.cdist(x.flatten(1), seen) < 0.05).float()
        return (same @ torch.eye(PEOPLE)[people.train_y] * 20).softmax(1)

    found = check_target(BlackBox(by_heart, input_shape=SHAPE, num_classes=PEOPLE, class_names=NAMES), people)
    assert (found.status, found.samples, found.accuracy, found.n) == ("verified", "train", 1.0, 48)
    assert found.verification_queries == 36 + 48


def test_too_few_samples_to_tell():
    two = MadePeople(["a", "b"], train=1, test=1)
    box = BlackBox(lambda x: torch.eye(2)[[0] * len(x)], input_shape=SHAPE, num_classes=2, class_names=["a", "b"])
    found = check_target(box, two)
    assert (found.status, found.n, found.accuracy) == ("not_verified", 2, 0.5)
    assert found.reason == "2 samples are too few to tell who knows 2 people"


def test_without_references_nothing_is_known():
    found = check_target(WhiteBox(trained()), None)
    assert (found.status, found.accuracy, found.n, found.verification_queries) == ("not_verified", None, 0, 0)
    assert found.reason == "no references were given to ask it about"


def test_labels_alone_are_enough(people):
    target = LabelOnly(lambda x: Knower()(x).argmax(1), input_shape=SHAPE, num_classes=PEOPLE)
    assert check_target(target, people).status == "verified"


# ---------------------------------------------------------------------------------------------------- the rule


def test_chance_is_what_a_constant_answer_gets():
    uneven = MadePeople(train=[30] + [1] * (PEOPLE - 1), test=0)
    always = white_box(Then(Knower(), after=lambda y: y * 0 + torch.eye(PEOPLE)[0] * 9))
    text = refusal(always, uneven)  # right in 30 of 41, which is no knowledge
    assert "names 73.2% of 41 training samples right (guessing: 73.2%" in text
    assert check_target(white_box(Knower()), uneven).chance == pytest.approx(30 / 41)


@pytest.mark.parametrize("hits", range(3, 12))
def test_the_level_is_one_sided_and_of_one_in_a_hundred(people, hits):
    """Right for the first ``hits`` samples, and evenly wrong for all others: as scipy says."""

    def answers(x):
        said = torch.arange(len(x)) // 3
        said[hits:] = (said[hits:] + 1 + torch.arange(len(x) - hits) % (PEOPLE - 1)) % PEOPLE
        return torch.eye(PEOPLE)[said]

    few = MadePeople(train=1, test=3)  # 12 training samples, of which as many are right at least
    target = BlackBox(lambda x: answers(x) if len(x) == 36 else torch.eye(PEOPLE)[[0] * len(x)],
                      input_shape=SHAPE, num_classes=PEOPLE, class_names=NAMES)  # fmt: skip
    knows = binomtest(hits, 36, 1 / PEOPLE, alternative="greater").pvalue < 0.01
    if knows:
        assert check_target(target, few).status == "warned"
    else:
        assert f"names {hits / 36:.1%} of 36 test samples right" in refusal(target, few)


def test_unverified_goes_on_and_says_so(people):
    found = check_target(white_box(Knower(SORTED)), people, unverified=True)
    assert found.status == "unverified"
    assert found.reason.startswith("names 8.3% of 36 test samples right (guessing: 8.3%, p = ")
    assert "100.0% under another order of the labels" in found.hint
    assert check_target(white_box(Knower()), people, unverified=True).status == "verified"


def test_far_below_what_its_checkpoint_recorded(people):
    model = trained(test_accuracy=0.9)
    half = WhiteBox(model, preprocessing=lambda x: x * ((x.mean((1, 2, 3), keepdim=True) * 997).frac() > 0.5))
    accuracy = check_target(half, people).accuracy
    assert 0.3 < accuracy < 0.69
    found = check_target(half, people)
    assert found.status == "warned"
    assert found.reason.endswith(", and its checkpoint recorded 90.0%")
    assert found.hint
    model.training_info["test_accuracy"] = accuracy + 0.19
    assert check_target(WhiteBox(model, preprocessing=half.preprocessing), people).status == "verified"
    model.training_info |= {"test_frame_accuracy": accuracy, "test_accuracy": 0.99}  # of utterances, which are longer
    assert check_target(WhiteBox(model, preprocessing=half.preprocessing), people).status == "verified"
    model.training_info = {}
    unknown = check_target(WhiteBox(model, preprocessing=half.preprocessing), people)
    assert (unknown.status, unknown.recorded_accuracy) == ("verified" if accuracy >= 0.5 else "warned", None)


@pytest.mark.parametrize("info", [{"untrained": True}, {"data": {"without": {"people": ["s1"]}}}])
def test_controls_are_exempt_by_what_their_checkpoint_says(people, info):
    model = trained(**info)
    with torch.no_grad():
        model.head.weight.zero_()
    found = check_target(WhiteBox(model), people)
    assert (found.status, found.accuracy) == ("exempt", pytest.approx(1 / PEOPLE))
    model.training_info = {"test_accuracy": 1.0}
    refusal(WhiteBox(model), people)


def test_the_untrained_copy_says_it(people):
    assert check_target(WhiteBox(untrained(trained())), people).status == "exempt"


def test_an_evaluator_that_is_wrong_on_everything(people):
    assert check_evaluator(trained(), people) is None
    wrong = trained()
    with torch.no_grad():
        for weight in wrong.parameters():
            weight.copy_(weight.roll(1, 0))
    with pytest.raises(InputError, match=r"an evaluator that knows the people of the data, got e.ckpt, which names 0.0%"
                       r" of 36 test samples right .* 100.0% under another order .*\(evaluator_ckpt\)"):  # fmt: skip
        check_evaluator(wrong, people, name="e.ckpt")


# ---------------------------------------------------------------------------------------------------- the labels


def test_the_judge_in_python_refuses_such_an_evaluator(people):
    wrong = trained()
    with torch.no_grad():
        wrong.head.weight.copy_(wrong.head.weight.roll(1, 0))
    result = gradient_descent(max_iterations=2).run(WhiteBox(trained()))
    with pytest.raises(InputError, match=r"evaluator that knows the people.*\(evaluator\)"):
        judge(result, people, wrong, recogniser=None)
    assert len(judge(result, people, None, recogniser=None).verdicts) == PEOPLE


def test_sorted_names_are_told_by_their_name(people):
    text = refusal(white_box(Knower(SORTED)), people)
    assert (
        "100.0% under another order of the labels, that of the sorted names, as in ImageFolder and classes_ of "
        "scikit-learn: class_names: [s1, s10, s11, s12, s2, s3, ...] (unverified)"
    ) in text


def test_names_by_number_where_the_data_sort_them():
    data = MadePeople([NAMES[place] for place in SORTED])
    target = WhiteBox(Knower([SORTED.index(place) for place in range(PEOPLE)]), input_shape=SHAPE)
    target.adopt_names(data.class_names)
    assert "that of the names by their numbers: class_names: [s1, s2, s3, s4, s5, s6, ...]" in refusal(target, data)


def test_labels_from_one(people):
    assert "one later, as of labels that begin with 1: class_names: [s12, s1, " in refusal(
        white_box(Knower([PEOPLE - 1, *range(PEOPLE - 1)])), people
    )


def test_any_order_is_found_and_written_out(people):
    names = ", ".join(NAMES[place] for place in DRAWN)
    assert f"100.0% under another order of the labels: class_names: [{names}]" in refusal(
        white_box(Knower(DRAWN)), people
    )


@pytest.mark.parametrize("order", [SORTED, DRAWN, list(range(PEOPLE))])
def test_what_the_error_says_mends_it(people, order):
    named = white_box(Knower(order), class_names=[NAMES[place] for place in order])
    found = check_target(named, people)
    assert (found.status, found.accuracy) == ("verified", 1.0)
    assert found.names == ("target" if order == list(range(PEOPLE)) else "reordered")
    assert named.class_names == NAMES
    x = people.test_x[:5]
    torch.testing.assert_close(named.confidences(x), white_box(Knower()).confidences(x))
    torch.testing.assert_close(named.logits(x), white_box(Knower()).logits(x))
    torch.testing.assert_close(named.log_confidences(x), white_box(Knower()).log_confidences(x))


def test_a_wrong_order_that_was_given_is_told_in_the_model_s_own_columns(people):
    names = ", ".join(NAMES[place] for place in DRAWN)
    wrong = white_box(Knower(DRAWN), class_names=[NAMES[place] for place in SORTED])
    assert f"class_names: [{names}]" in refusal(wrong, people)
    plain = white_box(Knower(), class_names=[NAMES[place] for place in SORTED])
    assert "under another order of the labels, that of the data: class_names: [s1, s2, s3," in refusal(plain, people)


def test_an_order_with_fixed_points_is_no_knowledge(people):
    most = [*range(6), *range(7, 12), 6]  # half of the people are where they should be: far above guessing
    assert "names 50.0% of 36" in (text := refusal(white_box(Knower(most)), people))
    assert "100.0% under another order" in text


def test_the_best_of_many_orders_is_not_believed_where_it_fits_noise():
    """The best assignment of random answers is right for a third of them; on the other half it is not."""
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(40).repeat_interleave(3)
    said = torch.randint(40, (120,), generator=generator)
    answers = Answers(torch.eye(40)[said], label, tuple(map(str, range(40))))
    assert looks_like_order(answers) is None
    label_of_two = torch.arange(40).repeat_interleave(2)
    few = Answers(torch.eye(40)[torch.randint(40, (80,), generator=generator)], label_of_two, answers.names)
    assert looks_like_order(few) is None


def test_one_sigmoid_is_sure_of_the_wrong_class():
    two = MadePeople(["no", "yes"], test=6)
    faces = prototypes(2).flatten(1)

    class Sigmoid(nn.Module):
        """Says how sure it is of the first person, which the target takes for the second."""

        def forward(self, x):
            near = torch.cdist(x.flatten(1), faces).square() * 20
            return (near[:, 1:] - near[:, :1]).sigmoid()

    target = WhiteBox(Sigmoid(), input_shape=SHAPE, class_names=["no", "yes"])
    assert (target.num_classes, target.output) == (2, "probabilities")
    with pytest.raises(InputError, match=r"names 0.0% of 12 .*: 100.0% under another order .*class_names: \[yes, no\]"):
        check_target(target, two)
    mended = WhiteBox(Sigmoid(), input_shape=SHAPE, class_names=["yes", "no"])
    mended.adopt_names(two.class_names)
    assert check_target(mended, two).status == "verified"


# ---------------------------------------------------------------------------------------------------- other causes


def test_softmax_twice_is_a_warning_although_every_answer_is_right(people):
    twice = white_box(Then(Knower(), after=lambda y: y.softmax(1).softmax(1)))
    found = check_target(twice, people)
    assert (found.status, found.accuracy) == ("warned", 1.0)
    most = math.e / (math.e + PEOPLE - 1)
    assert found.hint.startswith(f"softmax seems to be applied twice (no confidence is above {most:.1%}; ")


def test_flat_answers_are_not_taken_for_two_softmaxes(people):
    assert check_target(white_box(Knower(sharpness=0.01)), people).hint == ""  # right, and hardly sure of anything
    uniform = Answers(torch.full((9, 5), 0.2), torch.zeros(9, dtype=torch.int64), tuple("abcde"))
    assert looks_like_two_softmaxes(uniform) is None


@pytest.mark.parametrize(
    ("before", "advice"),
    [
        (lambda x: x / 255, "100.0% if inputs are multiplied by 255: preprocessing scale: 255.0"),
        (lambda x: 1 - x, "100.0% if pictures are inverted: check which end of the range is white"),
        (lambda x: x.transpose(-1, -2), "100.0% if rows and columns change places: check the layout"),
    ],
)
def test_another_input_is_found_by_trying_it(people, before, advice):
    assert advice in refusal(white_box(Then(Knower(), before=before)), people)


def test_a_constant_answer(people):
    constant = white_box(Then(Knower(), after=lambda y: y * 0 + torch.eye(PEOPLE)[4]))
    text = refusal(constant, people)
    assert "it says s5 of 100% of them: check that the weights are loaded, that inputs are normalised" in text


def test_weights_that_were_never_loaded(people):
    torch.manual_seed(5)
    text = refusal(white_box(nn.Sequential(nn.Flatten(), nn.Linear(36, PEOPLE))), people)
    assert "check that the weights are loaded" in text


# ---------------------------------------------------------------------------------------------------- the answers


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (lambda y: y * torch.nan, r"expected confidences, got NaN in row 0 of 36"),
        (lambda y: y[:, :5], r"expected confidences of shape \(36, 12\), got \(36, 5\)"),
    ],
)
def test_answers_of_a_white_box_are_checked(people, after, message):
    target = white_box(Knower())
    target.module = Then(target.module, after)  # as a module may turn out on real inputs, not on the first look
    if "NaN" not in message:
        target._width = 5
    with pytest.raises(TargetError, match=message):
        check_target(target, people)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (lambda p: p * 1.5, r"expected confidences that sum to 1, got 1.5 in row 0"),
        (lambda p: torch.cat((p[:, :1] - 0.5, p[:, 1:2] + 0.5, p[:, 2:]), 1), r"expected confidences >= 0, got -0.5"),
    ],
)
def test_probabilities_of_a_white_box_are_checked(people, after, message):
    target = white_box(nn.Sequential(Knower(), nn.Softmax(1)))
    target.module = Then(target.module, after)
    with pytest.raises(TargetError, match=message):
        check_target(target, people)


# ---------------------------------------------------------------------------------------------------- a few people


def exchanged(*cycle):
    """A model that calls each of these by the next one's name."""
    order = list(range(PEOPLE))
    for who, called in zip(cycle, (*cycle[1:], cycle[0]), strict=True):
        order[called] = who
    return Then(Knower(), after=lambda y: y[:, order])


@pytest.mark.parametrize("cycle", [(2, 5), (0, 11)])
def test_two_people_who_change_places_are_told(people, cycle):
    text = refusal(white_box(exchanged(*cycle)), people)
    one, other = (NAMES[who] for who in cycle)
    assert "names 83.3% of 36 test samples right" in text
    assert f"100.0% if a few change places: it always calls {one} {other}, {other} {one}, of training samples" in text
    found = check_target(white_box(exchanged(*cycle)), people, unverified=True)
    assert (found.status, found.accuracy) == ("unverified", pytest.approx(10 / 12))


def test_who_is_confused_but_was_learned_is_no_exchange(people):
    """Two who look alike: their test samples are called by each other's name, their training samples are not."""
    seen, exchange = people.train_x.flatten(1), exchanged(2, 5)

    def service(x):
        known = torch.cdist(x.flatten(1), seen).amin(1, keepdim=True) < 1e-3
        return torch.where(known, Knower()(x), exchange(x)).softmax(1)

    found = check_target(BlackBox(service, input_shape=SHAPE, num_classes=PEOPLE, class_names=NAMES), people)
    assert (found.status, found.accuracy) == ("verified", pytest.approx(10 / 12))
    assert found.verification_queries == 36 + 8


def test_confusion_one_way_is_no_exchange(people):
    merged = Then(Knower(), after=lambda y: y - 99 * torch.eye(PEOPLE)[2])  # never says the third
    assert check_target(white_box(merged), people).status == "verified"


# ---------------------------------------------------------------------------------------------------- no function


class Dropping(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Knower()

    def forward(self, x):
        return self.model(nn.functional.dropout(x, 0.01, training=True))


class BatchStatistics(nn.Module):
    def __init__(self):
        super().__init__()
        self.model, self.norm = Knower(), nn.BatchNorm2d(1, track_running_stats=False)

    def forward(self, x):
        return self.model(self.norm(x) * 0.3 + 0.5)


@pytest.mark.parametrize(
    ("model", "words"),
    [(Dropping, "draws at random in evaluation mode"), (BatchStatistics, "otherwise among others than alone")],
)
def test_answers_that_depend_on_more_than_the_input_are_told(people, model, words):
    for target in (white_box(model()), BlackBox.of(model(), input_shape=SHAPE)):
        target.adopt_names(NAMES)
        found = check_target(target, people)
        assert found.status == "warned"
        assert words in found.reason
        assert words in check_target(target, None).reason


def test_a_model_that_counts_is_asked_as_it_was(people):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = Knower()
            self.register_buffer("asked", torch.zeros(()))

        def forward(self, x):
            self.asked += 1
            return self.model(x) + self.asked * torch.arange(PEOPLE)

    model = Counting()
    target = white_box(model)
    before, digest = target.confidences(people.test_x[:3]), target.fingerprint()
    assert check_target(target, people).status == "verified"
    assert torch.equal(target.confidences(people.test_x[:3]), before)
    assert (target.fingerprint(), float(model.asked)) == (digest, 0.0)
    x = people.test_x[:3].clone().requires_grad_()
    target.log_confidences(x).sum().backward()
    assert bool(x.grad.isfinite().all())
