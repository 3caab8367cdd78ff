"""Where a defense breaks an attack, told from made-up numbers."""

from __future__ import annotations

import pytest

from mi_lightning.grid import read_axes
from mi_lightning.report.curves import Curve, draw_curves
from mi_lightning.report.sweep import SweepPlan, breakdown, contrasts, reading

LABELS = ("none", "0.1", "0.2", "0.3")


@pytest.fixture
def plan():
    axes = read_axes({"r": {"title": "step", "values": ["none", 0.1, 0.2, 0.3], "set": {"model.x": "$r"}}})
    return SweepPlan(title="x", axes=axes, attacks=["a", "b"], seeds=[0], broken_below=0.1, settings={})


def line(name, plan, *shares):
    points = [
        {
            "label": label,
            "strength": plan.strength.strength(label),
            "identification_top1": {"value": share, "low": 0.0, "high": 1.0},
            "accuracy_cost": {"value": 0.01 * place, "low": 0.0, "high": 0.05},
        }
        for place, (label, share) in enumerate(zip(LABELS, shares, strict=True))
    ]
    return {"name": name, "points": points, "breakdown": breakdown(points, plan)}


def test_it_breaks_and_stays_broken(plan):
    found = line("a", plan, 0.9, 0.5, 0.05, 0.0)["breakdown"]
    assert (found["label"], found["strength"], found["holds_until"]) == ("0.2", 0.2, "0.1")
    assert (found["stays"], found["worked"]) == (True, True)
    assert found["accuracy_cost"]["value"] == 0.02


def test_the_limit_itself_is_not_below_it(plan):
    assert line("a", plan, 0.9, 0.1, 0.1, 0.1)["breakdown"]["label"] is None


def test_it_comes_back(plan):
    broken = line("a", plan, 0.9, 0.05, 0.2, 0.0)
    assert (broken["breakdown"]["label"], broken["breakdown"]["stays"]) == ("0.1", False)
    assert reading(plan, [broken])[0].endswith("at a greater strength it is above that again.")


def test_an_attack_that_never_worked_says_nothing(plan):
    dead, alive = line("a", plan, 0.0, 0.0, 0.0, 0.0), line("b", plan, 0.9, 0.9, 0.9, 0.9)
    assert not dead["breakdown"]["worked"]
    said = reading(plan, [dead, alive])
    assert "says nothing about the defense" in said[0]
    assert "not blocked by any strength tried; at 0.3 it still identifies 90%" in said[1]
    assert contrasts(plan, [dead, alive]) == []


def test_what_looks_safe_by_one_attack_only(plan):
    naive, adaptive = line("a", plan, 0.9, 0.05, 0.0, 0.0), line("b", plan, 0.9, 0.8, 0.02, 0.0)
    assert contrasts(plan, [naive, adaptive]) == [
        "Judged by “a” alone, step 0.1 looks safe; “b” still identifies 80% there."
    ]
    cost = "where the defense costs 1.0 points (0.0 to 5.0) of test accuracy."
    assert reading(plan, [naive, adaptive])[0].endswith(cost)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_curves_are_an_svg_and_repeat(count):
    numbers = [(0.5, 0.4, 0.6), (0.1, 0.0, 0.2)]
    curves = [Curve(f"attack {k}", ["none", "0.1"], numbers, numbers, numbers, numbers, [10, 20]) for k in range(count)]
    first = draw_curves(curves, axis_title="step", broken_below=0.1)
    assert first.startswith(b"<?xml")
    assert first == draw_curves(curves, axis_title="step", broken_below=0.1)
