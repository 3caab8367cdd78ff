"""The vanishing gradient of 1 - p: what the first step of an attack sees, for each classifier that is trained.

The cost of Algorithm 1 (Fredrikson et al., 2015) is 1 - p, where p is the confidence in the person wanted. Its gradient
is p times that of -log p, by the chain rule. Where a start looks like nobody, p is tiny, and so is the gradient: a step
of lambda = 0.1 moves no pixel, the cost stays as it is to the last digit, and the stagnation rule stops the row. The
gradient of -log p stays of order one.

    python benchmarks/vanishing_gradient.py                                # every checkpoint of a face classifier
    python benchmarks/vanishing_gradient.py checkpoints/att_mlp.ckpt       # some of them

Prints one line a checkpoint and start (black, mid-grey), over all people: the median and the least confidence p, the
median and the least Euclidean norm of the gradient of 1 - p and of -log p towards the input, and how many people are
stuck: after the first step with lambda = 0.1 their float32 cost 1 - p is no less than before.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.loading import load_classifier

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
RATE = 0.1  # lambda of the reported attacks


@dataclass(frozen=True)
class Start:
    """What an attack sees at one start, for each of C people.

    Attributes:
        confidence: p of the person, (C,).
        gradient: Norm of the gradient of 1 - p, (C,).
        log_gradient: Norm of the gradient of -log p, (C,), in nats.
        stuck: Whether one step leaves the float32 cost 1 - p as it was, (C,).
    """

    confidence: Tensor
    gradient: Tensor
    log_gradient: Tensor
    stuck: Tensor


def first_step(classifier: Classifier, level: float, rate: float = RATE) -> Start:
    """Look at one step from an even picture towards each person.

    Args:
        classifier: The classifier, in evaluation mode.
        level: Value of every pixel of the start, in units of the input.
        rate: Step size, lambda.
    """
    people = torch.arange(classifier.num_classes)
    x = torch.full((len(people), *classifier.input_shape), level, requires_grad=True)

    def cost(at: Tensor) -> Tensor:
        confidence: Tensor = classifier(at).softmax(1)[people, people]
        return 1 - confidence

    logits = classifier(x)
    gradients = []
    for value in (1 - logits.softmax(1)[people, people], -logits.log_softmax(1)[people, people]):
        (gradient,) = torch.autograd.grad(value.sum(), x, retain_graph=True)
        gradients.append(gradient)
    with torch.no_grad():
        return Start(
            confidence=logits.softmax(1)[people, people],
            gradient=gradients[0].flatten(1).norm(dim=1),
            log_gradient=gradients[1].flatten(1).norm(dim=1),
            stuck=cost(x - rate * gradients[0]) >= cost(x),  # the same rows in the same batch: no rounding in between
        )


def line(name: str, start: str, seen: Start) -> str:
    """One line of the table."""
    numbers = (
        f"{values.median():.1e} | {values.min():.1e}" for values in (seen.confidence, seen.gradient, seen.log_gradient)
    )
    return f"| {name} | {start} | {' | '.join(numbers)} | {int(seen.stuck.sum())} of {len(seen.stuck)} |"


def table(paths: list[Path]) -> str:
    """Measure the classifiers of some checkpoints; a Markdown table."""
    lines = [
        "| classifier | start | p median | p least | grad 1 - p median | least | grad -log p median | least | stuck |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for path in paths:
        classifier = load_classifier(path).requires_grad_(False)
        low, high = classifier.input_range
        for start, level in (("black", low), ("mid-grey", (low + high) / 2)):
            lines.append(line(path.stem, start, first_step(classifier, level)))
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Gradients of 1 - p and -log p where an attack starts.")
    parser.add_argument("checkpoints", nargs="*", type=Path, help="default: checkpoints/att_*.ckpt")
    paths = parser.parse_args().checkpoints or sorted(CHECKPOINTS.glob("att_*.ckpt"))
    if not paths:
        parser.error(
            f"no checkpoint in {CHECKPOINTS}: train some (mi-lightning fit --config configs/classifier/att_mlp.yaml)"
        )
    Console(soft_wrap=True).print(table(paths), highlight=False, markup=False)


if __name__ == "__main__":
    main()
