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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch.cli import instantiate_class
from numpy.typing import NDArray

from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError
from mi_lightning.judging.likeness import into_range
from mi_lightning.recognisers import Gallery, Recogniser, Threshold, Thresholds, default_recogniser
from mi_lightning.report.results import RunResults, read_results
from mi_lightning.stats import nested_interval, paired_test

LETTERS = ("mi_face", "process_dae")  # attacks to the letter of the paper, by the end of a run's name
HEAD = (
    *("attack", "splits", "recognised", "ceiling", "chance", "accepted at 1%"),
    *("fools the model only", "inside top-1", "detected", "against the letter"),
)
SURE = 0.9  # confidence from which the target counts as fooled

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """One run, a number for each person, in the order of the data; NaN for people who were not attacked.

    Attributes:
        recognised: Whether the recogniser names the person first.
        accepted: Whether it accepts the reconstruction as the person at 1% impostors.
        detected: Whether it found what it looks for.
        inside: Top-1 of the inside evaluator.
        fooled: Not recognised, but the target is sure or the inside evaluator names the person.
    """

    recognised: Numbers
    accepted: Numbers
    detected: Numbers
    inside: Numbers
    fooled: Numbers


class Bench:
    """The outside recogniser with the people of one split enrolled.

    Args:
        recogniser: Who judges.
        data: The people; their training samples are enrolled, the test samples give the error and the threshold.
    """

    def __init__(self, recogniser: Recogniser, data: PersonDataModule) -> None:
        """Enrol everybody, and measure the ceiling."""
        data.prepare_data()
        data.setup("fit")
        self.recogniser, self.data = recogniser, data
        self.people = data.num_classes
        self.gallery = Gallery.enrol(self.embed(data.train_x)[0], data.train_y, self.people, recogniser.metric)
        real = self.embed(data.test_x)[0]
        self.test_error = float((self.gallery.guess(real) != data.test_y).double().mean())
        self.threshold: Threshold = Thresholds(self.gallery.distances(real), data.test_y).at(0.01)
        means = torch.stack([data.train_x[data.train_y == person].mean(0) for person in range(self.people)])
        everybody = torch.arange(self.people)
        self.ceiling: Numbers = (self.gallery.rank(self.embed(means)[0], everybody) == 1).double().numpy()

    def embed(self, samples: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (N, E), and whether something was detected (N,)."""
        rate = self.data.modality.sample_rate
        found = self.recogniser.embed(samples, value_range=self.data.input_range, sample_rate=rate)
        return found.vectors, found.detected

    def judge(self, run: RunResults) -> Judged:
        """Judge a run by the row that its own selection ranks first for each person.

        Raises:
            InputError: If the run was on other people.
        """
        label = torch.tensor([row["label"] for row in run.best])
        names = [row["name"] for row in run.best]
        if names != [self.data.class_names[k] if k < self.people else "" for k in label.tolist()]:
            raise InputError("a run on the people of the data", run.folder, "folder")
        vectors, detected = self.embed(into_range(run.reconstructions.float(), self.data.input_range))
        near = self.gallery.distances(vectors).gather(1, label[:, None])[:, 0]
        recognised = (self.gallery.rank(vectors, label) == 1).double().numpy()
        accepted = np.full(len(label), np.nan)
        if self.threshold.distance is not None:
            accepted = (near <= self.threshold.distance).double().numpy()
        inside = np.array([row["evaluator_top1"] for row in run.best], dtype=np.float64)
        sure = np.array([row["confidence"] for row in run.best], dtype=np.float64) >= SURE
        fooled = ((recognised == 0) & (sure | (inside == 1))).astype(np.float64)
        columns = (recognised, accepted, detected.double().numpy(), inside, fooled)
        return Judged(*(self._everybody(label, values) for values in columns))

    def _everybody(self, label: torch.Tensor, values: Numbers) -> Numbers:
        """One number for each person of the data."""
        whole = np.full(self.people, np.nan)
        whole[label.numpy()] = values
        return whole


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


def table(runs: dict[str, list[Judged]], ceiling: Numbers, letters: Sequence[str] = LETTERS) -> str:
    """Print-ready lines of all attacks, those that recognise most first within their target.

    Args:
        runs: Name of each attack, and what became of it in each split.
        ceiling: Whether the mean training sample of a person is recognised, shape (people, splits).
        letters: Ends of the names of attacks to the letter, with which others on the same target are compared.
    """
    lines = ["| " + " | ".join(HEAD) + " |", "|---" + "|--:" * (len(HEAD) - 1) + "|"]
    values = {name: np.stack([run.recognised for run in found], 1) for name, found in runs.items()}
    for name in sorted(runs, key=lambda name: (_target(name), -float(np.nanmean(values[name])))):
        found = runs[name]
        low, high = nested_interval(values[name])
        lines.append(
            f"| `{name}` | {len(found)} | **{np.nanmean(values[name]):.1%}** ({low:.0%} to {high:.0%}) "
            f"| {np.nanmean(ceiling):.1%} | {1 / len(ceiling):.1%} "
            + "".join(f"| {_share(found, column)} " for column in ("accepted", "fooled", "inside", "detected"))
            + f"| {_against(name, values, letters)} |"
        )
    return "\n".join(lines)


def _target(name: str) -> str:
    """The target in the name of a run: its first two words, ``att_softmax``, or three where it is asked only."""
    return "_".join(name.split("_")[: 3 if "_queries" in name else 2])


def _share(found: Sequence[Judged], column: str) -> str:
    values = np.concatenate([getattr(run, column) for run in found])
    return "–" if np.isnan(values).all() else f"{np.nanmean(values):.1%}"


def _against(name: str, values: dict[str, Numbers], letters: Sequence[str]) -> str:
    """Difference to the attack to the letter on the same target, and its probability if there were none."""
    letter = next((other for other in values for end in letters if other == f"{_target(name)}_{end}"), None)
    if letter is None or letter == name:
        return "–" if letter is None else "the letter"
    ours, theirs = (np.nanmean(values[key], 1) for key in (name, letter))
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
    runs: dict[str, list[Judged]] = {}
    benches: list[Bench] = []
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
        benches.append(bench)
        for folder in folders:
            runs.setdefault(folder.name, []).append(bench.judge(read_results(folder)))
    if recogniser is None:
        raise SystemExit(f"no runs of splits {args.splits} in {args.folder}")
    if args.memory is not None:
        keep(recogniser, args.memory)
    print(table(runs, np.stack([bench.ceiling for bench in benches], 1), args.letters))
    error = np.mean([bench.test_error for bench in benches])
    print(f"\n{recogniser.describe()['class']}; it names {error:.1%} of the real test samples wrong.")


if __name__ == "__main__":
    main()
