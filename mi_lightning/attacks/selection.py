"""Selections: which of a row's iterates is its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Evaluation, RowState
from mi_lightning.errors import InputError


class Selection(ABC):
    """Ranks iterates: among those of a row, its initial candidates, and the restarts of a label.

    Attributes:
        queries: Inputs that ranking one iterate asks for beyond its evaluation.
    """

    queries: int = 0

    def bind(self, problem: Problem) -> None:  # any problem will do, unless overridden
        """Fit the selection to a problem, before anything is asked.

        Raises:
            InputError: If it does not fit.
        """

    @abstractmethod
    def score(self, problem: Problem, z: Tensor, state: RowState, evaluation: Evaluation) -> Tensor:
        """Return what iterates are ranked by, shape (R,); smaller is better.

        Args:
            problem: What is minimised.
            z: The iterates, shape (R, *candidate_shape).
            state: The rows that they belong to.
            evaluation: Their cost.
        """

    def state_dict(self) -> dict[str, Any]:
        """Return what the selection remembers; nothing, unless overridden."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was remembered."""


class LeastCost(Selection):
    """The iterate of least cost, priors included, as Algorithm 1 has it [F15]."""

    def score(self, problem: Problem, z: Tensor, state: RowState, evaluation: Evaluation) -> Tensor:
        """Return the cost, shape (R,)."""
        return evaluation.total


class RobustConfidence(Selection):
    """The iterate that the target stays sure of when its input is changed a little, at random, again and again.

    score = -mean over the samples of the confidence in the label after the transformations. What fools a network
    rests on exact pixels and falls when they move; a face does not. Source: the selection of Struppek et al., *Plug &
    Play Attacks*, ICML 2022, section 3.4, here for every iterate.

    Args:
        transforms: Random transformations of inputs (:mod:`mi_lightning.attacks.transforms`), applied in order.
        samples: Changed copies of each iterate, each one query, at least 1.

    Raises:
        InputError: If there is no transformation, or an argument is out of its range.
    """

    def __init__(self, *, transforms: Sequence[nn.Module], samples: int = 8) -> None:
        """Check the arguments."""
        if not transforms:
            raise InputError("one transformation or more", "none", field="transforms")
        if samples < 1:
            raise InputError("samples >= 1", samples, field="samples")
        self.transforms, self.samples, self.queries = list(transforms), samples, samples

    def bind(self, problem: Problem) -> None:
        """See that there are inputs to change, and that the transformations can change them.

        Raises:
            InputError: If not.
        """
        problem.try_transforms(self.transforms, "selection")

    @torch.no_grad()
    def score(self, problem: Problem, z: Tensor, state: RowState, evaluation: Evaluation) -> Tensor:
        """Return minus the mean confidence over the changed copies, shape (R,), in [-1, 0]."""
        x, total = problem.space.decode(z), torch.zeros_like(evaluation.total)
        for sample in range(self.samples):
            changed = x
            for place, transform in enumerate(self.transforms):
                # apart from the numbers of the problem's own transforms, which count up from 0
                generators = [problem.generator(key, -1 - place, sample) for key in state.rows.keys]
                changed = transform(changed, generators)
            with problem.target.asking(state.rows.keys):
                total += problem.view.confidences(changed).gather(1, state.label[:, None])[:, 0]
        # an iterate that is no number is never the best
        return torch.where(evaluation.total.isfinite(), -total / self.samples, torch.inf)
