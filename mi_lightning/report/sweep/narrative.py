"""Where each attack of a sweep breaks, at what cost, and who would have been deceived, in plain sentences.

That an attack failed and that people are protected are never the same words, and what only the inside evaluator says
is never said without its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mi_lightning.report.formats import show
from mi_lightning.report.sweep.figure import FIGURES, Figure
from mi_lightning.report.sweep.plan import SweepPlan
from mi_lightning.report.sweep.points import measured


def reading(plan: SweepPlan, series: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in plain sentences where each attack breaks, and at what cost, and who would have been deceived."""
    return [f"{line['name']}: {_breaks(plan, line)}" for line in series] + contrasts(plan, series)


def contrasts(plan: SweepPlan, series: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name the strengths that one attack takes for protection and another does not."""
    said = []
    for line in series:
        figure, label = _figure(line), line["breakdown"]["below_at"]
        if label is None or line["breakdown"]["worked"] is False or line.get("unshown"):
            continue
        there = {
            other["name"]: point[figure.key]["value"]
            for other in series
            for point in measured(other["points"], figure.key)
            if point["label"] == label and point[figure.key]["value"] >= plan.broken_below
        }
        if there:
            name = max(there, key=lambda other: there[other])
            at = f"{plan.strength.title} {label}"
            seems = f"Judged by “{line['name']}” alone, {at} seems to protect"
            if not plan.defends:
                seems = f"By “{line['name']}” under {show(plan.broken_below, 'share')} are {figure.done} at {at}"
            said.append(f"{seems}; by “{name}” {show(there[name], 'share')} are still {figure.done} there.")
    return said


def verdict(plan: SweepPlan, line: Mapping[str, Any]) -> dict[str, str]:
    """Where an attack breaks, for the top of the page: a headline, its unit, and sentences."""
    found, figure = line["breakdown"], _figure(line)
    points, limit = measured(line["points"], figure.key), show(plan.broken_below, "share")
    head, unit = str(found["label"]), plan.strength.title
    if not points:
        nothing = _nothing(figure)
        head, unit, text = "not measured", "", f"{nothing[0].upper()}{nothing[1:]}"
    elif line.get("unshown"):
        head, unit, text = "says nothing", "", f"{line['unshown'][0].upper()}{line['unshown'][1:]}."
    elif found["worked"] is False:
        head, unit = "says nothing", ""
        text = f"Under {limit} are {figure.done} at {plan.strength.reference} already."
    elif all(point["label"] == plan.strength.reference for point in points):
        head, unit, text = "not measured", "", f"There are runs at {points[-1]['label']} only."
    elif found["label"] is None and found["failed_at"] is not None:
        head, unit = "attack failed", f"{plan.strength.title} {found['failed_at']}"
        failure = _failure(plan, found)
        text = f"{failure[0].upper()}{failure[1:]}."
    elif found["label"] is None:
        head, unit = "not blocked" if plan.defends else f"{limit} or more", ""
        what = "strength" if plan.defends else plan.strength.title
        text = f"{limit} or more are {figure.done} at every {what} tried, up to {found['holds_until']}."
    else:
        text = f"{figure.done[0].upper()}{figure.done[1:]} there: {_interval(found['share'])}."
        if found["accuracy_cost"] is not None:
            cost = _cost(plan, found["accuracy_cost"])
            text += f" {cost[0].upper()}{cost[1:]}."
        if not found["stays"]:
            again = _again(plan)
            text += f" {again[0].upper()}{again[1:]} it is above {limit} again."
        if found["failed_at"] is not None:
            text += f" Before that, {_failure(plan, found)}."
    unit = ", ".join(word for word in (unit, figure.caution) if word)
    return {"name": line["name"], "head": head, "unit": unit, "text": " ".join([text, *_unknown(plan, found)])}


def _figure(line: Mapping[str, Any]) -> Figure:
    """The figure by which a line is read."""
    return FIGURES[line["breakdown"]["figure"]]


def _nothing(figure: Figure) -> str:
    return f"nothing is known of it: no run counts who is {figure.done}."


def _failure(plan: SweepPlan, found: Mapping[str, Any]) -> str:
    """That an attack failed, and what that is worth, as a sentence without its full stop."""
    failed = found["attack_failed"]
    what = "the defense" if plan.defends else "what another attack would find"
    return (
        f"at {plan.strength.title} {found['failed_at']} the attack itself failed for {failed['count']} of "
        f"{failed['of']} reconstructions, which says nothing about {what}"
    )


def _breaks(plan: SweepPlan, line: Mapping[str, Any]) -> str:
    """Where an attack breaks, as the end of a sentence, and what is not known."""
    found, figure, title = line["breakdown"], _figure(line), plan.strength.title
    points, limit = measured(line["points"], figure.key), show(plan.broken_below, "share")
    if not points:
        return " ".join([_nothing(figure), *_unknown(plan, found)])
    if line.get("unshown"):
        return f"{line['unshown']}."
    share = show(points[-1][figure.key]["value"], "share")
    if found["worked"] is False:
        about = "the defense" if plan.defends else title
        text = (
            f"under {limit} are {figure.done} at {plan.strength.reference} already, so it says nothing about {about}."
        )
    elif all(point["label"] == plan.strength.reference for point in points):
        text = f"{share} are {figure.done} at {points[-1]['label']}; nothing else has been measured."
    elif found["label"] is None and found["failed_at"] is not None:
        text = f"{_failure(plan, found)}."
    elif found["label"] is None and plan.defends:
        text = f"not blocked by any strength tried; at {points[-1]['label']} {share} are still {figure.done}."
    elif found["label"] is None:
        text = f"{limit} or more are {figure.done} at every {title} tried; {share} at {points[-1]['label']}."
    else:
        verb = "falls" if found["worked"] else "is"
        text = f"{figure.noun} {verb} under {limit} at {title} {found['label']} ({_interval(found['share'])})"
        if found["accuracy_cost"] is not None:
            text += f", where {_cost(plan, found['accuracy_cost'])}"
        text += "." if found["stays"] else f"; {_again(plan)} it is above that again."
        if found["failed_at"] is not None:
            text += f" Before that, {_failure(plan, found)}."
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
