from __future__ import annotations

import json
from statistics import NormalDist

import numpy as np
import pytest

from mi_lightning.errors import InputError, MIError
from mi_lightning.report.study import Plan, build_study, human_judgement, judge_by_people, read_key
from tests.report.study.conftest import recognise, right, saved, simulated, write_run, wrong

z = NormalDist().inv_cdf


def judge_with(*, picks: float, says_none: float = 0.3, hits: float = 0.7, false_alarms: float = 0.2):
    """A judge of known rates, who never fails an attention check."""

    def says(rng, question):
        if question["check"]:
            return question["answer"]
        if question["kind"] == "same_person":
            return "same" if rng.random() < (hits if question["answer"] == "same" else false_alarms) else "different"
        if question["answer"] != "none" and rng.random() < picks:
            return question["answer"]
        others = [option for option in question["options"] if option != question["answer"]]
        return "none" if rng.random() < says_none else str(rng.choice(others))

    return says


def judged(key, *judges):
    return human_judgement([simulated(key, f"j{i}", i, says) for i, says in enumerate(judges)], key)


def test_a_judge_who_is_always_right(key):
    found = judged(key, right)
    [run] = found["runs"]
    for name in ("identified", "none_right", "overall", "hits"):
        assert run[name]["share"] == run[name]["high"] == run[name]["exact_high"] == 1
        assert run[name]["low"] < 1
    assert run["identified"]["hits"] == run["identified"]["answers"] == 32
    # 0.025^(1/32)
    assert run["identified"]["exact_low"] == pytest.approx(0.025 ** (1 / 32))
    assert run["none_wrong"]["share"] == run["false_alarms"]["share"] == run["cannot_tell"]["share"] == 0
    assert run["chance_identified"] == pytest.approx((1 - 8 / 40) / 5)
    # 20.5 of 21 against 0.5 of 21
    assert run["d_prime"]["value"] == pytest.approx(z(20.5 / 21) - z(0.5 / 21))
    assert (found["counted"], found["excluded"], found["asked"]) == (1, [], 84)
    [judge] = found["judges"]
    assert judge == {
        "judge": "j0", "answered": 84, "finished": True, "checks": 4, "checks_failed": 0, "excluded": False,
        "median_seconds": 2.0,
    }  # fmt: skip


def test_known_rates_come_back_within_their_intervals(key):
    found = judged(key, *[judge_with(picks=0.55)] * 6)
    [run] = found["runs"]
    expected = {"identified": 0.55, "none_right": 0.3, "hits": 0.7, "false_alarms": 0.2}
    for name, rate in expected.items():
        assert run[name]["low"] <= rate <= run[name]["high"], name
        assert run[name]["low"] < run[name]["share"] < run[name]["high"]
    assert run["identified"]["answers"] == 6 * 32
    d_prime = run["d_prime"]
    assert d_prime["low"] <= z(0.7) - z(0.2) <= d_prime["high"]
    assert d_prime["value"] == pytest.approx(z(0.7) - z(0.2), abs=0.5)


def test_the_interval_covers_the_rate_where_some_people_are_easier_than_others(key):
    """Each person is picked by all judges or by none, so that ten judges are no ten times 32 answers."""
    covered = exact = 0
    for seed in range(30):
        easy = set(np.flatnonzero(np.random.default_rng(1000 + seed).random(40) < 0.5).tolist())

        def says(_, question, easy=easy):
            if question["check"] or question["label"] in easy:
                return question["answer"]
            return "none" if question["kind"] == "line_up" else "cannot_tell"

        share = judged(key, *[says] * 10)["runs"][0]["identified"]
        covered += share["low"] <= 0.5 <= share["high"]
        exact += share["exact_low"] <= 0.5 <= share["exact_high"]
    assert covered >= 25  # of 30, at 93%: 25 or more in 98 of 100
    assert exact < 20


def test_a_guesser_is_at_the_chance_that_is_stated(key):
    def guesses(rng, question):
        if question["check"]:
            return question["answer"]
        if question["kind"] == "same_person":
            return str(rng.choice(["same", "different", "cannot_tell"]))
        return "none" if rng.random() < 0.4 else str(rng.choice(question["options"]))

    [run] = judged(key, *[guesses] * 20)["runs"]
    assert run["chance_identified"] == pytest.approx(0.6 / 5, abs=0.015)
    assert run["identified"]["low"] <= run["chance_identified"] <= run["identified"]["high"]
    assert run["d_prime"]["low"] < 0 < run["d_prime"]["high"]
    assert run["cannot_tell"]["share"] == pytest.approx(1 / 3, abs=0.05)
    assert run["agreement"]["same_person"]["kappa"] == pytest.approx(0, abs=0.05)


def failing(checks: int):
    """A judge who is right but for some of the attention checks."""

    def maker(key):
        fails = [item for item, question in key.questions.items() if question["check"]][:checks]
        answers = simulated(key, f"fails{checks}", 0, right)
        given = {item: wrong(None, key.questions[item]) if item in fails else a for item, a in answers.answer.items()}
        return type(answers)(answers.judge, True, given, answers.milliseconds)

    return maker


def test_a_judge_who_fails_more_than_one_check_is_left_out_and_named(key):
    judges = [failing(0)(key), failing(1)(key), failing(2)(key)]
    found = human_judgement(judges, key)
    assert (found["counted"], found["excluded"]) == (2, ["fails2"])
    assert [judge["checks_failed"] for judge in found["judges"]] == [0, 1, 2]
    assert found["runs"][0]["identified"]["answers"] == 2 * 32


def test_nobody_is_left(key):
    found = human_judgement([failing(2)(key)], key)
    [run] = found["runs"]
    assert found["counted"] == 0
    assert run["identified"]["share"] is run["chance_identified"] is run["d_prime"]["value"] is None
    assert run["agreement"]["line_up"]["kappa"] is None
    json.dumps(found, allow_nan=False)


def test_agreement_between_judges_and_with_the_recogniser(key):
    def as_the_recogniser(_, question):
        if question["check"] or question["recognised"]:
            return question["answer"]
        return "none" if question["kind"] == "line_up" else "cannot_tell"

    [run] = judged(key, *[as_the_recogniser] * 3)["runs"]
    assert run["agreement"]["line_up"]["kappa"] == 1
    assert run["agreement"]["recogniser"]["kappa"] == 1
    assert run["agreement"]["recogniser"]["people"] == 32
    assert {person["chosen"] == 3 for person in run["people"] if person["recognised"]} == {True}
    [run] = judged(key, right)["runs"]
    assert run["agreement"]["line_up"]["kappa"] is None  # one judge
    assert run["agreement"]["recogniser"]["kappa"] == 0  # the judge says the same of everybody


def test_without_a_recogniser_nothing_is_said_of_it(tmp_path):
    key = read_key(build_study([write_run(tmp_path / "bare")], tmp_path / "bare.html").key)
    [run] = judged(key, right)["runs"]
    assert run["agreement"]["recogniser"]["kappa"] is None
    assert {person["recognised"] for person in run["people"]} == {None}


def test_half_of_the_answers_are_half_of_a_judge(key):
    whole = simulated(key, "whole", 0, right)
    half = dict(list(simulated(key, "half", 1, right).answer.items())[::2])
    found = human_judgement([whole, type(whole)("half", False, half, dict.fromkeys(half, 1000))], key)
    [run] = found["runs"]
    assert found["judges"][1]["answered"] == 42
    assert 32 < run["identified"]["answers"] < 64
    assert run["identified"]["share"] == 1


def test_each_run_is_judged_by_its_own_questions(tmp_path):
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    key = read_key(build_study(runs, tmp_path / "study.html", plan=Plan(absent=0)).key)

    def says(_, question):
        return question["answer"] if question["run"] == "one" or question["check"] else wrong(None, question)

    one, two = judged(key, says)["runs"]
    assert (one["name"], two["name"]) == ("one", "two")
    assert (one["identified"]["share"], two["identified"]["share"]) == (1, 0)
    assert (one["hits"]["share"], two["hits"]["share"]) == (1, 0)
    assert (one["false_alarms"]["share"], two["false_alarms"]["share"]) == (0, 1)


def test_files_are_read_and_must_be_about_these_runs(tmp_path, key):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(saved(simulated(key, "anna", 0, right), key)))
    found = judge_by_people([tmp_path / "run"], str(path), key.path)
    assert found == human_judgement([simulated(key, "anna", 0, right)], key)
    other = recognise(write_run(tmp_path / "other", seed=5), {})
    with pytest.raises(InputError, match=r"the key of a study that asks about these runs, got .*, about run \(key\)"):
        judge_by_people([other], [path], key.path)
    with pytest.raises(MIError, match=r"cannot read .*no.json"):
        judge_by_people([tmp_path / "run"], [path], tmp_path / "no.json")
