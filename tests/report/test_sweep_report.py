"""Where a defense breaks an attack, told from made-up numbers."""

from __future__ import annotations

import pytest

from mi_lightning.commands.sweep.grid import read_axes
from mi_lightning.report.curves import Curve, _figure, draw_curves
from mi_lightning.report.sweep import SweepPlan
from mi_lightning.report.sweep.figure import INSIDE, RECOGNISED, deciding_figure, missing_headline
from mi_lightning.report.sweep.narrative import contrasts, reading, verdict
from mi_lightning.report.sweep.points import breakdown

LABELS = ("none", "0.1", "0.2", "0.3")


def plan_of(*values, key="model.defenses", settings=None):
    axes = read_axes({"r": {"title": "step", "values": list(values), "set": {key: "$r"}}})
    settings = settings or {}
    return SweepPlan(title="x", axes=axes, attacks=["a", "b"], seeds=[0], broken_below=0.1, settings=settings)


@pytest.fixture
def plan():
    return plan_of("none", 0.1, 0.2, 0.3)


def line(name, plan, *shares, labels=LABELS, figure=RECOGNISED, failed=()):
    points = [
        {
            "label": label,
            "strength": plan.strength.strength(label),
            figure.key: {"value": share, "low": 0.0, "high": 1.0},
            "attack_failed": {"count": dict(failed).get(label, 0), "of": 40},
            "accuracy_cost": {"value": 0.01 * place, "low": 0.0, "high": 0.05},
        }
        for place, (label, share) in enumerate(zip(labels, shares, strict=True))
    ]
    return {"name": name, "points": points, "breakdown": breakdown(points, plan, figure)}


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
    assert "not blocked by any strength tried; at 0.3 90% are still recognised" in said[1]
    assert contrasts(plan, [dead, alive]) == []


def test_what_looks_safe_by_one_attack_only(plan):
    naive, adaptive = line("a", plan, 0.9, 0.05, 0.0, 0.0), line("b", plan, 0.9, 0.8, 0.02, 0.0)
    assert contrasts(plan, [naive, adaptive]) == [
        "Judged by “a” alone, step 0.1 looks safe; by “b” 80% are still recognised there."
    ]
    cost = "where the defense costs 1.0 points (0.0 to 5.0) of test accuracy."
    assert reading(plan, [naive, adaptive])[0].endswith(cost)


def said_of(plan, found):
    """The sentence of the table, after checking that the page says the same of what is not known."""
    (sentence,) = reading(plan, [found])
    page = verdict(plan, found)["text"]
    for words in ("whether the attack works undefended", "Not measured: ", "it may break"):
        assert (words in sentence) == (words in page)
    return sentence


def test_without_a_run_that_is_undefended_nothing_is_said_of_it():
    plan = plan_of(0.1, 0.2)
    dead = line("a", plan, 0.0, 0.0, labels=("0.1", "0.2"))
    assert (dead["breakdown"]["label"], dead["breakdown"]["worked"]) == ("0.1", None)
    said = said_of(plan, dead)
    assert "recognition is under 10% at step 0.1" in said
    assert "The grid has no value without the defense: whether the attack works undefended" in said
    assert "says nothing" not in said
    alive = line("b", plan, 0.5, 0.5, labels=("0.1", "0.2"))
    assert "not blocked" in said_of(plan, alive)


def test_an_undefended_run_that_failed_is_not_taken_for_one_that_worked(plan):
    found = line("a", plan, 0.0, 0.0, 0.0, labels=LABELS[1:])
    assert (found["breakdown"]["worked"], found["breakdown"]["unmeasured"]) == (None, ["none"])
    assert "There is no run without the defense: whether" in said_of(plan, found)
    assert said_of(plan, found).endswith("Not measured: none.")


def test_the_smallest_strength_is_the_smallest_number():
    plan = plan_of(0.3, "none", 0.1, 0.2)
    found = line("a", plan, 0.0, 0.9, 0.5, 0.05, labels=("0.3", "none", "0.1", "0.2"))["breakdown"]
    assert (found["label"], found["holds_until"], found["stays"]) == ("0.2", "0.1", True)


def test_strengths_that_were_not_measured_are_named(plan):
    found = line("a", plan, 0.9, 0.0, labels=("none", "0.3"))
    assert found["breakdown"]["unmeasured"] == ["0.1", "0.2"]
    assert said_of(plan, found).endswith("Not measured: 0.1, 0.2; it may break earlier.")
    assert said_of(plan, line("a", plan, 0.9, 0.0, labels=("none", "0.1"))).endswith("Not measured: 0.2, 0.3.")
    found = line("a", plan, 0.9, 0.8, labels=("none", "0.2"))
    assert said_of(plan, found).endswith("Not measured: 0.1, 0.3; it may break there.")
    found = line("a", plan, 0.9, labels=("none",))
    assert "nothing else has been measured" in said_of(plan, found)
    assert verdict(plan, found)["head"] == "not measured"
    assert "Not measured" not in said_of(plan, line("a", plan, 0.9, 0.9, 0.9, 0.9))


def test_a_grid_of_something_else_is_not_called_a_defense():
    plan = plan_of("none", 0.1, 0.2, 0.3, key="model.gamma")
    for shares in ((0.9, 0.5, 0.05, 0.2), (0.9, 0.9, 0.9, 0.9), (0.0, 0.0, 0.0, 0.0)):
        found = line("a", plan, *shares)
        for said in (said_of(plan, found), verdict(plan, found)["text"], verdict(plan, found)["head"]):
            assert "defense" not in said
            assert "blocked" not in said
    pair = [line("a", plan, 0.9, 0.0, 0.0, 0.0), line("b", plan, 0.9, 0.8, 0.0, 0.0)]
    assert contrasts(plan, pair) == [
        "By “a” under 10% are recognised at step 0.1; by “b” 80% are still recognised there."
    ]
    by_attack = {"attacks": {"a": {"config": "x", "set": {"model.defenses.0.init_args.r": "$r * 2"}}, "b": "y"}}
    assert plan_of("none", 0.1, key="model.gamma", settings=by_attack).defends


def test_an_attack_that_fails_protects_nobody(plan):
    """Rounded answers that never move: nobody is recognised, and nothing is known of the defense."""
    stuck = line("a", plan, 0.9, 0.05, 0.0, 0.0, failed={"0.1": 2, "0.2": 40, "0.3": 40})
    found = stuck["breakdown"]
    assert (found["label"], found["failed_at"], found["below_at"]) == (None, "0.1", "0.1")
    assert found["attack_failed"] == {"count": 2, "of": 40}
    for said in (said_of(plan, stuck), verdict(plan, stuck)["text"]):
        assert "attack itself failed for 2 of 40 reconstructions, which says nothing about the defense." in said
        assert "falls" not in said
        assert "blocked" not in said
    assert verdict(plan, stuck)["head"] == "attack failed"
    other = line("b", plan, 0.9, 0.8, 0.8, 0.8)
    assert "by “b” 80% are still recognised there." in contrasts(plan, [stuck, other])[0]


def test_a_few_failures_do_not_hide_that_an_attack_is_broken(plan):
    found = line("a", plan, 0.9, 0.5, 0.05, 0.05, failed={"0.2": 2, "0.3": 1})
    assert (found["breakdown"]["failed_at"], found["breakdown"]["label"]) == ("0.2", "0.3")
    assert "Before that, at step 0.2 the attack itself failed for 2 of 40" in said_of(plan, found)
    assert "recognition falls under 10% at step 0.3" in said_of(plan, found)
    later = line("a", plan, 0.9, 0.5, 0.05, 0.0, failed={"0.3": 40})
    assert (later["breakdown"]["failed_at"], later["breakdown"]["label"]) == (None, "0.2")


@pytest.mark.parametrize(
    "shares", [(0.9, 0.5, 0.05, 0.2), (0.9, 0.9, 0.9, 0.9), (0.0, 0.0, 0.0, 0.0), (0.9, 0.0, 0, 0)]
)
def test_the_inside_evaluator_is_never_believed_without_its_name(plan, shares):
    found = line("a", plan, *shares, figure=INSIDE)
    assert "by the inside evaluator" in said_of(plan, found)
    assert "recogni" not in said_of(plan, found)
    assert verdict(plan, found)["unit"].endswith("by the inside evaluator only")
    assert "inside evaluator" not in said_of(plan, line("a", plan, *shares))
    assert "inside evaluator" in " ".join(missing_headline([found], []).split())
    assert missing_headline([line("a", plan, *shares)], []) is None


def test_one_run_with_a_recogniser_decides_for_all():
    inside, both = {"identification_top1": 0.5}, {"identification_top1": 0.5, "recognised": 0.0}
    assert deciding_figure([inside, inside | {"recognised": None}]) is INSIDE
    assert deciding_figure([inside, both]) is RECOGNISED


def curve_of(place):
    numbers = [(0.5, 0.4, 0.6), (0.1, 0.0, 0.2)]
    return Curve(f"attack {place}", ["none", "0.1"], *[numbers] * 4, failed=[0.0, float("nan")], queries=[10, 20])


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_legend_is_not_cut_off(count):
    curves = [curve_of(k) for k in range(count)]
    figure = _figure(curves, "step", RECOGNISED.title, {"ceiling": 0.875, "chance": 0.025}, 0.1)
    figure.canvas.draw()
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 6
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0 < box.y1 <= whole.y1
    panels = [panel.get_tightbbox() for panel in figure.axes]
    assert not any(box.overlaps(panel) for panel in panels if panel is not None)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_curves_are_an_svg_and_repeat(count):
    curves = [curve_of(k) for k in range(count)]
    drawn = {"axis_title": "step", "decides": "who", "marks": {"ceiling": 0.875}, "broken_below": 0.1}
    first = draw_curves(curves, **drawn)
    assert first.startswith(b"<?xml")
    assert first == draw_curves(curves, **drawn)
    assert first != draw_curves(curves, **drawn | {"marks": {}})
