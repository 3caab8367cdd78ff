"""An attack that only asks, and always hears the same, says so."""

from __future__ import annotations

import json

import pytest
import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.estimators import NES, SPSA, FiniteDifference
from mi_lightning.attacks.initializers import Noise
from mi_lightning.attacks.spaces import PixelSpace
from mi_lightning.attacks.steps import CMAESStep
from mi_lightning.commands.invert import show_run, unchanged
from mi_lightning.judging.verdicts import verdicts_of
from mi_lightning.report import write_results
from mi_lightning.targets import BlackBox, LabelOnly, WhiteBox
from tests.attacks.conftest import PEOPLE, SHAPE

WAYS = {
    "spsa": {"estimator": SPSA(pairs=3)},
    "spsa, asked twice": {"estimator": SPSA(pairs=3, repeats=2)},
    "nes": {"estimator": NES(pairs=3)},
    "differences": {"estimator": FiniteDifference(max_batch=4)},
    "cmaes": {"step": CMAESStep(population=4)},
}


def half_deaf():
    """Somebody who takes dark pictures for person 0, and all others for person 2: noise round grey is always 2."""
    return LabelOnly(lambda x: 2 * (x.flatten(1).mean(1) > 0.2).long(), input_shape=SHAPE, num_classes=PEOPLE)


@pytest.mark.parametrize("name", WAYS)
def test_labels_that_never_change_are_told(name):
    if name == "cmaes":
        pytest.importorskip("cma")
    found = Attack(max_iterations=3, **WAYS[name]).run(half_deaf(), labels=[0, 1, 2])
    assert found.same_answers.tolist() == [True] * 3
    assert found.best_iteration.tolist() == [0, 0, 0]
    said = [verdict.reason for verdict in verdicts_of(found, {}, None)]
    assert said[0] == f"all {int(found.queries[0])} answers were the same: the attack saw no difference to follow"
    assert {verdict.kind for verdict in verdicts_of(found, {}, None)} == {"attack_failed"}


@pytest.mark.parametrize("rows_at_once", [None, 1])
def test_only_rows_whose_answers_never_changed_are_named(rows_at_once, classifier):
    start = PixelSpace(initializer=Noise(mean=0.2, std=0.05))  # on the border
    attack = Attack(space=start, estimator=SPSA(pairs=20, delta=0.1), max_iterations=4, rows_at_once=rows_at_once)
    assert attack.run(half_deaf(), labels=[0, 1, 2]).same_answers.tolist() == [False, True, False]
    assert not Attack(estimator=SPSA(pairs=3), max_iterations=3).run(BlackBox.of(classifier)).same_answers.any()
    assert not Attack(max_iterations=3).run(WhiteBox(classifier)).same_answers.any()  # it asks for gradients


def test_a_budget_that_was_gone_is_no_better_reason_and_one_answer_is_none():
    def reason(budget):
        found = Attack(estimator=SPSA(pairs=3), max_iterations=9).run(half_deaf(), [0], query_budget=budget)
        return verdicts_of(found, {}, None)[0].reason

    assert reason(20) == "all 15 answers were the same: the attack saw no difference to follow"
    assert reason(1) == "the query budget was gone before anything was better than the start"


def test_results_and_console_say_so(tmp_path, capsys, classifier):
    attack = Attack(estimator=SPSA(pairs=3), max_iterations=3)
    for name, target in (("deaf", half_deaf()), ("hears", BlackBox.of(classifier))):
        found = attack.run(target, labels=[0, 1])
        described = attack.describe() | {"callbacks": []}
        write_results(tmp_path / name, found, target=target.describe(), attack=described)
    rows = json.loads((tmp_path / "deaf" / "results.json").read_text())["per_label"]
    assert [row["same_answers"] for row in rows] == [True, True]
    said = "2 of 2 rows: all 22 answers were the same: the attack saw no difference to follow; it says nothing of"
    assert unchanged(tmp_path / "deaf").startswith(said)
    assert unchanged(tmp_path / "hears") is None
    show_run(tmp_path / "deaf")
    assert said in capsys.readouterr().out
    assert torch.equal(found.same_answers, torch.tensor([False, False]))
