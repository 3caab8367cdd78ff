"""Judge finished runs anew by an outside recogniser, which never met these people, and print tables in Markdown.

    python benchmarks/rejudge.py FOLDER --splits 0 1                  # FOLDER/split_0/<run>, of five_splits.py
    python benchmarks/rejudge.py FOLDER --splits 2 3 4 5 6            # reported; settings were chosen on 0 and 1
    python benchmarks/rejudge.py FOLDER --splits 2 3 4 --root FACES   # other people (yale.py)

Each line is an attack over all splits that have it. The share of the people who are recognised stands with its 95%
interval (people resampled, each with all splits: five splits of 40 people are 40 people), what it is measured against
(the same recogniser on the mean training photograph of each person, and guessing), and the paired test against the
letter of the paper on the same target.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch.cli import instantiate_class
from numpy.typing import NDArray

from mi_lightning.data.base import PersonDataModule
from mi_lightning.data.speech import SpeakerDataModule
from mi_lightning.errors import InputError
from mi_lightning.judging.likeness import into_range
from mi_lightning.judging.outside import OutsideJudge
from mi_lightning.judging.verdicts import Facts, verdict_of
from mi_lightning.recognisers import Recogniser, default_recogniser
from mi_lightning.report.results import RunResults, read_results
from mi_lightning.stats import exact_interval, nested_interval, paired_test

LETTERS = ("mi_face", "process_dae")  # attacks to the letter of the paper, by the end of a run's name
Numbers = NDArray[np.float64]


#: Shares of a run, by person; how they are headed in a table.
HEADS = {
    "ceiling": "ceiling",
    "chance": "chance",
    "accepted_at_1_percent": "accepted at 1%",
    "fools_model_only": "fools the model only",
    "attack_failed": "attack failed",
    "evaluator_top1": "inside top-1",
    "detected": "detected",
}
Judged = Mapping[str, Numbers]  #: shares of one run: a number for each person of the data, NaN where there is none


class Bench:
    """The outside judge of one split.

    Args:
        recogniser: Who judges.
        data: The people; their training samples are enrolled, the test samples give the error and the threshold.
    """

    def __init__(self, recogniser: Recogniser, data: PersonDataModule) -> None:
        """Enrol nobody yet."""
        data.prepare_data()
        data.setup("fit")
        self.data, self.judge = data, OutsideJudge(recogniser, data)

    def ask(self, run: RunResults) -> Judged:
        """Judge a run by the row that its own selection ranks first for each person.

        Raises:
            InputError: If the run was on other people.
        """
        names, people = [row["name"] for row in run.best], self.data.class_names
        label = torch.tensor([row["label"] for row in run.best])
        if names != [people[k] if k < len(people) else "" for k in label.tolist()]:
            raise InputError("a run on the people of the data", run.folder, "folder")
        samples = run.reconstructions.float()
        opinion = self.judge.ask(into_range(samples, self.data.input_range), label)
        rows = []
        for place, row in enumerate(run.best):
            said = {name: float(value[place]) for name, value in opinion.scores.items()}
            verdict = verdict_of(_facts(row, said, finite=bool(samples[place].isfinite().all())))
            inside = row["evaluator_top1"]
            said |= {kind: float(verdict.kind == kind) for kind in ("fools_model_only", "attack_failed")}
            rows.append(said | {"evaluator_top1": np.nan if inside is None else inside})
        marks = {"ceiling": self.ceiling(samples.shape[-1], label), "chance": self.judge.chance["recognised"]}
        found = {}
        for name in ("recognised", *HEADS):
            found[name] = np.full(len(people), np.nan)
            found[name][label.numpy()] = [(row | marks).get(name, np.nan) for row in rows]
        return found

    def ceiling(self, length: int, people: torch.Tensor) -> float:
        """Share of the people who are recognised by the mean of their training samples; NaN where there is no mean."""
        speech = isinstance(self.data, SpeakerDataModule)
        found = self.judge.ceiling(length, people, averages=not speech).get("class_mean")
        return np.nan if found is None else float(found["recognised"].double().nanmean())


def _facts(row: Mapping[str, Any], said: Mapping[str, float], *, finite: bool) -> Facts:
    """What a verdict rests on, of a row as it was written by any version."""

    def known(value: float | None) -> float | None:
        return None if value is None or np.isnan(value) else value

    def flag(value: float | None) -> bool | None:
        return None if known(value) is None else bool(value)

    rank, at = known(said["recogniser_rank"]), row.get("best_iteration")
    return Facts(
        finite=finite,
        best_iteration=-1 if at is None else at,
        stop_reason=row["stop_reason"],
        confidence=row["confidence"] or 0.0,
        recognised=flag(said["recognised"]),
        rank=None if rank is None else int(rank),
        accepted=flag(said["accepted_at_1_percent"]),
        inside=flag(row["evaluator_top1"]),
        missing=None,
    )


def people_of(config: Path, split: int, root: Path | None) -> PersonDataModule:
    """Data of one split.

    Args:
        config: File of the data: ``class_path`` and ``init_args``.
        split: Seed of the split.
        root: Folder of other photographs.
    """
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    more: dict[str, Any] = {"split_seed": split} | ({} if root is None else {"root": str(root)})
    arguments = {"class_path": content["class_path"], "init_args": {**(content.get("init_args") or {}), **more}}
    data: PersonDataModule = instantiate_class((), arguments)
    return data


def table(runs: Mapping[str, Mapping[int, Judged]], letters: Sequence[str] = LETTERS) -> str:
    """Return a line of Markdown for each attack, those that recognise most first within their target.

    Args:
        runs: Name of each attack, and what became of it in each split.
        letters: Ends of the names of attacks to the letter, with which others on the same target are compared.
    """
    head = ["attack", "splits", "recognised", *HEADS.values(), "against the letter"]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    values = {name: _recognised(found, found) for name, found in runs.items()}
    for name in sorted(runs, key=lambda name: (_target(name), -float(np.nanmean(values[name])))):
        low, high = _interval(values[name])
        cells = [
            f"`{name}`",
            ", ".join(map(str, sorted(runs[name]))),
            f"**{np.nanmean(values[name]):.1%}** ({low:.0%} to {high:.0%})",
            *(_share(list(runs[name].values()), column) for column in HEADS),
            _against(name, runs, letters),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _recognised(found: Mapping[int, Judged], splits: Iterable[int]) -> Numbers:
    """Whether each person is recognised in each of the splits, shape (people, splits)."""
    return np.stack([found[split]["recognised"] for split in sorted(splits)], 1)


def _interval(values: Numbers) -> tuple[float, float]:
    """95% interval of a share of (people, splits): exact for one split, else people resampled with all splits."""
    if values.shape[1] > 1:
        return nested_interval(values)
    hits = values[np.isfinite(values)]
    return exact_interval(int(hits.sum()), len(hits))


def _target(name: str) -> str:
    """The target in the name of a run: its first two words, ``att_softmax``, or three where it is asked only."""
    return "_".join(name.split("_")[: 3 if "_queries" in name else 2])


def _share(found: Sequence[Judged], column: str) -> str:
    values = np.concatenate([run[column] for run in found])
    return "–" if np.isnan(values).all() else f"{np.nanmean(values):.1%}"


def _against(name: str, runs: Mapping[str, Mapping[int, Judged]], letters: Sequence[str]) -> str:
    """Difference to the attack to the letter on the same target and splits, and its probability if there were none."""
    letter = next((other for other in runs for end in letters if other == f"{_target(name)}_{end}"), None)
    if letter is None or letter == name:
        return "–" if letter is None else "the letter"
    both = runs[name].keys() & runs[letter].keys()
    if not both:
        return "–"
    ours, theirs = (np.nanmean(_recognised(runs[key], both), 1) for key in (name, letter))
    return f"{100 * np.nanmean(ours - theirs):+.1f} points, p = {paired_test(ours, theirs):.2g}"


def remember(recogniser: Recogniser, file: Path) -> None:
    """Give a recogniser what it embedded before, if that was kept."""
    if not file.is_file():
        return
    with np.load(file, allow_pickle=False) as kept:
        if str(kept["recogniser"]) != str(recogniser.describe()):
            return
        for key, vector, detected in zip(kept["keys"], kept["vectors"], kept["detected"], strict=True):
            recogniser.memory[key.tobytes()] = (torch.from_numpy(vector.copy()), bool(detected))


def keep(recogniser: Recogniser, file: Path) -> None:
    """Keep what a recogniser embedded."""
    keys = np.stack([np.frombuffer(key, np.uint8) for key in recogniser.memory])
    vectors = torch.stack([vector for vector, _ in recogniser.memory.values()]).numpy()
    detected = np.array([seen for _, seen in recogniser.memory.values()])
    np.savez(file, keys=keys, vectors=vectors, detected=detected, recogniser=str(recogniser.describe()))


def main() -> None:
    """Judge, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of split_N/<run>")
    parser.add_argument("--splits", type=int, nargs="+", default=[2, 3, 4, 5, 6], help="seeds of the splits")
    parser.add_argument("--data", type=Path, default=Path("configs/data/att.yaml"), help="configuration of the data")
    parser.add_argument("--root", type=Path, default=None, help="folder of other photographs (yale.py)")
    parser.add_argument("--runs", default="", help="regular expression that the names of the runs fit")
    parser.add_argument("--letters", nargs="*", default=LETTERS, help="ends of the names of attacks to the letter")
    parser.add_argument("--memory", type=Path, default=None, help="file (.npz) that keeps embeddings from call to call")
    args = parser.parse_args()
    runs: dict[str, dict[int, Judged]] = {}
    told: list[dict[str, Any]] = []
    recogniser: Recogniser | None = None
    for split in args.splits:
        folders = sorted(path.parent for path in (args.folder / f"split_{split}").glob("*/results.json"))
        folders = [folder for folder in folders if re.search(args.runs, folder.name)]
        if not folders:
            continue
        data = people_of(args.data, split, args.root)
        if recogniser is None:
            recogniser = default_recogniser(data.modality.kind)
            if recogniser is None:
                raise SystemExit(f"no recogniser of {data.modality.kind} inputs")
            recogniser.check()
            if args.memory is not None:
                remember(recogniser, args.memory)
        bench = Bench(recogniser, data)
        found = [read_results(folder) for folder in folders]
        for folder, run in zip(folders, found, strict=True):
            runs.setdefault(folder.name, {})[split] = bench.ask(run)
        told.append(bench.judge.describe(int(found[0].reconstructions.shape[-1])))
    if recogniser is None:
        raise SystemExit(f"no runs of splits {args.splits} in {args.folder}")
    if args.memory is not None:
        keep(recogniser, args.memory)
    print(table(runs, args.letters))
    error, detected = (np.mean([one[key] or 0.0 for one in told]) for key in ("test_error", "detected_on_real"))
    print(f"\n{told[0]['class']}: {error:.1%} of the real test samples are named wrong, {detected:.1%} are detected.")


if __name__ == "__main__":
    main()
