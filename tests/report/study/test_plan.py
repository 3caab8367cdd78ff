from __future__ import annotations

from collections import Counter

import pytest

from mi_lightning.errors import InputError
from mi_lightning.report.study.plan import DIFFERENT, NONE, SAME, Plan, Sample


def asked(plan: Plan, *people: int):
    return plan.questions([range(count) for count in people])


def of_kind(questions, kind, *, check=False):
    return [question for question in questions if question.kind == kind and question.check is check]


def test_each_person_is_asked_about_once_in_a_line_up_and_once_in_a_pair():
    questions = asked(Plan(), 40)
    for kind in ("line_up", "same_person"):
        shown = [question.shown for question in of_kind(questions, kind)]
        assert sorted(shown, key=lambda sample: sample.person) == [Sample(0, person, "found") for person in range(40)]


def test_the_person_is_in_four_of_five_line_ups_as_in_2015():
    line_ups = of_kind(asked(Plan(), 40), "line_up")
    assert sum(question.answer == NONE for question in line_ups) == 8
    for question in line_ups:
        own = Sample(0, question.shown.person, "real")
        assert len(set(question.options)) == 5
        assert {option.source for option in question.options} == {"real"}
        assert (own in question.options) is (question.answer == own) is (question.answer != NONE)


def test_pairs_are_balanced_and_answered_by_who_is_in_them():
    pairs = of_kind(asked(Plan(people=31), 40), "same_person")
    assert Counter(question.answer for question in pairs) == {SAME: 16, DIFFERENT: 15}
    for question in pairs:
        [option] = question.options
        assert (option.person == question.shown.person) is (question.answer == SAME)


def test_attention_checks_show_a_photograph_and_have_a_plain_answer():
    questions = asked(Plan(catch=4), 40)
    checks = [question for question in questions if question.check]
    assert [question.kind for question in checks] == ["line_up", "same_person"] * 2
    first, alike, second, unlike = checks
    for question in (first, second):
        assert question.answer == Sample(0, question.shown.person, "real")
        assert question.answer in question.options
    assert (alike.answer, unlike.answer) == (SAME, DIFFERENT)
    assert alike.options[0].person == alike.shown.person
    assert unlike.options[0].person != unlike.shown.person


def test_who_is_a_stranger_in_a_line_up_is_drawn_from_everybody():
    strangers = Counter(
        option.person
        for seed in range(30)
        for question in of_kind(asked(Plan(people=10, seed=seed), 20), "line_up")
        for option in question.options
        if option.person != question.shown.person
    )
    assert set(strangers) == set(range(20))
    assert max(strangers.values()) < 2 * min(strangers.values())


def test_the_seed_decides_everything():
    assert asked(Plan(seed=1), 40) == asked(Plan(seed=1), 40)
    assert asked(Plan(seed=1), 40) != asked(Plan(seed=2), 40)


def test_runs_on_the_same_people_ask_about_the_same_but_draw_their_line_ups_anew():
    questions = asked(Plan(people=10), 40, 40)
    first, second = ([q for q in of_kind(questions, "line_up") if q.shown.run == run] for run in (0, 1))
    assert [q.shown.person for q in first] == [q.shown.person for q in second]
    assert [[o.person for o in q.options] for q in first] != [[o.person for o in q.options] for q in second]


def test_nobody_is_absent_if_nobody_is_to_be():
    assert all(question.answer != NONE for question in of_kind(asked(Plan(absent=0), 12), "line_up"))


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"people": 0}, "people >= 1, got 0"),
        ({"line_up": 1}, "line_up from 2 to 9, got 1"),
        ({"line_up": 10}, "line_up from 2 to 9, got 10"),
        ({"absent": 1.0}, "absent from 0 to below 1"),
        ({"absent": float("nan")}, "absent from 0 to below 1"),
        ({"catch": -1}, "catch >= 0"),
        ({"seed": -1}, "seed >= 0"),
    ],
)
def test_settings_that_make_no_study(settings, match):
    with pytest.raises(InputError, match=match):
        Plan(**settings)


def test_too_few_people_for_a_line_up():
    with pytest.raises(InputError, match=r"line_up below the 5 people of the run with the fewest, got 5 \(line_up\)"):
        asked(Plan(), 40, 5)
    assert asked(Plan(), 6)
