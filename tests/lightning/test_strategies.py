"""Rows that were spread over processes come together again."""

from __future__ import annotations

import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.lightning.strategies import gather_rows
from mi_lightning.targets import TargetError, WhiteBox


def test_a_failure_on_one_process_is_told_on_all(classifier, monkeypatch):
    """What the second of two processes found and failed by, seen by the first."""
    whole = Attack(max_iterations=2).run(WhiteBox(classifier))
    first, second = (whole.select(torch.arange(rank, len(whole), 2)) for rank in range(2))

    def all_gather(out, mine):
        out[:] = [mine, (second, "no answer")]

    monkeypatch.setattr(torch.distributed, "all_gather_object", all_gather)
    found, failure = gather_rows(first, None, 2)
    assert torch.equal(found.label, whole.label)
    assert torch.equal(found.candidate, whole.candidate)
    assert str(failure) == "no answer"
    own = TargetError("gone")
    assert gather_rows(first, own, 2)[1] is own


def test_one_process_has_all_rows(classifier):
    whole = Attack(max_iterations=2).run(WhiteBox(classifier))
    assert gather_rows(whole, None, 1) == (whole, None)
