"""Estimators: the gradient of the cost with respect to the candidates; and filters that act on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.attacks.priors.base import Prior
from mi_lightning.attacks.spaces.base import Space
from mi_lightning.targets.base import Target


class Objective(nn.Module):
    """Everything between a candidate and its cost: decode, query, add the priors.

    Args:
        target: What is asked.
        space: Decodes candidates to inputs, and says whether the cost looks at these or at something else.
        cost: Cost of the confidences.
        priors: Added to the cost.
    """

    def __init__(self, target: Target, space: Space, cost: Cost, priors: Sequence[Prior]) -> None:
        """Keep the parts."""
        super().__init__()
        self.target, self.space, self.cost, self.priors = target, space, cost, nn.ModuleList(priors)
        self.view = space.view(target)

    def forward(self, z: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate candidates; one query each.

        Args:
            z: Candidates, shape (N, *candidate_shape).
            label: Class of each, shape (N,), int64.

        Returns:
            The cost with priors and the cost without, each of shape (N,).
        """
        shown = self.space.present(z)
        total = bare = self.cost(self.view, shown, label)
        if len(self.priors):
            x = shown if self.view is self.target else self.space.decode(z)
            for prior in self.priors:
                total = total + prior(z if prior.of_candidate else x)
        return total, bare


class Evaluation(NamedTuple):
    """Cost of the candidates, and the gradient where it came along for nothing.

    Attributes:
        cost: Cost with priors, shape (R,).
        bare: Cost without priors, shape (R,).
        gradient: Gradient of the cost with respect to the candidates, shape (R, *candidate_shape), or None if it has
            to be asked for.
    """

    cost: Tensor
    bare: Tensor
    gradient: Tensor | None
