"""Every input is counted, by the row that asks, and a budget holds to the query."""

from __future__ import annotations

import pytest
import torch

from mi_lightning.errors import MIError
from mi_lightning.targets import BlackBox, QueryBudgetError, QueryLedger, WhiteBox
from mi_lightning.targets.defenses import Rounding, Temperature, defend


def test_queries_are_counted_by_row():
    ledger = QueryLedger()
    with ledger.asking([7, 9]):
        ledger.count(6)
        with ledger.asking([9]):
            ledger.count(5)
        ledger.count(2)
    ledger.count(10)  # nobody's
    assert (ledger.of(7), ledger.of(9), ledger.of(1), ledger.total) == (4, 9, 0, 23)
    assert ledger.askers == ()


def test_who_asks_is_forgotten_also_after_an_error():
    ledger = QueryLedger()
    with pytest.raises(ZeroDivisionError), ledger.asking([1]):
        _ = 1 / 0
    assert ledger.askers == ()


def test_a_budget_holds_to_the_query():
    ledger = QueryLedger()
    ledger.restart(10)
    with ledger.asking([1, 2]):
        ledger.count(8)
        with pytest.raises(QueryBudgetError, match=r"expected at most 10 queries per row, got 11 \(query_budget\)"):
            ledger.count(14)
        assert (ledger.of(1), ledger.total) == (4, 8)  # the refused batch is not counted
        ledger.count(12)
    assert ledger.of(2) == 10
    ledger.count(100)  # whoever is no row has no budget
    assert issubclass(QueryBudgetError, MIError)


def test_many_rows_are_looked_up_at_once():
    ledger = QueryLedger()
    with ledger.asking([3, 1]):
        ledger.count(4)
    assert ledger.asked([1, 2, 3, 1]) == [2, 0, 2, 2]


def test_a_run_goes_on_from_its_state():
    ledger = QueryLedger()
    ledger.restart(10)
    with ledger.asking([3, 1]):
        ledger.count(4)
        state = ledger.run_state()
        ledger.count(6)
        other = QueryLedger()
        other.load_run_state(state)
        assert (other.asked([1, 3]), other.total, other.budget) == ([2, 2], 4, 10)
        ledger.load_run_state(state)  # what was asked since is forgotten, also what was not booked yet
        assert (ledger.asked([1, 3]), ledger.total) == ([2, 2], 4)
        ledger.count(16)
        with pytest.raises(QueryBudgetError, match="at most 10 queries per row, got 11"):
            ledger.count(2)
    assert state == {"total": 4, "budget": 10, "counts": {3: 2, 1: 2}}  # a copy


def test_restart_forgets_the_rows_and_not_the_total():
    ledger = QueryLedger()
    with ledger.asking([1]):
        ledger.count(3)
        ledger.restart(4)
        ledger.count(4)
    assert (ledger.of(1), ledger.total) == (4, 7)


def test_a_batch_that_does_not_belong_to_the_rows():
    ledger = QueryLedger()
    with ledger.asking([1, 2, 3]), pytest.raises(RuntimeError, match="7 inputs cannot be split evenly over 3 rows"):
        ledger.count(7)


def test_a_target_and_its_defenses_share_one_ledger_and_count_once(tiny_softmax):
    bare = WhiteBox(tiny_softmax)
    target = defend(bare, [Rounding(r=0.1), Temperature(temperature=2.0)])
    with target.asking([5]):
        target.confidences(torch.rand(3, 1, 8, 6))
        target.log_confidences(torch.rand(2, 1, 8, 6))
    bare.confidences(torch.rand(4, 1, 8, 6))
    assert target.queries == bare.queries == 9
    assert target.ledger.of(5) == 5


def test_the_count_is_that_of_a_stub():
    asked = []

    def stub(x):
        asked.append(len(x))
        return torch.full((len(x), 2), 0.5)

    target = BlackBox(stub, input_shape=(3,), num_classes=2)
    for n in (1, 5, 2):
        target.confidences(torch.zeros(n, 3))
    target.log_confidences(torch.zeros(4, 3))
    assert target.queries == sum(asked) == 12
