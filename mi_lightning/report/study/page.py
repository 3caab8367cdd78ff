"""The page that asks the judges, and the key that the organiser keeps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mi_lightning.checkpoint import file_digest
from mi_lightning.errors import InputError
from mi_lightning.io import write_atomically
from mi_lightning.report.page import page_template
from mi_lightning.report.results import RunResults, read_runs
from mi_lightning.report.study.exhibits import Exhibits, exhibits
from mi_lightning.report.study.plan import Plan, Question, Sample

KEY_VERSION = 1


@dataclass(frozen=True)
class Study:
    """What :func:`build_study` wrote.

    Attributes:
        page: The page for the judges.
        key: The file that says which answers are right.
        study: Name of the study: digest of the runs and of every question.
        questions: Questions for each judge, attention checks among them.
        left_out: Names of the people nobody is asked about, since their reconstruction is not finite.
    """

    page: Path
    key: Path
    study: str
    questions: int
    left_out: list[str]


def build_study(
    runs: Sequence[str | Path],
    output: str | Path,
    *,
    plan: Plan | None = None,
    title: str = "Who is this?",
    names: Sequence[str] | None = None,
) -> Study:
    """Write one page that asks people about the reconstructions of runs, and beside it the key to their answers.

    The page needs nothing else and sends nothing: a judge's answers are saved as a file. It holds neither names nor
    right answers; these are in ``<page>_key.json``, which is not for the judges.

    Args:
        runs: Folders of runs; or of an audit, which stands for all its runs.
        output: The page to write.
        plan: What is asked.
        title: Title of the page.
        names: Name of each run; taken from the folders if None.

    Returns:
        The two files and what is in them.

    Raises:
        InputError: If there is no run, the runs are of several kinds, or the plan does not fit the people.
        MIError: If a run cannot be read or shown, or a file cannot be written.
    """
    plan = plan or Plan()
    output = Path(output)
    names, found = read_runs([folder for run in runs for folder in runs_below(run)], names)
    kinds = {run.modality.kind for run in found}
    if len(kinds) > 1:
        raise InputError("runs of one kind, pictures or voices", " and ".join(sorted(kinds)), "runs")
    shown = [exhibits(run, name) for name, run in zip(names, found, strict=True)]
    questions = plan.questions([each.label for each in shown])
    rng = np.random.default_rng((plan.seed, 3))
    questions = [questions[place] for place in rng.permutation(len(questions))]
    samples = _samples(questions, rng)
    key = _key(title, plan, names, found, shown, questions, samples)
    page = page_template("study.html.j2").render(
        title=title,
        voices="sound" in kinds,
        line_up=plan.line_up,
        data={
            "study": key["study"],
            "line_up": plan.line_up,
            "sound": "sound" in kinds,
            "samples": {number: _uri(shown, sample) for sample, number in samples.items()},
            "questions": [
                {
                    "item": item,
                    "kind": question.kind,
                    "shown": samples[question.shown],
                    # in an order that says nothing; the page draws one for each judge
                    "options": sorted(samples[option] for option in question.options),
                }
                for item, question in zip(key["questions"], questions, strict=True)
            ],
        },
    )
    key_file = output.with_name(f"{output.stem}_key.json")
    write_atomically(key_file, json.dumps(key, indent=1) + "\n", what="the key")
    write_atomically(output, page)
    return Study(output, key_file, key["study"], len(questions), [name for each in shown for name in each.left_out])


def runs_below(folder: str | Path) -> list[Path]:
    """The runs that a folder stands for: itself, or those of an audit, of each name the latest; itself if none.

    Args:
        folder: Folder of a run or of an audit.
    """
    folder = Path(folder)
    if (folder / "results.json").is_file() or not folder.is_dir():
        return [folder]
    latest: dict[Path, tuple[int, Path]] = {}
    for results in sorted(folder.glob("*/version_*/results.json")):
        number = results.parent.name.removeprefix("version_")
        if number.isdecimal():
            name = results.parents[1]
            latest[name] = max(latest.get(name, (-1, name)), (int(number), results.parent))
    return [run for _, run in latest.values()] or [folder]


def digest_of(key: Mapping[str, Any]) -> str:
    """Name of a study: the first 16 digits of the SHA-256 of everything else in its key."""
    rest = {name: value for name, value in key.items() if name != "study"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()[:16]


def _samples(questions: Sequence[Question], rng: np.random.Generator) -> dict[Sample, str]:
    """A name that says nothing for every sample that is shown, in an order that says nothing."""
    needed = list(dict.fromkeys(sample for question in questions for sample in (question.shown, *question.options)))
    return {needed[place]: f"s{number:04d}" for number, place in enumerate(rng.permutation(len(needed)))}


def _uri(shown: Sequence[Exhibits], sample: Sample) -> str:
    of_run = shown[sample.run]
    return (of_run.found if sample.source == "found" else of_run.real)[sample.person]


def _key(
    title: str,
    plan: Plan,
    names: Sequence[str],
    runs: Sequence[RunResults],
    shown: Sequence[Exhibits],
    questions: Sequence[Question],
    samples: Mapping[Sample, str],
) -> dict[str, Any]:
    """Everything that the page leaves out, in plain values."""
    entries = {}
    for number, question in enumerate(questions):
        sample = question.shown
        of_run = shown[sample.run]
        row = runs[sample.run].data["per_label"][of_run.index[sample.person]]
        entries[f"q{number:04d}"] = {
            "kind": question.kind,
            "run": names[sample.run],
            "label": of_run.label[sample.person],
            "name": of_run.name[sample.person],
            "check": question.check,
            "options": sorted(samples[option] for option in question.options),
            "answer": samples[question.answer] if isinstance(question.answer, Sample) else question.answer,
            "recognised": None if question.check else row.get("recognised"),
        }
    key = {
        "schema_version": KEY_VERSION,
        "title": title,
        "settings": asdict(plan),
        "runs": [
            {
                "name": name,
                "sha256": file_digest(run.folder / "reconstructions.npz"),
                "stretched": of_run.stretched,
                "left_out": of_run.left_out,
            }
            for name, run, of_run in zip(names, runs, shown, strict=True)
        ],
        "samples": {
            number: {
                "run": names[sample.run],
                "label": shown[sample.run].label[sample.person],
                "name": shown[sample.run].name[sample.person],
                "real": sample.source != "found",
            }
            for sample, number in sorted(samples.items(), key=lambda pair: pair[1])
        },
        "questions": entries,
    }
    return {"study": digest_of(key)} | key
