"""A classifier of the same kind that was never trained: what an attack finds in it, it did not learn from people."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.errors import InputError, MIError

_DRAWS = 30  # tries: of a narrow network all units may be drawn dead
_ASKED = 8  # inputs by which that is seen


def untrained(classifier: Classifier, seed: int = 0) -> Classifier:
    """Make a classifier of the same class and hyperparameters with fresh weights.

    The weights are drawn as the class draws them before training. Layers that a class starts at zero (softmax and
    logistic regression, whose loss is convex) are drawn as PyTorch draws them: at zero every answer is the same and
    every gradient is zero, so that an attack would stay where it starts, and prove nothing.

    Args:
        classifier: The trained one; it stays as it is.
        seed: Seed of the weights; the global random state is neither read nor changed.

    Returns:
        The classifier, in evaluation mode. Its ``training_info`` keeps ``data``, the people whom the trained one
        learned, so that judges take the same references; ``untrained`` is true and ``test_accuracy`` None.

    Raises:
        InputError: If the seed is negative.
        MIError: If without training it gives every input the same answer, or none.
    """
    if seed < 0:
        raise InputError("seed >= 0", seed, "seed")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed, which seeds every device
        drawn = (_drawn(classifier) for _ in range(_DRAWS))
        fresh = next((each for each in drawn if _answers(each)), None)
    if fresh is None:
        name = type(classifier).__name__
        raise MIError(f"a {name} that was never trained gives every input the same answer: there is nothing to attack")
    fresh.training_info = {"untrained": True, "seed": seed, "test_accuracy": None}
    if "data" in classifier.training_info:
        fresh.training_info["data"] = classifier.training_info["data"]
    return fresh


def untrained_copy(checkpoint: str | Path, path: str | Path, seed: int = 0) -> Classifier:
    """Write a checkpoint of an untrained classifier beside that of a trained one; see `untrained`.

    Args:
        checkpoint: Checkpoint of the trained classifier.
        path: File to write; `load_classifier` reads it.
        seed: Seed of the weights.

    Returns:
        What was written.

    Raises:
        MIError: If the checkpoint cannot be read, the file not be written, or there is nothing to attack.
    """
    fresh = untrained(load_classifier(checkpoint), seed)
    save_classifier(fresh, path)
    return fresh


def _drawn(classifier: Classifier) -> Classifier:
    """Make one anew, from the global random state; what it starts at zero is drawn as PyTorch does."""
    fresh = type(classifier)(**classifier.init_args)
    draw_zeros(fresh)
    return fresh.eval()


def draw_zeros(module: nn.Module) -> None:
    """Draw layers whose weights are all zero as PyTorch does, in place, from the global random state."""
    for layer in module.modules():
        weight, reset = getattr(layer, "weight", None), getattr(layer, "reset_parameters", None)
        if isinstance(weight, nn.Parameter) and not is_lazy(weight) and callable(reset) and not weight.any():
            reset()


@torch.no_grad()
def _answers(classifier: Classifier) -> bool:
    """Whether the answer depends on the input: of random inputs no two have the same."""
    low, high = classifier.input_range
    x = torch.rand(_ASKED, *classifier.input_shape, generator=torch.Generator().manual_seed(0)) * (high - low) + low
    logits = classifier(x)
    return bool(logits.isfinite().all()) and len(logits.unique(dim=0)) == len(x)
