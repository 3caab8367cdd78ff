"""What the answers of people say: one more judge, with its errors, its chance and its agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from mi_lightning.checkpoint import file_digest
from mi_lightning.errors import InputError
from mi_lightning.report.study.agreement import agreement
from mi_lightning.report.study.answers import Answers, Key, read_answers, read_key
from mi_lightning.report.study.plan import CANNOT_TELL, NONE, SAME
from mi_lightning.stats import bootstrap_interval, exact_interval, nested_interval

#: Attention checks that a judge may fail.
FORGIVEN = 1

Values = NDArray[np.float64]


def judge_by_people(runs: Sequence[str | Path], answers: Sequence[str | Path] | str, key: str | Path) -> dict[str, Any]:
    """Read the answers to a study of runs, and judge by them (:func:`human_judgement`).

    Args:
        runs: Folders of runs, all of the study among them.
        answers: Files of answers, or folders of them; one path or several.
        key: The key of the study.

    Raises:
        InputError: If there are no answers, a judge has two files, or the study asks about other runs.
        MIError: If a file is damaged, or of another study.
    """
    found = read_key(key)
    here = {file_digest(Path(run) / "reconstructions.npz") for run in runs}
    if others := [run["name"] for run in found.data["runs"] if run["sha256"] not in here]:
        raise InputError("the key of a study that asks about these runs", f"{key}, about {', '.join(others)}", "key")
    return human_judgement(read_answers([answers] if isinstance(answers, str) else answers, found), found)


def human_judgement(answers: Sequence[Answers], key: Key) -> dict[str, Any]:
    """Judge by people: whom they recognise in a line-up, and whom they take for the same person.

    Shares count each person once. Their 95% intervals under ``low`` and ``high`` resample people, with the answers of
    all judges to a person taken together, since answers to one picture are no independent draws; ``exact_low`` and
    ``exact_high`` are the exact ones of the answers as if they were, which is right for one judge.

    Args:
        answers: Of each judge.
        key: Which answers are right.

    Returns:
        Plain values; what could not be measured is None. ``judges``: ``judge``, ``answered``, ``finished``, ``checks``,
        ``checks_failed``, ``excluded`` (more than :data:`FORGIVEN` checks failed: the judge's answers count nowhere
        else), ``median_seconds``; ``counted`` and ``excluded``: how many judges count, and the codes of the others;
        ``asked``, ``line_up``, ``absent``; ``runs``, one entry a run:

        * ``identified``: share of the line-ups with the person in which the person was chosen, ``chance_identified``
          what guessing gives at the judges' own rate of "none of these", ``none_right`` and ``none_wrong``: share of
          "none of these" without and with the person, ``overall``: right answers to all line-ups [F15, section 5.2];
        * ``hits`` and ``false_alarms``: share of "same" to pairs that are and are not of the same person; ``d_prime``:
          the distance of the two in standard deviations, counts taken with 1/2 added (Hautus, Behavior Research Methods
          27, 1995); ``cannot_tell``;
        * ``agreement``: ``line_up`` and ``same_person`` between judges, ``recogniser`` between the majority of the
          judges and the recogniser on whom they recognise: ``kappa``, ``low``, ``high``, ``same`` (share of equal
          answers), ``people``, ``judges``;
        * ``people``: ``label``, ``name``, ``asked``, ``chosen`` (judges), ``recognised`` (by the recogniser).
    """
    checks = {item for item, question in key.questions.items() if question["check"]}
    judges = [_describe(each, key, checks) for each in answers]
    counted = [each for each, judge in zip(answers, judges, strict=True) if not judge["excluded"]]
    settings = key.data["settings"]
    return {
        "study": key.study,
        "title": key.data["title"],
        "line_up": settings["line_up"],
        "absent": settings["absent"],
        "asked": len(key.questions),
        "judges": judges,
        "counted": len(counted),
        "excluded": [judge["judge"] for judge in judges if judge["excluded"]],
        "runs": [
            {"name": run["name"], "stretched": run.get("stretched", False)} | _of_run(run["name"], counted, key)
            for run in key.data["runs"]
        ],
    }


def _describe(answers: Answers, key: Key, checks: set[str]) -> dict[str, Any]:
    """What is said of a judge."""
    asked = checks & answers.answer.keys()
    failed = sum(answers.answer[item] != key.questions[item]["answer"] for item in asked)
    return {
        "judge": answers.judge,
        "answered": len(answers.answer),
        "finished": answers.finished,
        "checks": len(asked),
        "checks_failed": failed,
        "excluded": failed > FORGIVEN,
        "median_seconds": float(np.median(list(answers.milliseconds.values()))) / 1000,
    }


def _of_run(run: str, counted: Sequence[Answers], key: Key) -> dict[str, Any]:
    """Figures of one run."""
    line_ups = _questions(key, run, "line_up")
    pairs = _questions(key, run, "same_person")
    chosen = _told(line_ups, counted, lambda answer, question: answer == question["answer"])
    none = _told(line_ups, counted, lambda answer, _: answer == NONE)
    same = _told(pairs, counted, lambda answer, _: answer == SAME)
    unsure = _told(pairs, counted, lambda answer, _: answer == CANNOT_TELL)
    absent = np.array([question["answer"] == NONE for question in line_ups.values()], dtype=bool)
    alike = np.array([question["answer"] == SAME for question in pairs.values()], dtype=bool)
    present = [question for question in line_ups.values() if question["answer"] != NONE]
    rate = _mean(none)
    size = key.data["settings"]["line_up"]
    return {
        "identified": _share(chosen[~absent]),
        "chance_identified": None if rate is None else (1 - rate) / size,
        "none_right": _share(none[absent]),
        "none_wrong": _share(none[~absent]),
        "overall": _share(chosen),
        "hits": _share(same[alike]),
        "false_alarms": _share(same[~alike]),
        "cannot_tell": _share(unsure),
        "d_prime": _d_prime(same, alike),
        "agreement": {
            "line_up": agreement(chosen[~absent]),
            "same_person": agreement(same + 2 * unsure),
            "recogniser": agreement(_beside_recogniser(chosen[~absent], present)),
        },
        "people": [
            {
                "label": question["label"],
                "name": question["name"],
                "asked": int(np.isfinite(row).sum()),
                "chosen": int(np.nansum(row)),
                "recognised": question["recognised"],
            }
            for question, row in zip(present, chosen[~absent], strict=True)
        ],
    }


def _questions(key: Key, run: str, kind: str) -> dict[str, Mapping[str, Any]]:
    """Questions of a kind about a run, without attention checks; one a person."""
    return {
        item: question
        for item, question in key.questions.items()
        if question["run"] == run and question["kind"] == kind and not question["check"]
    }


def _told(
    questions: Mapping[str, Mapping[str, Any]],
    judges: Sequence[Answers],
    says: Callable[[str, Mapping[str, Any]], bool],
) -> Values:
    """Whether each judge's answer to each question says something, (questions, judges); NaN where there is none."""
    told = np.full((len(questions), len(judges)), np.nan)
    for place, (item, question) in enumerate(questions.items()):
        for column, judge in enumerate(judges):
            if item in judge.answer:
                told[place, column] = says(judge.answer[item], question)
    return told


def _mean(values: Values) -> float | None:
    return float(np.nanmean(values)) if np.isfinite(values).any() else None


def _share(values: Values) -> dict[str, Any]:
    """Share of ones among answers, (people, judges), NaN where there is none, each person once; with its intervals."""
    asked, hits = int(np.isfinite(values).sum()), int(np.nansum(values))
    if not asked:
        return dict.fromkeys(("share", "low", "high", "exact_low", "exact_high")) | {"hits": 0, "answers": 0}
    low, high = nested_interval(values)
    exact_low, exact_high = exact_interval(hits, asked)
    return {
        "share": float(np.nanmean(np.nanmean(values[np.isfinite(values).any(1)], 1))),
        "low": low,
        "high": high,
        "hits": hits,
        "answers": asked,
        "exact_low": exact_low,
        "exact_high": exact_high,
    }


def _d_prime(same: Values, alike: NDArray[np.bool_]) -> dict[str, float | None]:
    """Discriminability of pairs: z(hit rate) - z(false-alarm rate); the interval resamples people."""
    said, asked = np.nansum(same, 1), np.isfinite(same).sum(1)
    if not asked[alike].sum() or not asked[~alike].sum():
        return {"value": None, "low": None, "high": None}

    def rate(people: NDArray[np.int64], sort: NDArray[np.bool_]) -> Values:
        """Share of "same" to one sort of pairs in resamples, (D, people)."""
        share: Values = ((said * sort)[people].sum(1) + 0.5) / ((asked * sort)[people].sum(1) + 1)
        return share

    def of(people: NDArray[np.int64]) -> Values:
        found: Values = norm.ppf(rate(people, alike)) - norm.ppf(rate(people, ~alike))
        return found

    low, high = bootstrap_interval(of, len(same))
    return {"value": float(of(np.arange(len(same))[None])[0]), "low": low, "high": high}


def _beside_recogniser(chosen: Values, questions: Sequence[Mapping[str, Any]]) -> Values:
    """Whether most judges, and whether the recogniser, recognise each person, (people, 2); NaN where not measured."""
    beside = np.full((len(questions), 2), np.nan)
    for place, (row, question) in enumerate(zip(chosen, questions, strict=True)):
        if np.isfinite(row).any() and question["recognised"] is not None:
            beside[place] = np.nanmean(row) > 0.5, question["recognised"]
    return beside
