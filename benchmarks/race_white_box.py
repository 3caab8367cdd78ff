"""Race of white-box attacks: this project, a bare PyTorch loop, and MIFace of the Adversarial Robustness Toolbox.

One trained softmax classifier, the same Algorithm 1 [F15] with the same parameters, in one run and in turn:

1. *To the end*: all 40 people until the stop rules say so. The whole of ``InversionTrainer.invert`` (set-up and the
   gathering of results included) against a bare loop that does the same without Lightning.
2. *The same arithmetic*: a fixed number of iterations, no stop rule, so that MIFace can take part. The images must be
   the same.

    python benchmarks/race_white_box.py                 # all three; see benchmarks/README.md for the toolbox
    python benchmarks/race_white_box.py --skip-art      # without the toolbox: half a minute
    python benchmarks/race_white_box.py --write         # appends to benchmarks/RESULTS.md

Times are medians of wall time. Nothing else should run on the machine meanwhile; the load is printed.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from common import CHECKPOINT, RESULTS, append_results, machine, show, trained_softmax, verdict
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.initializers.constant import Zeros
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.classifiers.base import Classifier
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets.white_box import WhiteBox

LIMIT_BARE = 1.15  # the whole of invert may take this many times the bare loop
LIMIT_ART = 50.0  # and has to be this many times faster than the toolbox
LIMIT_IMAGES = 1e-5  # largest difference between two images of the same arithmetic

Images = tuple[Tensor, list[int]]
"""Reconstructions, shape (R, D), CPU, and the iterations that each row took."""


@dataclass
class Contestant:
    """One way to do the attack, and what it took.

    Attributes:
        name: Row of the table.
        run: Does the attack once.
        repeats: How often it runs.
        seconds: Wall time of each run.
        cpu_seconds: Processor time of each run, all threads together.
        images: Reconstructions of the last run, shape (R, D).
        iterations: Iterations of each row of the last run.
    """

    name: str
    run: Callable[[], Images]
    repeats: int
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    images: Tensor = field(default_factory=lambda: torch.empty(0))
    iterations: list[int] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Median wall time of a run, in seconds."""
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Parameters:
    """Parameters of Algorithm 1.

    Attributes:
        alpha: Iteration limit.
        beta: Window of the stagnation rule; no such rule if None.
        gamma: Target cost; no such rule if None.
        rate: Step size, lambda of [F15].
        report_every: Iterations between two looks at what has stopped.
        clamp: Whether candidates are clamped to [0, 1] after each update.
    """

    alpha: int
    beta: int | None
    gamma: float | None
    rate: float
    report_every: int
    clamp: bool


def bare_loop(classifier: nn.Module, shape: tuple[int, ...], classes: int, p: Parameters) -> Images:
    """Run Algorithm 1 for all classes in one batch, without Lightning and without this project.

    Candidates start at zero; a row keeps its best iterate; every ``report_every`` iterations the stopped rows
    leave the batch. No value is looked at by the host in between.
    """
    rows = torch.arange(classes)  # which row of the results each row of the batch is
    label = torch.arange(classes)
    x = torch.zeros(classes, *shape)
    images, iterations = torch.zeros(classes, *shape), torch.full((classes,), p.alpha)

    def evaluate(x: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        leaf = x.detach().requires_grad_()
        cost = 1 - functional.softmax(classifier(leaf), 1).gather(1, label[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(cost.sum(), leaf)
        return cost.detach(), gradient

    cost, gradient = evaluate(x, label)
    best, best_cost = x.clone(), cost.clone()
    active, stopped_at = torch.ones(classes, dtype=torch.bool), torch.full((classes,), p.alpha)
    window = torch.full((p.beta or 1, classes), -torch.inf)
    window[0] = cost
    for i in range(1, p.alpha + 1):
        x.sub_(gradient, alpha=p.rate)
        if p.clamp:
            x.clamp_(0, 1)
        cost, gradient = evaluate(x, label)
        improved = (cost < best_cost) & active
        best_cost = torch.where(improved, cost, best_cost)
        # lerp with weight 0 or 1 copies exactly, and several times faster than torch.where does on rows this long
        best.flatten(1).lerp_(x.flatten(1), improved[:, None].to(x.dtype))
        stop = torch.zeros_like(active)
        if p.beta is not None:
            stop |= cost >= window.amax(0)
            window[i % p.beta] = cost
        if p.gamma is not None:
            stop |= cost <= p.gamma
        stopped_at.masked_fill_(stop & active, i)
        active &= ~stop
        if i % p.report_every == 0 and not active.all():
            gone, keep = (~active).nonzero()[:, 0], active.nonzero()[:, 0]
            images[rows[gone]], iterations[rows[gone]] = best[gone], stopped_at[gone]
            rows, label, x, gradient, best = rows[keep], label[keep], x[keep], gradient[keep], best[keep]
            best_cost, active, stopped_at, window = best_cost[keep], active[keep], stopped_at[keep], window[:, keep]
            if len(rows) == 0:
                break
    images[rows], iterations[rows] = best, stopped_at
    return images.flatten(1), iterations.tolist()


def project(classifier: Classifier, p: Parameters, folder: Path | None) -> Images:
    """Run the same by ``InversionTrainer.invert``, from the making of the attack to its result.

    Args:
        classifier: Classifier to attack.
        p: Parameters.
        folder: Where TensorBoard events go; nothing is logged if None.
    """
    from lightning.pytorch.loggers import TensorBoardLogger

    attack = Inversion(
        target=WhiteBox(classifier),  # works on a copy: the loop beside it has the layers as PyTorch has them
        space=PixelSpace(initializer=Zeros(), clamp=p.clamp),
        cost=OneMinusConfidence(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=p.rate),
        max_iterations=p.alpha,
        beta=p.beta,
        gamma=p.gamma,
        report_every=p.report_every,
    )
    trainer = InversionTrainer(
        accelerator="cpu",
        devices=1,
        logger=False if folder is None else TensorBoardLogger(folder),
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    result = trainer.invert(attack)
    return result.reconstruction.flatten(1), result.iterations.tolist()


def art_miface(linear: nn.Linear, shape: tuple[int, ...], p: Parameters, batch_size: int) -> Images:
    """Run ``MIFace`` of the Adversarial Robustness Toolbox for a fixed number of iterations.

    Its loop (1.20) calls a row active while ``cost <= threshold`` or ``cost >= max(window)``, so neither of its rules
    stops where Algorithm 1 does; with threshold 1 every row stays active, and the descent is the same. It returns the
    last iterate, which is the best one as long as the cost falls. The model is wrapped as in its own examples, which do
    not freeze the weights.

    Args:
        linear: Trained layer; copied.
        shape: Shape of an image.
        p: Parameters; only ``alpha``, ``rate`` and ``clamp`` are used.
        batch_size: Its ``batch_size``.
    """
    import numpy as np
    from art.attacks.inference.model_inversion import MIFace
    from art.estimators.classification import PyTorchClassifier

    classes = linear.out_features
    linear = copy.deepcopy(linear).requires_grad_(True)
    wrapped = PyTorchClassifier(
        model=nn.Sequential(nn.Flatten(), linear, nn.Softmax(1)),
        loss=nn.CrossEntropyLoss(),  # not used by the attack
        input_shape=shape,
        nb_classes=classes,
        clip_values=(0.0, 1.0) if p.clamp else None,
        device_type="cpu",
    )
    attack = MIFace(
        wrapped,
        max_iter=p.alpha,
        window_length=p.alpha,
        threshold=1.0,
        learning_rate=p.rate,
        batch_size=batch_size,
        verbose=False,
    )
    images = attack.infer(None, y=np.arange(classes))
    return torch.from_numpy(np.asarray(images, dtype=np.float32)).flatten(1), [p.alpha] * classes


def race(contestants: list[Contestant], console: Console) -> None:
    """Let the contestants run in turn, as often as each wants to."""
    for turn in range(max(contestant.repeats for contestant in contestants)):
        for contestant in contestants:
            if turn < contestant.repeats:
                start, cpu = time.perf_counter(), time.process_time()
                contestant.images, contestant.iterations = contestant.run()
                contestant.seconds.append(time.perf_counter() - start)
                contestant.cpu_seconds.append(time.process_time() - cpu)
                console.print(f"  turn {turn + 1}: {contestant.name} {contestant.seconds[-1]:.3f} s", style="dim")


HEADER = ("", "seconds", "CPU seconds", "runs", "x bare loop", "iterations", "max difference")


def rows_of(contestants: list[Contestant], bare: Contestant) -> list[tuple[str, ...]]:
    """Return the lines of the table: medians, the sum of the rows' iterations, images compared with the bare loop's."""
    return [
        (
            c.name,
            f"{c.median:.3f}",
            f"{statistics.median(c.cpu_seconds):.3f}",
            str(len(c.seconds)),
            f"{c.median / bare.median:.2f}",
            str(sum(c.iterations)),
            f"{(c.images - bare.images).abs().max():.1e}",
        )
        for c in contestants
    ]


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="softmax to attack; trained if missing")
    parser.add_argument("--alpha", type=int, default=5000, help="iteration limit of the first race")
    parser.add_argument("--beta", type=int, default=100, help="stagnation window of the first race")
    parser.add_argument("--gamma", type=float, default=0.01, help="target cost of the first race")
    parser.add_argument("--rate", type=float, default=0.1, help="step size")
    parser.add_argument("--report-every", type=int, default=50, help="iterations in a Lightning step")
    parser.add_argument("--iterations", type=int, default=100, help="iterations of the second race")
    parser.add_argument("--clamp", action="store_true", help="clamp the candidates to [0, 1]; [F15] does not")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each but the toolbox")
    parser.add_argument("--repeats-art", type=int, default=1, help="runs of the toolbox")
    parser.add_argument("--batch-size-art", type=int, nargs="+", default=[1, 40], help="its default is 1")
    parser.add_argument("--skip-art", action="store_true", help="race without the toolbox")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of torch")
    parser.add_argument("--write", action="store_true", help=f"append to {RESULTS.name}")
    return parser.parse_args()


def main() -> None:
    """Run both races."""
    args = arguments()
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    if not args.skip_art and importlib.util.find_spec("art") is None:
        sys.exit(
            "expected the Adversarial Robustness Toolbox, got none in this environment: pip install "
            "adversarial-robustness-toolbox==1.20.1 (or race without it: --skip-art)"
        )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # advice on the size of a trainer that is used for a second
    torch.set_num_threads(args.threads)
    about = machine(args.threads)
    classifier, origin = trained_softmax(args.checkpoint)
    classifier.requires_grad_(False)
    shape, classes = classifier.input_shape, classifier.num_classes
    linear = next(module for module in classifier.modules() if isinstance(module, nn.Linear))
    bare_model = nn.Sequential(nn.Flatten(), linear)
    console.print(f"{about}\nsoftmax: {origin}")

    full = Parameters(args.alpha, args.beta, args.gamma, args.rate, args.report_every, args.clamp)
    fixed = Parameters(args.iterations, None, None, args.rate, args.report_every, args.clamp)
    with tempfile.TemporaryDirectory() as folder:
        bare = Contestant("bare PyTorch loop", lambda: bare_loop(bare_model, shape, classes, full), args.repeats)
        whole = Contestant("mi_lightning, whole invert", lambda: project(classifier, full, None), args.repeats)
        logged = Contestant(
            "mi_lightning, with TensorBoard", lambda: project(classifier, full, Path(folder)), args.repeats
        )
        bare.run()  # warm: the first run pays for what torch sets up once
        whole.run()
        first = [bare, whole, logged]
        race(first, console)

        bare_fixed = Contestant("bare PyTorch loop", lambda: bare_loop(bare_model, shape, classes, fixed), args.repeats)
        whole_fixed = Contestant("mi_lightning, whole invert", lambda: project(classifier, fixed, None), args.repeats)
        arts = [
            Contestant(
                f"ART MIFace, batch {size}",
                partial(art_miface, linear, shape, fixed, size),
                args.repeats_art,
            )
            for size in ([] if args.skip_art else args.batch_size_art)
        ]
        if arts:
            art_miface(linear, shape, replace(fixed, alpha=1), classes)  # the import is no part of the race
        second = [bare_fixed, whole_fixed, *arts]
        race(second, console)

    end = (
        f"{classes} people to the end: alpha {full.alpha}, beta {full.beta}, gamma {full.gamma}, "
        f"rate {full.rate}, a report every {full.report_every}"
    )
    same = f"{classes} people, {fixed.alpha} iterations each, no stop rule, rate {fixed.rate}"
    tables = [(end, rows_of(first, bare)), (same, rows_of(second, bare_fixed))]
    verdicts = [
        verdict("invert / bare loop", whole.median / bare.median, LIMIT_BARE, at_most=True),
        verdict("largest difference, to the end", _difference(whole, bare), LIMIT_IMAGES, at_most=True),
    ]
    if arts:
        art = min(arts, key=lambda contestant: contestant.median)
        verdicts += [
            verdict(f"{art.name} / invert", art.median / whole_fixed.median, LIMIT_ART, at_most=False),
            verdict("largest difference, ART and invert", _difference(whole_fixed, art), LIMIT_IMAGES, at_most=True),
        ]
    for title, rows in tables:
        show(console, title, HEADER, rows)
    for line in verdicts:
        console.print(line)
    if args.write:
        shown = [(title, HEADER, rows) for title, rows in tables]
        append_results("White-box race", f"{about}. Softmax: {origin}.", shown, verdicts)
        console.print(f"appended to {RESULTS}")


def _difference(a: Contestant, b: Contestant) -> float:
    """Return the largest absolute difference between two contestants' images."""
    return float((a.images - b.images).abs().max())


if __name__ == "__main__":
    main()
