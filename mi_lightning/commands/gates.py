"""Gates of an audit: figures that must not lie above a bound, nor be worse than in an earlier audit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mi_lightning.checkpoint import file_digest
from mi_lightning.errors import GateError, InputError, MIError
from mi_lightning.io import read_json
from mi_lightning.report.audit.figures import OUTSIDE_SHARES, SHARES, people_of
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.formats import show
from mi_lightning.report.manifest import MANIFEST, read_manifest
from mi_lightning.report.notes import QUICK
from mi_lightning.report.results import RunResults, read_results
from mi_lightning.report.schema.audit import AUDIT_SCHEMA
from mi_lightning.report.schema.check import problem
from mi_lightning.report.verification import unshown, verification_of
from mi_lightning.stats import exact_interval, headline_refusal, paired_test


def _types(schema: Mapping[str, Any]) -> set[str]:
    """Types that a value may have."""
    kinds = schema["type"]
    return {kinds} if isinstance(kinds, str) else set(kinds)


_RUN = AUDIT_SCHEMA["properties"]["runs"]["items"]["properties"]
#: Figures that are told with what they rest on: the number in them.
_WITHIN = {"worst_person": "bound", "best_control": "recognised"}
#: Figures that a gate can be about.
FIGURES = (*(key for key, schema in _RUN.items() if {"number", "integer"} & _types(schema)), *_WITHIN)
#: Of them: what is no share.
_NUMBERS = ("people", "judged", "seconds")
#: What says nothing where the attack failed for every person.
_OF_THE_ATTACK = (*OUTSIDE_SHARES, "leak", "worst_person")

#: Shares that would be greater, had the attack not failed for some.
_RISES = ("recognised", "accepted_at_1_percent", "accepted_at_0_1_percent")

_BEFORE = "recognised"  # what must not be worse than before, beside the figures that have a bound
_LEVEL = 0.95  # of the one-sided tests against the baseline
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Limit:
    """A figure and the most that it may be.

    Attributes:
        figure: Key of a run in ``audit.json``.
        bound: What the upper end of its interval must not lie above.
        run: Name of the run that it is about; all runs if None.
    """

    figure: str
    bound: float
    run: str | None = None

    def __str__(self) -> str:
        """What is asked for."""
        return f"{self.figure} at most {_show(self.figure, self.bound)}"

    def check(self, run: Mapping[str, Any]) -> Outcome:
        """Hold a run against the bound."""
        name, value = run["name"], _value(run, self.figure)
        if reason := _unmeasured(run, self.figure):
            return Outcome(str(self), name, self.figure, f"{name}: {reason}", passed=False, measured=False)
        high = run.get(f"{self.figure}_high")
        upper, above = (value, False) if high is None else (high, True)
        passed = bool(upper <= self.bound)
        told = f"{name}: {self.figure} is {_show(self.figure, value)}"
        told += f", 95% interval up to {_show(self.figure, upper)}" if above else ""
        line = f"{told}: {'not above' if passed else 'above'} {_show(self.figure, self.bound)}"
        if passed and (doubt := _unshown(run, self.figure) or self._of_failed(run)):
            return Outcome(str(self), name, self.figure, f"{name}: {doubt}", passed=False, measured=False)
        return Outcome(str(self), name, self.figure, line, passed)

    def _of_failed(self, run: Mapping[str, Any]) -> str:
        """Why a figure within its bound says nothing: the attack failed for people with whom it could lie above."""
        failed = round((run.get("attack_failed") or 0.0) * run["people"])
        if self.figure not in _RISES or not failed:
            return ""
        count = min(run["judged"], round(run[self.figure] * run["judged"]) + failed)
        upper = exact_interval(count, run["judged"])[1]
        if upper <= self.bound:
            return ""
        return (
            f"{self.figure} could not be measured (the attack failed for {failed} of {run['people']} people, with whom "
            f"its interval could reach {_show(self.figure, upper)})"
        )


@dataclass(frozen=True)
class Baseline:
    """An earlier audit.

    Attributes:
        entries: What was found of each run, by its name.
        people: For each run that still lies beside its audit: the numbers of each person.
    """

    entries: Mapping[str, Mapping[str, Any]]
    people: Mapping[str, Mapping[str, Mapping[str, float]]]

    def check(self, figure: str, name: str, run: Mapping[str, Any] | None, results: RunResults | None) -> Outcome:
        """Hold a figure of a run against what it was.

        Args:
            figure: The figure.
            name: Name of the run.
            run: What is found of it now; None if it is not there any more.
            results: The run itself.
        """
        gate, old = f"{figure} no worse than before", self.entries[name]
        reason = f"{figure} could not be measured (the baseline has this run, and the audit has not)"
        if run is not None:
            reason = _unmeasured(run, figure) or _unmeasured(old, figure, " in the baseline")
        if run is None or reason:
            return Outcome(gate, name, figure, f"{name}: {reason}", passed=False, measured=False)
        if doubt := _unshown(run, figure):  # also where the figure rose: it might have risen more
            return Outcome(gate, name, figure, f"{name}: {doubt}", passed=False, measured=False)
        value, previous = _value(run, figure), _value(old, figure)
        told = f"{name}: {figure} is {_show(figure, value)}, it was {_show(figure, previous)}"
        if value <= previous + _ROUNDING:
            return Outcome(gate, name, figure, f"{told}: no worse", passed=True)
        worse, why = self._is_worse(figure, name, run, None if results is None else people_of(results).get(figure))
        return Outcome(gate, name, figure, f"{told}: {'worse' if worse else 'not clearly worse'} ({why})", not worse)

    def _is_worse(
        self, figure: str, name: str, run: Mapping[str, Any], now: Mapping[str, float] | None
    ) -> tuple[bool, str]:
        """Whether chance does not explain that a figure rose, and how that was found."""
        value, previous = _value(run, figure), _value(self.entries[name], figure)
        before = self.people.get(name, {}).get(figure)
        if (
            now
            and before
            and now.keys() == before.keys()
            and abs(np.mean(list(before.values())) - previous) < _ROUNDING
        ):
            p = paired_test([now[person] for person in now], [before[person] for person in now], alternative="greater")
            return p <= 1 - _LEVEL, f"paired test over {len(now)} people, p = {p:.2g}"
        if figure not in SHARES:
            low = run.get(f"{figure}_low")
            return (True, "it rose") if low is None else (low > previous, f"interval from {_show(figure, low)}")
        low, _ = exact_interval(round(value * run["people"]), run["people"], level=2 * _LEVEL - 1)
        guessing = (run["chance"] or 0.0) if figure == _BEFORE else 0.0
        return low > max(previous, guessing), f"one-sided 95% interval from {_show(figure, low)}"


@dataclass(frozen=True)
class Gates:
    """All gates of an audit.

    Attributes:
        limits: Figures with a bound.
        baseline: The earlier audit than which nothing may be worse; None if there is none.
    """

    limits: tuple[Limit, ...] = ()
    baseline: Baseline | None = None

    def check(self, document: Mapping[str, Any], runs: Sequence[RunResults]) -> list[Outcome]:
        """Hold an audit against the gates.

        Args:
            document: Content of ``audit.json``.
            runs: Its runs, in the same order.
        """
        found = {run["name"]: run for run in document["runs"]}
        outcomes = [
            limit.check(run) for limit in self.limits for name, run in found.items() if limit.run in (None, name)
        ]
        if self.baseline is not None:
            results = dict(zip(found, runs, strict=True))
            for name in self.baseline.entries:
                named = [limit.figure for limit in self.limits if limit.run in (None, name)]
                outcomes += [
                    self.baseline.check(figure, name, found.get(name), results.get(name))
                    for figure in dict.fromkeys((_BEFORE, *named))
                ]
        return [_no_evidence(outcome) for outcome in outcomes] if document.get("quick") else outcomes


def _no_evidence(outcome: Outcome) -> Outcome:
    """What comes of a gate where nothing was measured that could hold it, whatever the figures are."""
    line = f"{outcome.run}: {outcome.figure} could not be measured ({QUICK})"
    return replace(outcome, line=line, passed=False, measured=False)


def parse_gates(
    fail_above: str | Sequence[str] | None, baseline: str | None = None, *, names: Sequence[str] | None = None
) -> Gates:
    """Read the gates of an audit, before anything is trained.

    Args:
        fail_above: ``FIGURE=BOUND`` or ``RUN:FIGURE=BOUND``, several in a list or with commas between.
        baseline: Folder of an earlier audit, or its ``audit.json``. It is read at once: the folder may be written anew.
        names: Names of the runs that there will be; any are right if None.

    Raises:
        InputError: If a gate names no figure, no bound or no run, or the baseline is no audit.
    """
    entries = [fail_above] if isinstance(fail_above, str) else fail_above or []
    texts = [text.strip() for entry in entries for text in str(entry).split(",")]
    return Gates(tuple(_limit(text, names) for text in texts), None if baseline is None else read_baseline(baseline))


def raise_breaches(outcomes: Sequence[Outcome]) -> None:
    """End with one line for each gate that fell, when everything is written.

    Raises:
        GateError: If one fell.
    """
    if breaches := [outcome.line for outcome in outcomes if not outcome.passed]:
        raise GateError("\n".join(f"gate: {line}" for line in breaches))


def read_baseline(path: str) -> Baseline:
    """Read an earlier audit.

    Raises:
        InputError: If it is none.
    """
    file = Path(path)
    file = file / "audit.json" if file.is_dir() else file
    expected = "the folder of an earlier audit, or its audit.json"
    try:
        document = read_json(file)
    except MIError as error:
        raise InputError(expected, error, "baseline") from None
    manifest = file.parent / MANIFEST
    if manifest.is_file():
        listed = read_manifest(file.parent)["files"].get(file.name, {}).get("sha256")
        if listed is not None and listed != file_digest(file):
            raise InputError(expected, f"{file}, which is not the one that {manifest} lists", "baseline")
    if wrong := problem(document, AUDIT_SCHEMA):
        raise InputError(expected, f"{file}, in which {wrong}", "baseline")
    if document.get("quick"):
        raise InputError(expected, f"{file}, of a quick audit, which is no evidence", "baseline")
    people = {}
    for run in document["runs"]:
        try:
            people[run["name"]] = people_of(read_results(file.parent / run["folder"]))
        except MIError:  # a file that was kept alone has no runs beside it: its figures are compared as they are
            continue
    return Baseline({run["name"]: run for run in document["runs"]}, people)


def _limit(text: str, names: Sequence[str] | None) -> Limit:
    """Read ``FIGURE=BOUND`` or ``RUN:FIGURE=BOUND``."""
    key, equals, number = text.rpartition("=")
    run, colon, figure = key.strip().rpartition(":")
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not equals or not math.isfinite(bound):
        raise InputError("FIGURE=BOUND or RUN:FIGURE=BOUND, such as recognised=0.2", text or "nothing", "fail_above")
    if figure not in FIGURES:
        known = ", ".join(name for name in FIGURES if not name.endswith(("_low", "_high")))
        raise InputError(f"one of the figures {known}", figure or "none", "fail_above")
    if figure not in _NUMBERS and not -1 <= bound <= 1:
        raise InputError(f"a share as the bound of {figure}, such as 0.2", number, "fail_above")
    if colon and names is not None and run not in names:
        raise InputError(f"one of the runs {', '.join(names)}", run or "none", "fail_above")
    return Limit(figure, bound, run if colon else None)


def _value(run: Mapping[str, Any], figure: str) -> Any:
    """The number of a figure; None if it was not measured."""
    value = run.get(figure)
    return value.get(_WITHIN[figure]) if figure in _WITHIN and value is not None else value


def _unmeasured(run: Mapping[str, Any], figure: str, where: str = "") -> str:
    """Why a figure of a run says nothing; empty if it says something."""
    if _value(run, figure) is None:
        # what needs no recogniser is missing for another reason than the headline
        few = None if figure in _OF_THE_ATTACK else headline_refusal(run["people"])
        reason = few or run["refused"] or "nobody measured it in this run"
    elif figure in _OF_THE_ATTACK and run.get("attack_failed") == 1:
        reason = "the attack failed for every person"
    elif figure in _OF_THE_ATTACK and run["judged"] < run["people"]:
        reason = f"the recogniser could not judge {run['people'] - run['judged']} of {run['people']} people"
    else:
        return ""
    return f"{figure} could not be measured{where} ({reason})"


def _unshown(run: Mapping[str, Any], figure: str) -> str:
    """Why a figure that is low does not show that a target is safe; empty if it does."""
    found = verification_of(run.get("verification"))
    if found.shown or figure not in (*_OF_THE_ATTACK, "inside_top1"):
        return ""
    why = unshown([run]) or "nobody asked the target whether it knows these people"
    return f"{figure} could not be measured ({why})"


def _show(figure: str, value: float) -> str:
    return f"{value:g}" if figure in _NUMBERS else show(value, "share")
