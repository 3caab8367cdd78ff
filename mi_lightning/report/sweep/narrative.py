"""Where each attack of a sweep breaks, at what cost, and who would have been deceived, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mi_lightning.report.formats import show
from mi_lightning.report.sweep.plan import SweepPlan
from mi_lightning.report.sweep.points import measured

_NOTHING = "nothing is known of it: no run has a number of people who are identified."


def reading(plan: SweepPlan, series: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in plain sentences where each attack breaks, and at what cost, and who would have been deceived."""
    return [f"{line['name']}: {_breaks(plan, line)}" for line in series] + contrasts(plan, series)


def contrasts(plan: SweepPlan, series: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the strengths that look safe by one attack and are not by another."""
    said = []
    for line in series:
        label = line["breakdown"]["label"]
        if label is None or line["breakdown"]["worked"] is False:
            continue
        there = {
            other["name"]: point["identification_top1"]["value"]
            for other in series
            for point in measured(other["points"])
            if point["label"] == label and point["identification_top1"]["value"] >= plan.broken_below
        }
        if there:
            name = max(there, key=lambda other: there[other])
            at = f"{plan.strength.title} {label}"
            seems = f"Judged by “{line['name']}” alone, {at} looks safe"
            if not plan.defends:
                seems = f"“{line['name']}” identifies under {show(plan.broken_below, 'share')} at {at}"
            said.append(f"{seems}; “{name}” still identifies {show(there[name], 'share')} there.")
    return said


def verdict(plan: SweepPlan, line: Mapping[str, Any]) -> dict[str, str]:
    """Where an attack breaks, for the top of the page: a headline, its unit, and sentences."""
    found, points, limit = line["breakdown"], measured(line["points"]), show(plan.broken_below, "share")
    head, unit = str(found["label"]), plan.strength.title
    if not points:
        head, unit, text = "not measured", "", f"{_NOTHING[0].upper()}{_NOTHING[1:]}"
    elif found["worked"] is False:
        head, unit = "says nothing", ""
        text = f"It identifies fewer than {limit} at {plan.strength.reference} already."
    elif all(point["label"] == plan.strength.reference for point in points):
        head, unit, text = "not measured", "", f"There are runs at {points[-1]['label']} only."
    elif found["label"] is None:
        head, unit = "not blocked" if plan.defends else f"{limit} or more", ""
        what = "strength" if plan.defends else plan.strength.title
        text = f"Identification stays at {limit} or above at every {what} tried, up to {found['holds_until']}."
    else:
        text = f"Identification there: {_interval(found['identification'])}."
        if found["accuracy_cost"] is not None:
            cost = _cost(plan, found["accuracy_cost"])
            text += f" {cost[0].upper()}{cost[1:]}."
        if not found["stays"]:
            again = _again(plan)
            text += f" {again[0].upper()}{again[1:]} it is above {limit} again."
    return {"name": line["name"], "head": head, "unit": unit, "text": " ".join([text, *_unknown(plan, found)])}


def _breaks(plan: SweepPlan, line: Mapping[str, Any]) -> str:
    """Where an attack breaks, as the end of a sentence, and what is not known."""
    found, points, title = line["breakdown"], measured(line["points"]), plan.strength.title
    limit = show(plan.broken_below, "share")
    if not points:
        return " ".join([_NOTHING, *_unknown(plan, found)])
    share = show(points[-1]["identification_top1"]["value"], "share")
    if found["worked"] is False:
        about = "the defense" if plan.defends else title
        text = f"identifies under {limit} at {plan.strength.reference} already, so it says nothing about {about}."
    elif all(point["label"] == plan.strength.reference for point in points):
        text = f"identifies {share} at {points[-1]['label']}; nothing else has been measured."
    elif found["label"] is None and plan.defends:
        text = f"not blocked by any strength tried; at {points[-1]['label']} it still identifies {share}."
    elif found["label"] is None:
        text = f"identifies {limit} or more at every {title} tried; {share} at {points[-1]['label']}."
    else:
        verb = "falls" if found["worked"] else "is"
        text = f"identification {verb} under {limit} at {title} {found['label']} ({_interval(found['identification'])})"
        if found["accuracy_cost"] is not None:
            text += f", where {_cost(plan, found['accuracy_cost'])}"
        text += "." if found["stays"] else f"; {_again(plan)} it is above that again."
    return " ".join([text, *_unknown(plan, found)])


def _cost(plan: SweepPlan, cost: Mapping[str, float]) -> str:
    """What is paid in test accuracy, in words."""
    if plan.defends:
        return f"the defense costs {_points(cost)} of test accuracy"
    return f"test accuracy is {_points(cost)} lower than at {plan.strength.reference}"


def _again(plan: SweepPlan) -> str:
    return "at a greater strength" if plan.defends else f"at a later {plan.strength.title}"


def _unknown(plan: SweepPlan, found: Mapping[str, Any]) -> list[str]:
    """What cannot be said about an attack since it was not measured, in sentences."""
    said, axis, gaps = [], plan.strength, found["unmeasured"]
    if plan.defends and found["worked"] is None:
        why = (
            "The grid has no value without the defense"
            if axis.reference is None
            else "There is no run without the defense"
        )
        said.append(f"{why}: whether the attack works undefended, and what the defense costs, is unknown.")
    if gaps:
        early = [label for label in gaps if label != axis.reference]
        if found["label"] is not None:
            early = [label for label in early if axis.rising.index(label) < axis.rising.index(found["label"])]
        may = (
            ""
            if not early or found["worked"] is False
            else "; it may break there"
            if found["label"] is None
            else "; it may break earlier"
        )
        said.append(f"Not measured: {', '.join(gaps)}{may}.")
    return said


def _interval(estimate: Mapping[str, float]) -> str:
    """A share with its interval."""
    value, low, high = (show(estimate[key], "share") for key in ("value", "low", "high"))
    return f"{value}, 95% interval {low} to {high}"


def _points(estimate: Mapping[str, float]) -> str:
    """A difference of shares, in percentage points."""
    value, low, high = (100 * estimate[key] for key in ("value", "low", "high"))
    return f"{value + 0:.1f} points ({low + 0:.1f} to {high + 0:.1f})"
