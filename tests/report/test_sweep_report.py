"""Where a defense breaks an attack, told from made-up numbers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mi_lightning.commands.sweep.grid import read_axes
from mi_lightning.judging.calibration import Utility
from mi_lightning.report import write_results
from mi_lightning.report.curves import Curve, _figure, draw_curves
from mi_lightning.report.sweep import SweepPlan, SweepRun, sweep_table, write_sweep, write_utility
from mi_lightning.report.sweep.figure import INSIDE, RECOGNISED, deciding_figure, missing_headline
from mi_lightning.report.sweep.narrative import contrasts, reading, verdict
from mi_lightning.report.sweep.points import breakdown, series_of
from mi_lightning.stats import exact_interval, nested_interval
from tests.report.conftest import ATTACK, TARGET, make_judgement, make_result

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
        "Judged by “a” alone, step 0.1 seems to protect; by “b” 80% are still recognised there."
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


def run_of(folder: Path, attack: str, label: str, *people: tuple[float, str], seed: int = 0, **more) -> SweepRun:
    """A run of two people: whether each is recognised, and the verdict; an outside judge said so, or nobody did."""
    path = folder / "runs" / f"{attack}_{label}_{seed}"
    result = make_result()
    write_results(path, result, make_judgement(result), target=TARGET, attack=ATTACK)
    write_utility(path, Utility(np.full((1, 6), 0.9), np.ones((1, 6))))
    data = json.loads((path / "results.json").read_text(encoding="utf-8"))
    for row, (hit, verdict_) in zip((row for row in data["per_label"] if row["best"]), people, strict=True):
        said = {"recognised": hit, "accepted_at_1_percent": hit, "recogniser_guess": "ann", "verdict": verdict_}
        row |= said | {"verdict_reason": f"so it is {verdict_}"}
    data["summary"] |= {"recognised": float(np.mean([hit for hit, _ in people]))} if people[0][0] is not None else {}
    data |= {"ceiling": {"class_mean": {"recognised": 0.875}}, "recogniser_missing": None} | more
    data["chance"]["recognised"] = 1 / 3
    (path / "results.json").write_text(json.dumps(data), encoding="utf-8")
    return SweepRun(attack, {"r": label}, seed, path)


def test_the_outside_judge_decides(tmp_path):
    """The inside evaluator identifies everybody all along; of a run whose attack failed nothing follows."""
    plan = plan_of("none", 0.1, 0.2)
    seen, fooled, failed = (1.0, "recognised"), (0.0, "fools_model_only"), (0.0, "attack_failed")
    runs = [
        *(run_of(tmp_path, "a", label, seen, end) for label, end in (("none", seen), ("0.1", failed), ("0.2", failed))),
        *(run_of(tmp_path, "b", label, end, end) for label, end in (("none", seen), ("0.1", fooled), ("0.2", failed))),
    ]
    write_sweep(tmp_path, plan, runs, failed={})
    data = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert (data["figure"], data["headline_missing"]) == ("recognised", None)
    assert (data["ceiling"], data["chance"]) == (0.875, pytest.approx(1 / 3))
    one, other = data["series"]
    assert [point["recognised"]["value"] for point in one["points"]] == [1, 0.5, 0.5]
    low, high = exact_interval(1, 2)
    assert one["points"][1]["recognised"] == pytest.approx({"value": 0.5, "low": low, "high": high})
    assert [point["attack_failed"]["count"] for point in other["points"]] == [0, 0, 2]
    assert [point["identification_top1"]["value"] for point in other["points"]] == [1, 1, 1]
    assert (other["breakdown"]["label"], other["breakdown"]["failed_at"]) == ("0.1", None)
    rows = list(csv.DictReader((tmp_path / "sweep.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["recognised"] for row in rows] == ["1.0", "0.5", "0.5", "1.0", "0.0", "0.0"]
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert "The headline is missing" not in page
    assert "by “a” 50% are still recognised there." in page
    assert 'class="failed' in page
    assert "so it is attack_failed" in page
    assert "87.5% of the people by their mean photograph (the ceiling), 33.3% by guessing (chance)" in page
    shown = printed(plan, runs)
    assert "recognised" in shown
    assert "The headline is missing" not in shown


def test_without_an_outside_judge_the_headline_is_missing(tmp_path):
    plan, nobody = plan_of("none", 0.1), (None, "not_judged")
    why = {"recogniser_missing": 'no dlib: pip install "mi-lightning[judges]"'}
    runs = [run_of(tmp_path, "a", label, nobody, nobody, **why) for label in ("none", "0.1")]
    write_sweep(tmp_path, plan, runs, failed={})
    data = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert data["figure"] == "identification_top1"
    assert 'no dlib: pip install "mi-lightning[judges]"' in data["headline_missing"]
    (line_,) = data["series"]
    assert [point["recognised"] for point in line_["points"]] == [None, None]
    page = (tmp_path / "sweep.html").read_text(encoding="utf-8")
    assert "The headline is missing" in page
    assert "not blocked<small> by the inside evaluator only</small>" in page
    assert "The headline is missing" in printed(plan, runs)
    assert "by the inside evaluator" in printed(plan, runs)


def printed(plan, runs) -> str:
    console = Console(width=200, file=io.StringIO())
    console.print(sweep_table(plan, runs))
    return console.file.getvalue()


def test_several_seeds_are_as_many_people_as_one(tmp_path):
    """Three seeds of two people are two people: the interval is that of their means."""
    seen, missed = (1.0, "recognised"), (0.0, "not_reconstructed")
    pairs = ((seen, missed), (seen, seen), (seen, missed))
    runs = [run_of(tmp_path, "a", "none", *pair, seed=seed) for seed, pair in enumerate(pairs)]
    (point,) = series_of(plan_of("none"), runs)[0]["points"]
    low, high = nested_interval([[1, 1, 1], [0, 1, 0]])
    assert point["recognised"] == pytest.approx({"value": 4 / 6, "low": low, "high": high})
    assert point["attack_failed"] == {"count": 0, "of": 6}
