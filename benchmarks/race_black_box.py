"""Race of black-box attacks: this project against the loop that asks for one image at a time.

One trained softmax classifier, SPSA with the parameters of ``configs/attack/spsa.yaml``, in one run and in
turn:

1. *One image at a time*, as earlier reproductions do it: for each person, for each pair, draw the signs, clamp the two
   images, and ask for the confidences of each alone.
2. *This project*: ``InversionTrainer.invert``, all people and all pairs batched, set-up and the gathering of results
   included.

The two ask the same number of questions of the same target, ``BlackBox.of(classifier)``. The loop is as quick as such a
loop can be: no gradients, frozen weights, signs by ``randint``. For comparison it runs twice more: with the bare
classifier in place of the target, whose answers nobody counts and checks, and with signs by ``bernoulli``, the word of
the literature, which takes four times as long as ``randint``. What has to be beaten is the first loop.

A few iterations are enough to know the time of one; the time of all 1000 is told by multiplication for the loop, and
measured for this project with ``--whole``.

That both estimate the same gradient is checked first: at one candidate, the mean of many estimates of each is compared
with the gradient itself.

    python benchmarks/race_black_box.py                 # a minute
    python benchmarks/race_black_box.py --whole         # and the 1000 iterations of the preset, some minutes
    python benchmarks/race_black_box.py --write         # appends to benchmarks/RESULTS.md

Times are medians of wall time. Nothing else should run on the machine meanwhile; the load is printed.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from common import CHECKPOINT, RESULTS, append_results, machine, show, trained_softmax, verdict
from rich.console import Console
from torch import Tensor

from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.estimators.spsa import SPSA
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.classifiers.base import Classifier
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets.black_box import BlackBox

PAIRS, DELTA, RATE, GAMMA, ITERATIONS = 128, 0.01, 0.01, 0.01, 1000
LIMIT_LOOP = 20.0  # this project has to be so many times faster
LIMIT_WHOLE = 180.0  # seconds for the whole preset on 2 cores
LIMIT_MEMORY = 4.0  # GB
LIMIT_GRADIENT = 0.05  # how far the scale of a mean estimate may be from 1

Confidences = Callable[[Tensor], Tensor]
Draw = Callable[[Tensor, torch.Generator], Tensor]


@dataclass
class Contestant:
    """One way to do it, and what it took.

    Attributes:
        name: Row of the table.
        run: Does some iterations and returns how many questions were asked.
        iterations: Iterations of a run.
        seconds: Wall time of each run.
        cpu_seconds: Processor time of each run, all threads together.
        queries: Questions of the last run.
    """

    name: str
    run: Callable[[], int]
    iterations: int
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    queries: int = 0

    @property
    def median(self) -> float:
        """Median wall time of an iteration, in seconds."""
        return statistics.median(self.seconds) / self.iterations


def by_randint(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw signs like ``x``: the quickest of the usual ways."""
    return torch.randint(0, 2, x.shape, generator=generator).float() * 2 - 1


def by_bernoulli(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw signs like ``x`` as the literature words it: symmetric Bernoulli numbers."""
    return torch.bernoulli(torch.full_like(x, 0.5), generator=generator) * 2 - 1


def spsa_one_by_one(
    confidences: Confidences, x: Tensor, label: int, generator: torch.Generator, draw: Draw = by_randint
) -> Tensor:
    """Estimate the gradient of 1 - p_label at one image, asking for one image at a time.

    Args:
        confidences: Takes images, shape (1, *input_shape), returns confidences, shape (1, C).
        x: The image, shape (*input_shape).
        label: The person.
        generator: Where the signs come from.
        draw: How they are drawn.
    """
    gradient = torch.zeros_like(x)
    for _ in range(PAIRS):
        signs = draw(x, generator)
        above = 1 - confidences((x + DELTA * signs).clamp(0, 1)[None])[0, label]
        below = 1 - confidences((x - DELTA * signs).clamp(0, 1)[None])[0, label]
        gradient += (above - below) / (2 * DELTA) * signs
    return gradient / PAIRS


def loop(
    confidences: Confidences, input_shape: tuple[int, ...], iterations: int, people: int, draw: Draw = by_randint
) -> int:
    """Run the descent of the first people, one image at a time; return the number of questions."""
    found = []
    with torch.no_grad():
        for label in range(people):
            generator = torch.Generator().manual_seed(label)
            x = 0.5 + 0.01 * torch.randn(input_shape, generator=generator)
            best, best_cost = x.clone(), 1 - float(confidences(x[None])[0, label])
            for _ in range(iterations):
                x = (x - RATE * spsa_one_by_one(confidences, x, label, generator, draw)).clamp(0, 1)
                cost = 1 - float(confidences(x[None])[0, label])
                if cost < best_cost:
                    best, best_cost = x.clone(), cost
                if cost <= GAMMA:
                    break
            found.append(best)
    return people * (1 + iterations * (2 * PAIRS + 1))


def project(classifier: Classifier, iterations: int) -> int:
    """Run the same for all people by ``InversionTrainer.invert``; return the number of questions."""
    attack = Inversion(
        target=BlackBox.of(classifier),  # works on a copy: the loop beside it has the layers as PyTorch has them
        space=PixelSpace(initializer=Noise(mean=0.5, std=0.01)),
        cost=OneMinusConfidence(),
        estimator=SPSA(pairs=PAIRS, delta=DELTA),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=RATE),
        max_iterations=iterations,
        gamma=GAMMA,
        report_every=10,
    )
    trainer = InversionTrainer(
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return int(trainer.invert(attack).queries.sum())


def scales(classifier: Classifier, estimates: int) -> tuple[float, float]:
    """Return the scale of the mean estimate of the loop and of this project along the true gradient; 1 is right.

    The candidate is mid-grey, the person the most likely one there, whose gradient is the largest.
    """
    grey = torch.full((1, *classifier.input_shape), 0.5)
    label = int(classifier(grey).argmax())
    leaf = grey.clone().requires_grad_()
    (true,) = torch.autograd.grad(1 - classifier(leaf).softmax(1)[0, label], leaf)
    problem = Problem(BlackBox.of(classifier), PixelSpace(), OneMinusConfidence())
    z = grey.repeat(estimates, 1, 1, 1)
    state = RowState(Rows.grid([label], estimates, seed=0), z)
    ours = SPSA(pairs=PAIRS, delta=DELTA).gradient(problem, z, state).mean(0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        theirs = sum(
            spsa_one_by_one(lambda x: classifier(x).softmax(1), grey[0], label, generator) for _ in range(estimates)
        )
    unit = true[0] / true.square().sum()
    return float((theirs / estimates * unit).sum()), float((ours * unit).sum())


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="softmax to attack; trained if missing")
    parser.add_argument("--people", type=int, default=10, help="people of the loop; its time is per person")
    parser.add_argument("--iterations", type=int, default=100, help="iterations of this project in a turn")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    parser.add_argument("--estimates", type=int, default=100, help="estimates whose mean is compared with the gradient")
    parser.add_argument("--whole", action="store_true", help="also run the whole preset")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of torch")
    parser.add_argument("--write", action="store_true", help=f"append to {RESULTS.name}")
    return parser.parse_args()


def main() -> None:
    """Run the race."""
    args = arguments()
    console = Console()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # advice on the size of a trainer that is used for a second
    torch.set_num_threads(args.threads)
    about = machine(args.threads)
    classifier, origin = trained_softmax(args.checkpoint)
    classifier.requires_grad_(False)
    people = min(args.people, classifier.num_classes)
    console.print(f"{about}\nsoftmax: {origin}")

    # a copy: the target packs its linear layers, the bare classifier stays as PyTorch has it
    target, shape = BlackBox.of(copy.deepcopy(classifier)), classifier.input_shape
    one = Contestant("one image at a time", lambda: loop(target.confidences, shape, 1, people), 1)
    ours = Contestant("mi_lightning, whole invert", lambda: project(classifier, args.iterations), args.iterations)
    others = (
        Contestant("loop, bare classifier", lambda: loop(lambda x: classifier(x).softmax(1), shape, 1, people), 1),
        Contestant("loop, signs by bernoulli", lambda: loop(target.confidences, shape, 1, people, by_bernoulli), 1),
    )
    project(classifier, 1)  # warm: the first run pays for what torch sets up once
    for turn in range(args.repeats):
        for contestant in (one, ours, *others):
            start, cpu = time.perf_counter(), time.process_time()
            contestant.queries = contestant.run()
            contestant.seconds.append(time.perf_counter() - start)
            contestant.cpu_seconds.append(time.process_time() - cpu)
            console.print(f"  turn {turn + 1}: {contestant.name} {contestant.seconds[-1]:.2f} s", style="dim")
    share = classifier.num_classes / people  # the loop's time is per person
    ratio = share * one.median / ours.median
    loop_scale, our_scale = scales(classifier, args.estimates)

    header = ("an iteration, 40 people", "seconds", "CPU seconds", "queries/s", "times as fast", "1000 iterations")
    asked = classifier.num_classes * (2 * PAIRS + 1)
    rows = [
        (
            contestant.name,
            f"{factor * contestant.median:.3f}",
            f"{factor * statistics.median(contestant.cpu_seconds) / contestant.iterations:.3f}",
            f"{asked / (factor * contestant.median):,.0f}",
            f"{share * one.median / (factor * contestant.median):.1f}",
            f"{factor * contestant.median * ITERATIONS / 60:.1f} min",
        )
        for contestant, factor in ((one, share), (ours, 1.0), *((other, share) for other in others))
    ]
    verdicts = [
        verdict("one image at a time / mi_lightning", ratio, LIMIT_LOOP, at_most=False),
        verdict("scale of the loop's gradient, distance from 1", abs(loop_scale - 1), LIMIT_GRADIENT, at_most=True),
        verdict("scale of our gradient, distance from 1", abs(our_scale - 1), LIMIT_GRADIENT, at_most=True),
    ]
    if args.whole:
        start = time.perf_counter()
        queries = project(classifier, ITERATIONS)
        seconds = time.perf_counter() - start
        console.print(f"  the whole preset: {queries:,} queries in {seconds:.1f} s", style="dim")
        verdicts.append(verdict(f"whole preset, {queries:,} queries, seconds", seconds, LIMIT_WHOLE, at_most=True))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    verdicts.append(verdict("memory of the process, GB", memory, LIMIT_MEMORY, at_most=True))
    title = f"{PAIRS} pairs, delta {DELTA}, {classifier.num_classes} people; loop timed on {people} of them"
    show(console, title, header, rows)
    for line in verdicts:
        console.print(line)
    if args.write:
        append_results("Black-box race", f"{about}. Softmax: {origin}.", [(title, header, rows)], verdicts)
        console.print(f"appended to {RESULTS}")


if __name__ == "__main__":
    main()
