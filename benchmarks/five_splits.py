"""Mean and spread over five splits of the photographs: test errors of classifiers, and what attacks find of each.

Each split trains everything anew (target and evaluator on the same photographs, with another seed each time), attacks,
and judges. This is where the figures in docs/reproduction.md come from.

    python benchmarks/five_splits.py --fit configs/classifier/att_softmax.yaml \
        --evaluator configs/classifier/att_face_cnn.yaml \
        --invert configs/target/att_softmax.yaml,configs/attack/gradient_descent.yaml
    python benchmarks/five_splits.py ... --folder /tmp/splits     # keeps the checkpoints and goes on where it stopped
    python benchmarks/five_splits.py ... --write                  # appends to benchmarks/RESULTS.md
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from rich.console import Console
from rich.table import Table

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.cli.config import run_name
from mi_lightning.cli.parser import MICLI
from mi_lightning.judging.likeness import into_range, ssim
from mi_lightning.report.results import read_results
from mi_lightning.stats import nested_interval

RESULTS = Path(__file__).parent / "RESULTS.md"
#: By the outside recogniser, a number of each person; empty where runs were judged without one (rejudge.py does).
OUTSIDE = ("recognised", "accepted_at_1_percent", "fools_model_only", "detected")
SHOWN = (
    *(
        "evaluator_top1",
        "evaluator_top5",
        "identification_top1",
        "confidence_mean",
        "ssim_mean",
        "nrmse_mean",
        "mse_mean",
    ),
    *("closer_to_own", "iterations_mean", "seconds"),
)


def fit(config: Path, split: int, folder: Path, root: Path | None = None) -> Path:
    """Train the classifier of a configuration on one split, unless that is done; return its checkpoint."""
    name = Path(str(yaml.safe_load(config.read_text())["checkpoint"])).name
    checkpoint = folder / f"split_{split}" / name
    if not checkpoint.is_file():
        flags = ["--data.split_seed", str(split), "--seed_everything", str(split), "--checkpoint", str(checkpoint)]
        MICLI(["fit", "--config", str(config), *flags, *at(root), "--trainer.logger", "false", *QUIET])
    return checkpoint


def at(root: Path | None) -> list[str]:
    """Flags that name the folder of the photographs, where it is not the one of the configurations."""
    return [] if root is None else ["--data.root", str(root)]


def invert(configs: list[str], split: int, folder: Path, evaluator: Path, root: Path | None = None) -> dict[str, Any]:
    """Attack the classifier of one split by a target and an attack; return the summary of the results."""
    attacked = Path(yaml.safe_load(Path(configs[0]).read_text())["model"]["classifier_ckpt"]).name
    target = folder / f"split_{split}" / attacked
    logger = {
        "class_path": "lightning.pytorch.loggers.TensorBoardLogger",
        "init_args": {"save_dir": str(folder), "name": f"split_{split}", "version": run_name(configs)},
    }
    run = folder / f"split_{split}" / run_name(configs)
    if not (run / "results.json").is_file():
        MICLI(
            [
                *(
                    "invert",
                    *(f"--config={config}" for config in configs),
                    "--data.split_seed",
                    str(split),
                    "--model.seed",
                    str(split),
                    *at(root),
                ),
                *("--model.classifier_ckpt", str(target), "--evaluator_ckpt", str(evaluator)),
                *("--trainer.logger", yaml.safe_dump(logger), *QUIET),
            ],
            quiet=True,
        )
    found = read_results(run)
    return dict(found.summary) | {"closer_to_own": closer_to_own(run), "best": found.best}


def closer_to_own(run: Path) -> float:
    """Return the part of the people whose picture is more alike (SSIM) to their own mean than to others' on average.

    Args:
        run: Folder of a run on pictures in [0, 1]; what leaves the range is stretched into it. The means are of the
            training photographs.
    """
    with np.load(run / "reconstructions.npz") as arrays:
        found = into_range(torch.from_numpy(arrays["reconstruction"]), (0.0, 1.0))
        means = torch.from_numpy(arrays["reference_mean"]).to(found).view_as(found)
    alike = torch.stack([ssim(picture.expand_as(means), means) for picture in found])
    own = alike.diagonal()
    others = (alike.sum(1) - own) / (len(alike) - 1)
    return float((own > others).double().mean())


QUIET = ("--trainer.enable_progress_bar", "false")


def spread(values: list[float]) -> str:
    """Mean and sample standard deviation."""
    deviation = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4g}{deviation}"


def by_person(runs: Sequence[Mapping[str, Any]], name: str) -> str:
    """Mean over people of a number of the outside recogniser, and its 95% interval: people resampled with all splits.

    Args:
        runs: Summaries of the splits, with ``best``: the row of each person, the same people in the same order.
        name: Its name in a row; ``fools_model_only`` is the share of that verdict.
    """
    rows = [[_number(row, name) for row in run["best"]] for run in runs]
    values = np.array(rows, dtype=np.float64).T
    if np.isnan(values).all():
        return "–"
    low, high = nested_interval(values)
    return f"{np.nanmean(np.nanmean(values, 1)):.1%} ({low:.0%} to {high:.0%})"


def _number(row: Mapping[str, Any], name: str) -> float | None:
    verdict = row.get("verdict")
    if name == "fools_model_only":
        return None if verdict in (None, "not_judged") else float(verdict == name)
    value: float | None = row.get(name)
    return value


def main() -> None:
    """Run all splits and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", type=Path, nargs="+", required=True, help="configurations of the targets")
    parser.add_argument("--evaluator", type=Path, required=True, help="configuration of the evaluator")
    parser.add_argument(
        "--invert",
        type=lambda words: words.split(","),
        nargs="*",
        default=[],
        metavar="TARGET,ATTACK",
        help="configurations of each attack, the target's first",
    )
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="seeds of the splits")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where checkpoints and runs go; a temporary folder if not given"
    )
    parser.add_argument("--root", type=Path, default=None, help="folder of other photographs for `AttFaces` (yale.py)")
    parser.add_argument("--write", action="store_true", help=f"append the tables to {RESULTS.name}")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    console = Console(width=200)
    folder = args.folder or Path(tempfile.mkdtemp())
    errors: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    found: dict[str, list[dict[str, Any]]] = {}
    for split in args.splits:
        for config in (*args.fit, args.evaluator):
            info = load_classifier(fit(config, split, folder, args.root)).training_info
            errors.setdefault(config.stem, []).append(100 * (1 - info["test_accuracy"]))
            seconds.setdefault(config.stem, []).append(info["seconds"])
        evaluator = fit(args.evaluator, split, folder, args.root)
        for configs in args.invert:
            found.setdefault(run_name(configs), []).append(invert(configs, split, folder, evaluator, args.root))
    fits: list[tuple[str, ...]] = [("classifier", "test error, %", "each", "seconds to train")]
    for name, values in errors.items():
        fits.append((name, spread(values), ", ".join(f"{value:.2f}" for value in values), spread(seconds[name])))
    attacks: list[tuple[str, ...]] = [("attack", *OUTSIDE, *SHOWN)]
    for name, runs in found.items():
        outside = (by_person(runs, key) for key in OUTSIDE)
        attacks.append((name, *outside, *(spread([float(run[key]) for run in runs]) for key in SHOWN)))
    for rows in (fits, attacks):
        table = Table(*rows[0])
        for row in rows[1:]:
            table.add_row(*row)
        console.print(table)
    if args.write:
        where = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(f"\n### {len(args.splits)} splits, {date.today().isoformat()}\n\n{where}; `five_splits.py`\n\n")
            file.write(f"{markdown(fits)}\n\n{markdown(attacks)}\n")


def markdown(rows: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown, the first row its head."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


if __name__ == "__main__":
    main()
