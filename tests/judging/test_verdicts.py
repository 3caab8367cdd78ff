from __future__ import annotations

import dataclasses
import re

import pytest
import torch

from mi_lightning.judging.verdicts import TITLES, VERDICTS, Facts, verdict_of, verdicts_of

FOUND = Facts(finite=True, best_iteration=7, stop_reason="max_iterations", confidence=0.3, recognised=False, rank=5)


@pytest.mark.parametrize(
    ("changes", "kind", "reason"),
    [
        # no usable iterate, whatever anybody says of it
        ({"finite": False, "recognised": True}, "attack_failed", "no numbers"),
        ({"best_iteration": 0, "recognised": True, "stop_reason": "stagnation"}, "attack_failed", "vanished gradient"),
        ({"best_iteration": 0, "confidence": 1.0}, "attack_failed", "saturated softmax"),
        ({"best_iteration": 0, "stop_reason": "query_budget"}, "attack_failed", "the query budget was gone"),
        # ended before its end, with nothing to show
        ({"stop_reason": "diverged"}, "attack_failed", "diverged"),
        ({"stop_reason": "interrupted"}, "attack_failed", "interrupted"),
        ({"stop_reason": "query_budget"}, "attack_failed", "query budget"),
        ({"stop_reason": "target_error"}, "attack_failed", "the target failed"),
        # what was found counts all the same
        ({"stop_reason": "interrupted", "recognised": True}, "recognised", "names the person first"),
        ({"stop_reason": "query_budget", "confidence": 0.95}, "fools_model_only", "95% sure"),
        ({"recognised": True, "accepted": True}, "recognised", "would be let in"),
        ({"recognised": True, "accepted": False}, "recognised", "would not be let in"),
        ({"confidence": 0.9}, "fools_model_only", "target is 90% sure, but .* number 5"),
        ({"inside": True}, "fools_model_only", "inside evaluator names the person, but"),
        ({"confidence": 0.8999}, "not_reconstructed", "90% sure, and the recogniser names somebody else"),
        ({"best_iteration": -1}, "not_reconstructed", "30% sure"),  # not known is not never
        ({"recognised": None, "confidence": 1.0}, "not_judged", "no real samples of this person"),
        ({"recognised": None, "missing": "nobody was there", "inside": True}, "not_judged", "nobody was there"),
    ],
)
def test_the_first_rule_that_fits_decides(changes, kind, reason):
    verdict = verdict_of(dataclasses.replace(FOUND, **changes))
    assert verdict.kind == kind
    assert re.search(reason, verdict.reason)


def test_no_verdict_speaks_of_safety():
    assert set(TITLES) == set(VERDICTS)
    assert not any("safe" in title for title in TITLES.values())


def test_every_row_has_a_verdict(result_of):
    result = result_of(torch.rand(3, 1, 4, 4), [0, 1, 2])
    nothing = float("nan")
    per_row = {
        "recognised": torch.tensor([1.0, 0.0, nothing]),
        "recogniser_rank": torch.tensor([1.0, 3.0, nothing]),
        "accepted_at_1_percent": torch.tensor([1.0, nothing, nothing]),
    }
    kinds = [verdict.kind for verdict in verdicts_of(result, per_row, None)]
    assert kinds == ["recognised", "fools_model_only", "not_judged"]


def test_a_row_that_never_moved_has_failed(result_of):
    result = dataclasses.replace(result_of(torch.rand(2, 1, 4, 4), [0, 1]), best_iteration=torch.tensor([0, 3]))
    verdicts = verdicts_of(result, {"recognised": torch.tensor([1.0, 1.0])}, None)
    assert [verdict.kind for verdict in verdicts] == ["attack_failed", "recognised"]


def test_what_is_no_number_has_failed(result_of):
    pictures = torch.rand(2, 1, 4, 4)
    pictures[1, 0, 2, 2] = torch.nan
    verdicts = verdicts_of(result_of(pictures, [0, 1]), {}, "no recogniser was asked")
    assert [verdict.kind for verdict in verdicts] == ["not_judged", "attack_failed"]
