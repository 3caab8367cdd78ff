"""What Process-DAE (Fredrikson et al., 2015, Algorithm 2) costs beside the descent.

    python benchmarks/process_dae.py                        # checkpoints/att_dae.ckpt, 40 people
    python benchmarks/process_dae.py --write                # appends to benchmarks/RESULTS.md

Latent inversion of the stacked denoising autoencoder as in configs/attack/latent.yaml, without stop rules, so
that all rows stay active: 1024 iterations with and without two projections, and 40 with and without forty. What a
projection costs is the difference of the medians over the repeats.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
import warnings
from pathlib import Path

import torch
from common import append_results, machine, show, verdict
from rich.console import Console

from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.spaces.latent import LatentSpace
from mi_lightning.classifiers import StackedDAE
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.lightning.callbacks import ProcessDAE
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import WhiteBox

CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "att_dae.ckpt"


def seconds(classifier: StackedDAE, iterations: int, every: int | None) -> float:
    """Run the attack once, for all people; return its wall time.

    Args:
        classifier: The target.
        iterations: Length of the run.
        every: Iterations between two projections; none if None.
    """
    attack = Inversion(
        target=WhiteBox(classifier),
        space=LatentSpace(look_at="code"),
        cost=OneMinusConfidence(),
        max_iterations=iterations,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9),
    )
    trainer = InversionTrainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=None if every is None else [ProcessDAE(every=every)],
    )
    start = time.perf_counter()
    trainer.invert(attack)
    return time.perf_counter() - start


def compare(classifier: StackedDAE, every: int, projections: int, repeats: int) -> tuple[float, float]:
    """Time runs with and without projections in turn.

    Returns:
        Seconds of the descent between two projections, and seconds of one projection, of all rows.
    """
    iterations = every * projections
    plain, projected = [], []
    for _ in range(repeats):
        plain.append(seconds(classifier, iterations, None))
        projected.append(seconds(classifier, iterations, every))
    descent, whole = statistics.median(plain), statistics.median(projected)
    return descent / projections, (whole - descent) / projections


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="of a stacked denoising autoencoder")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each kind")
    parser.add_argument("--write", action="store_true", help="append the table to RESULTS.md")
    args = parser.parse_args()
    if not args.checkpoint.is_file():
        parser.error(f"no {args.checkpoint}: mi-lightning fit --config configs/classifier/att_dae.yaml")
    classifier = load_classifier(args.checkpoint)
    if not isinstance(classifier, StackedDAE):
        parser.error(f"expected a checkpoint of StackedDAE, got {type(classifier).__name__}: {args.checkpoint}")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    people, rows, verdicts = classifier.num_classes, [], []
    for every, projections in ((512, 2), (1, 40)):
        descent, projection = compare(classifier, every, projections, args.repeats)
        ratio, each = projection / descent, 1000 * projection / people
        rows.append(
            (f"every {every}", f"{1000 * descent:.1f}", f"{1000 * projection:.1f}", f"{ratio:.2f}", f"{each:.2f}")
        )
        if every == 1:
            verdicts.append(verdict("every 1: ms a row", each, 5, at_most=True))
        else:
            verdicts.append(verdict("every 512: projection / descent", ratio, 1, at_most=True))
    header = (
        "",
        "descent between two projections, ms",
        "projection, ms",
        "projection / descent",
        "projection, ms a row",
    )
    console = Console(width=140)
    about = machine(torch.get_num_threads())
    console.print(about)
    show(console, f"Process-DAE, {people} rows", header, rows)
    for line in verdicts:
        console.print(line)
    if args.write:
        append_results("Process-DAE", about, [(f"{people} rows", header, rows)], verdicts)


if __name__ == "__main__":
    main()
