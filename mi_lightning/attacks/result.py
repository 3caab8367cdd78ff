"""What an attack found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

#: Why a row stopped; a row's stop code is an index into this tuple.
STOP_REASONS = (
    "running",
    "stagnation",
    "target_cost",
    "max_iterations",
    "diverged",
    "interrupted",
    "query_budget",
    "target_error",
)


@dataclass(frozen=True, repr=False)
class InversionResult:
    """The best iterate of each row, on the CPU, ordered by label as requested and then by restart.

    Attributes:
        label: Class that the row reconstructs, shape (R,), int64.
        name: Name of that class, one per row.
        restart: Number of the restart, shape (R,), int64.
        candidate: Best candidate, in its space, shape (R, *candidate_shape).
        reconstruction: Best candidate decoded to the classifier's input, shape (R, *input_shape).
        cost: Cost of the best candidate, with priors, shape (R,).
        confidence: Confidence that the target released for the label at the best candidate, shape (R,), in [0, 1].
        iterations: Iteration at which the row stopped, shape (R,), int64.
        stop_reason: Why it stopped, one of :data:`STOP_REASONS` per row.
        queries: Inputs whose confidences were asked for until the row stopped, shape (R,), int64.
        seconds: The row's share of the wall time, shape (R,): each block's time is split evenly over the rows that
            ran in it, so that the sum is the time of the attack.
        same_answers: Whether all that the target answered to the queries for the row was the same, shape (R,), bool:
            the attack saw no difference to follow. False where it follows gradients.
        score: What the attack's selection ranks candidates by, shape (R,), smaller is better; the cost unless another
            selection was chosen.
    """

    label: Tensor
    name: tuple[str, ...]
    restart: Tensor
    candidate: Tensor
    reconstruction: Tensor
    cost: Tensor
    confidence: Tensor
    iterations: Tensor
    stop_reason: tuple[str, ...]
    queries: Tensor
    seconds: Tensor
    score: Tensor = field(default_factory=lambda: torch.full((), torch.nan))  # filled in below
    best_iteration: Tensor = field(default_factory=lambda: torch.tensor(-1))  # filled in below
    same_answers: Tensor = field(default_factory=lambda: torch.tensor(False))  # filled in below
    target_sha256: str = ""

    def __post_init__(self) -> None:
        """Rank by the cost where nothing else is said."""
        if self.score.ndim == 0:
            object.__setattr__(self, "score", self.cost)
        if self.best_iteration.ndim == 0:
            object.__setattr__(self, "best_iteration", torch.full_like(self.label, -1))
        if self.same_answers.ndim == 0:
            object.__setattr__(self, "same_answers", torch.zeros_like(self.label, dtype=torch.bool))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.label)

    def __repr__(self) -> str:
        """Say in one line how many rows there are, of what, and how sure the target is of them."""
        shape, sure = tuple(self.reconstruction.shape[1:]), self.confidence.mean().item() if len(self) else float("nan")
        return f"InversionResult({len(self)} rows of shape {shape}, mean confidence {sure:.3f})"

    def select(self, index: Tensor) -> InversionResult:
        """Return the chosen rows, in the order of ``index`` (int64, shape (K,)); itself if these are all."""
        chosen = index.tolist()
        if chosen == list(range(len(self))):
            return self  # big pictures are not copied
        parts: dict[str, Any] = {}
        for name, value in self.state_dict().items():
            if isinstance(value, Tensor):
                parts[name] = value[index]
            else:  # names and reasons have one place a row, the digest is that of all
                parts[name] = value if isinstance(value, str) else tuple(value[i] for i in chosen)
        return InversionResult(**parts)

    def best_index(self) -> Tensor:
        """Return the place of each label's restart that the selection ranks first, shape (L,), int64."""
        keep: dict[int, int] = {}
        scores = self.score.nan_to_num(nan=torch.inf).tolist()  # what is no number ranks last
        for row, (label, score) in enumerate(zip(self.label.tolist(), scores, strict=True)):
            if label not in keep or score < scores[keep[label]]:
                keep[label] = row
        return torch.tensor(list(keep.values()), dtype=torch.int64)

    def best(self) -> InversionResult:
        """Return, for each label, the restart that the selection ranks first: all that an attacker can know of it."""
        return self.select(self.best_index())

    def state_dict(self) -> dict[str, Any]:
        """Return the fields by name: tensors, tuples of text, and the digest."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> InversionResult:
        """Return the result whose fields these are."""
        values: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in state.items()}
        return cls(**values)

    @staticmethod
    def empty() -> InversionResult:
        """Return a result without rows."""
        none, whole = torch.zeros(0), torch.zeros(0, dtype=torch.int64)
        return InversionResult(whole, (), whole, none, none, none, none, whole, (), whole, none)

    @staticmethod
    def concatenate(parts: Sequence[InversionResult]) -> InversionResult:
        """Join results of parts or processes, rows in the order given; of nothing, a result without rows."""
        found = [part for part in parts if len(part)]
        if len(found) < 2:
            return found[0] if found else InversionResult.empty()
        joined: dict[str, Any] = {}
        for each in fields(InversionResult):
            values = [getattr(part, each.name) for part in found]
            if isinstance(values[0], Tensor):
                joined[each.name] = torch.cat(values)
            else:
                tuples = not isinstance(values[0], str)
                joined[each.name] = tuple(item for value in values for item in value) if tuples else values[0]
        return InversionResult(**joined)
