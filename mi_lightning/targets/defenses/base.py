"""What stands between a target and the attacker."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target

Gradient = Literal["true", "zero", "straight_through"]


class Defense(Target):
    """Changes the confidences that a target releases; with the target behind it, it is a target itself.

    A defense is made of its parameters alone, and :meth:`wrap` puts it in front of a target, as often as one likes.
    Defenses chain: in ``defend(target, [a, b])``, b changes what a releases.

    In a white box the attacker differentiates through the defense, and chooses how. In a black box the choice is
    without effect.

    Args:
        gradient: ``"true"``: that of what is released, where it has one (a step function has zero).
            ``"zero"``: none passes; the defense masks it.
            ``"straight_through"``: that of the confidences behind the defense, as if it were not there (Bengio,
            Leonard, Courville, arXiv 1308.3432), which is what an attacker who knows the defense uses.

    Attributes:
        inner: What is behind, after :meth:`wrap`.
        changes_logits: Whether the defense says what becomes of logits: it then overrides ``release_logits``. Behind
            any other the logits are hidden.
    """

    inner: Target
    changes_logits: ClassVar[bool] = False

    def __init__(self, *, gradient: Gradient = "true") -> None:
        """Check the choice."""
        super().__init__()
        if gradient not in ("true", "zero", "straight_through"):
            raise InputError("gradient true, zero or straight_through", gradient, "gradient")
        self.gradient = gradient

    @abstractmethod
    def defend(self, p: Tensor) -> Tensor:
        """Return what is released in place of the confidences ``p``: shape (N, C), rows that sum to 1."""

    def settings(self) -> dict[str, Any]:
        """Return the parameters, for the report: plain values only."""
        return {}

    def check(self, target: Target) -> None:
        """Refuse a target that the parameters do not fit, with an ``InputError``; any fits unless overridden."""

    def wrap(self, target: Target) -> Self:
        """Return this defense in front of a target; the defense itself stays as it is.

        Raises:
            InputError: If the parameters do not fit the target.
            RuntimeError: If this defense stands in front of a target already.
        """
        if "inner" in self._modules:
            raise RuntimeError(f"{type(self).__name__} stands in front of a target already: wrap that, or make another")
        self.check(target)
        bound = copy.deepcopy(self)
        bound.inner = target
        bound.look_like(target)
        bound.has_logits = bound.changes_logits and target.has_logits
        return bound

    def release(self, x: Tensor) -> Tensor:
        """Return the defended confidences, shape (N, C)."""
        p = self._behind.release(x)
        if not p.requires_grad:
            return self.defend(p)
        if self.gradient == "true":
            shown = self.defend(p)
            return shown if shown.requires_grad else pass_back(shown, p, 0.0)
        with torch.no_grad():
            shown = self.defend(p)
        return pass_back(shown, p, self.share)

    def verify(self, x: Tensor) -> Tensor:
        """Ask what is behind: whether a target knows somebody is not a question to its defenses."""
        return self._behind.verify(x)

    def adopt_names(self, names: Sequence[str]) -> None:
        """Let what is behind take over the names."""
        self._behind.adopt_names(names)
        self.class_names, self.names_from, self._order = (
            self._behind.class_names,
            self._behind.names_from,
            self._behind._order,
        )

    def check_answers(self) -> None:
        """Let what is behind look back."""
        self._behind.check_answers()

    def release_log(self, x: Tensor) -> Tensor:
        """Return the logarithm of the defended confidences, shape (N, C), in nats.

        A released 0 counts as the smallest normal number, so that nothing is below -87.3 nats in float32. A
        straight-through gradient is that of the logarithm behind the defense, which has no such floor.
        """
        if self.gradient == "straight_through" and self._behind.differentiable and torch.is_grad_enabled():
            log_p = self._behind.release_log(x)
            if log_p.requires_grad:
                with torch.no_grad():
                    shown = self.defend(log_p.exp())
                    floored = shown.clamp_min(torch.finfo(shown.dtype).tiny).log()
                return pass_back(floored, log_p, 1.0)
        return super().release_log(x)

    def restart(self, query_budget: int | None = None) -> None:
        """Begin an attack, also for what is behind."""
        self._behind.restart(query_budget)

    @property
    def charged(self) -> int:
        """Inputs asked for so far, as the target behind says."""
        return self._behind.charged

    @property
    def classifier(self) -> nn.Module | None:
        """The module behind, where the attacker sees it."""
        return self._behind.classifier

    def run_state(self) -> dict[str, Any]:
        """Return what an attack has changed, here and behind."""
        return {"behind": self._behind.run_state()}

    def load_run_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`run_state` returned, also for what is behind."""
        self.check_run_state(state)
        self._behind.load_run_state(state["behind"])

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the weights behind, or None where they are unknown."""
        return self._behind.fingerprint()

    def describe(self) -> dict[str, Any]:
        """Return what a report says of the target behind, with this defense at the end of its ``defenses``."""
        behind = self._behind.describe()
        own = {"class": type(self).__name__, **self.settings(), "gradient": self.gradient}
        return {**behind, "defenses": [*behind.get("defenses", []), own]}

    @property
    def share(self) -> float:
        """Share of the gradient that passes to the confidences behind, where it is not the true one."""
        return 1.0 if self.gradient == "straight_through" else 0.0

    @property
    def _behind(self) -> Target:
        """What is behind."""
        if "inner" not in self._modules:
            raise RuntimeError(f"{type(self).__name__} stands in front of nothing: use what wrap(target) returns")
        return self.inner


def defend(target: Target, defenses: Iterable[Defense]) -> Target:
    """Put defenses in front of a target, the first one next to it: a chain.

    Args:
        target: What is to be defended.
        defenses: Defenses that stand in front of nothing yet; they stay as they are.

    Returns:
        The outermost defense, or the target where there is none.
    """
    for defense in defenses:
        target = defense.wrap(target)
    return target


class _PassBack(torch.autograd.Function):
    """Shows one tensor in place of another of the same shape, to which a multiple of its gradient goes."""

    @staticmethod
    def forward(ctx: FunctionCtx, behind: Tensor, shown: Tensor, factor: float) -> Tensor:
        ctx.factor = factor  # type: ignore[attr-defined]
        return torch.empty_like(behind).copy_(shown)

    @staticmethod
    def backward(ctx: FunctionCtx, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0] * ctx.factor, None, None  # type: ignore[attr-defined]


def pass_back(shown: Tensor, behind: Tensor, factor: float) -> Tensor:
    """Return ``shown``, whose gradient times ``factor`` goes to ``behind``."""
    result: Tensor = _PassBack.apply(behind, shown, factor)
    return result
