"""An attack: what it searches, what it minimises, how it steps and when it stops, apart from whom it attacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.engine import Engine
from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.attacks.findings import Report
from mi_lightning.attacks.in_parts import InParts
from mi_lightning.attacks.labels import parse_labels
from mi_lightning.attacks.priors.base import Prior
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.projections.base import Projection
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.selection import LeastCost, Selection
from mi_lightning.attacks.spaces.base import Space
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.attacks.spaces.sliding_windows import SlidingWindows
from mi_lightning.attacks.steps.base import Step
from mi_lightning.attacks.steps.gradient import GradientStep, OptimizerFactory, plain_descent
from mi_lightning.attacks.stopping import Stagnation, StopRule, TargetCost
from mi_lightning.attacks.transforms.base import Transform
from mi_lightning.attacks.wrappers import BestOfInitial, Runs, Sliding
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target


class Attack:
    """Model inversion by descent on the cost of a candidate: Algorithm 1, MI-FACE [F15], and what has come since.

    For i = 1 ... max_iterations: x_i = PROCESS(CONSTRAIN(UPDATE(x_{i-1}, gradient of c at x_{i-1}))), then c(x_i) is
    checked against the stop rules. The result is the best of x_0 ... x_i, not the last. All (label, restart) rows are
    one batch; each keeps its own stop rule, best iterate and random numbers, so that what a row finds does not depend
    on the others.

    Args:
        space: Where the candidates live; pixels if None.
        cost: Cost of the confidences; 1 - p if None.
        priors: Added to the cost.
        transforms: Act on inputs before the target is asked.
        estimator: Gives the gradient; backpropagation if None.
        gradient_filter: Acts on the gradient before the update.
        optimizer: Update rule, any torch optimizer that acts on each element alone and needs no closure. Its ``lr`` is
            lambda and its ``momentum`` is mu of [F15].
        step: Proposes the next candidates in place of these three, for attacks that do not follow a gradient.
        projections: Act on the candidates between update and evaluation, such as Process-DAE.
        selection: Ranks iterates, initial candidates and restarts; by the least cost if None.
        restarts: Attempts for each label, each with random numbers of its own.
        initial_candidates: Initial candidates that each row tries; it goes on from the best. For spaces that draw them,
            where the cost is flat at most. More than 1 cost ``initial_candidates`` evaluations more.
        max_iterations: Iteration limit, alpha of [F15].
        beta: Window of the stagnation rule, in iterations; no such rule if None.
        stagnation_rule: "algorithm" is Algorithm 1 to the letter, "patience" waits for a better best cost.
        gamma: Target cost at which a row stops, in [0, 1); no such rule if None.
        report_every: Iterations between two reports: logging, progress and stopped rows are looked at only then.
        rows_at_once: Rows in memory at a time; as many as the free memory allows if None. Results do not depend on it.
        seed: Seed of the rows' random numbers.

    Raises:
        InputError: If an argument is out of its range, or a step was given beside what it replaces.
    """

    def __init__(
        self,
        *,
        space: Space | None = None,
        cost: Cost | None = None,
        priors: list[Prior] | None = None,
        transforms: list[Transform] | None = None,
        estimator: GradientEstimator | None = None,
        gradient_filter: GradientFilter | None = None,
        optimizer: OptimizerFactory | None = None,
        step: Step | None = None,
        projections: list[Projection] | None = None,
        selection: Selection | None = None,
        restarts: int = 1,
        initial_candidates: int = 1,
        max_iterations: int = 5000,
        beta: int | None = None,
        stagnation_rule: Literal["algorithm", "patience"] = "algorithm",
        gamma: float | None = None,
        report_every: int = 50,
        rows_at_once: int | None = None,
        seed: int = 0,
    ) -> None:
        """Check the numbers; files are opened when the attack starts."""
        counts = {
            "restarts": restarts,
            "initial_candidates": initial_candidates,
            "max_iterations": max_iterations,
            "report_every": report_every,
            "rows_at_once": 1 if rows_at_once is None else rows_at_once,
        }
        for name, value in counts.items():
            if value < 1:
                raise InputError(f"{name} >= 1", value, field=name)
        if seed < 0:
            raise InputError("seed >= 0", seed, field="seed")
        if stagnation_rule not in ("algorithm", "patience"):
            raise InputError("stagnation_rule algorithm or patience", stagnation_rule, field="stagnation_rule")
        if step is not None and (estimator, gradient_filter, optimizer) != (None, None, None):
            got = f"a {type(step).__name__} and one of them"
            raise InputError("either a step, or estimator, gradient_filter and optimizer", got, field="step")
        self.space, self.cost = space or PixelSpace(), cost or OneMinusConfidence()
        self.priors, self.transforms = list(priors or []), list(transforms or [])
        self.step = step or GradientStep(estimator, gradient_filter, optimizer or plain_descent)
        self.projections, self.selection = list(projections or []), selection or LeastCost()
        self.restarts, self.initial_candidates, self.seed = restarts, initial_candidates, seed
        self.max_iterations, self.beta, self.gamma, self.stagnation_rule = max_iterations, beta, gamma, stagnation_rule
        self.report_every, self.rows_at_once = report_every, rows_at_once
        self.stop_rules()  # looks at beta and gamma

    def stop_rules(self) -> list[StopRule]:
        """Return the rules of beta and gamma, in the order in which Algorithm 1 checks them."""
        stagnation = [] if self.beta is None else [Stagnation(self.beta, self.stagnation_rule)]
        return [*stagnation, *([] if self.gamma is None else [TargetCost(self.gamma)])]

    def engine(self, target: Target, parts: Sequence[StopRule | Projection] = ()) -> InParts:
        """Put the attack together for a target; nothing is asked yet.

        Args:
            target: Whom to attack.
            parts: Further stop rules and projections, after the attack's own.

        Raises:
            InputError: If a part does not fit the target, or needs gradients that it does not give.
            MIError: If a part needs a package or a file that is missing.
        """
        if self.step.needs_gradients and not target.differentiable:
            part: object = self.step.estimator if isinstance(self.step, GradientStep) else self.step
            raise InputError(
                "a target that gives gradients, or an estimator that only queries",
                f"{type(target).__name__}{target.why_no_gradient} with {type(part).__name__}",
                field="estimator",
            )
        problem = Problem(target, self.space, self.cost, self.priors, self.transforms)
        if isinstance(self.step, GradientStep):
            problem.tell_rate(self.step.gradient_filter)
        projections = [*self.projections, *(part for part in parts if isinstance(part, Projection))]
        if isinstance(self.step, GradientStep) and self.step.gradient_filter is not None:
            self.step.gradient_filter.check(problem.candidate_shape)
        for projection in projections:
            projection.bind(problem)
        self.selection.bind(problem)
        core = Engine(
            problem,
            self.step,
            stops=[*self.stop_rules(), *(part for part in parts if isinstance(part, StopRule))],
            projections=projections,
            selection=self.selection,
            max_iterations=self.max_iterations,
        )
        runs: Runs = core
        if isinstance(self.space, SlidingWindows):
            if self.initial_candidates > 1:
                got = self.initial_candidates
                raise InputError("initial_candidates 1 for SlidingWindows", got, field="initial_candidates")
            runs = Sliding(core)
        elif self.initial_candidates > 1:
            runs = BestOfInitial(core, self.initial_candidates)
        return InParts(runs, self.rows_at_once)

    def rows(self, labels: str | int | list[str | int], class_names: Sequence[str]) -> Rows:
        """Return the rows of some people: ``restarts`` for each.

        Args:
            labels: ``"all"``, indices, names, ranges such as ``"0-9"``, or a list of these.
            class_names: Name of each class.

        Raises:
            InputError: If a label is unknown.
        """
        return Rows.grid(parse_labels(labels, class_names), self.restarts, seed=self.seed)

    def run(
        self,
        target: Target,
        labels: str | int | list[str | int] = "all",
        *,
        query_budget: int | None = None,
        progress: Callable[[Report], None] | None = None,
    ) -> InversionResult:
        """Attack a target, without Lightning, where its weights lie.

        Args:
            target: Whom to attack, such as ``WhiteBox(model)``.
            labels: People to reconstruct; see :meth:`rows`.
            query_budget: Inputs that each row may ask for; no limit if None.
            progress: Is told how the attack stands, every ``report_every`` iterations.

        Returns:
            The best iterate of each row.

        Raises:
            InputError: If a part does not fit the target, or a label is unknown.
            TargetError: If the target failed; ``found`` of the error holds what was found until then.
        """
        rows = self.rows(labels, target.class_names)
        engine = self.engine(target)
        target.restart(query_budget)
        for report in engine.run(rows, self.report_every):
            if progress is not None:
                progress(report)
        result = replace(engine.result, target_sha256=target.fingerprint() or "")
        if engine.failure is not None:
            engine.failure.found = result if len(result) else None
            raise engine.failure
        return result

    def describe(self) -> dict[str, Any]:
        """Return what a report says of the attack: plain values only."""
        parts: dict[str, Any] = {
            "space": describe_part(self.space),
            "cost": describe_part(self.cost),
            "priors": [describe_part(prior) for prior in self.priors],
            "transforms": [describe_part(transform) for transform in self.transforms],
        }
        if isinstance(self.step, GradientStep):
            chosen = self.step.gradient_filter
            parts |= {
                "estimator": describe_part(self.step.estimator),
                "gradient_filter": None if chosen is None else describe_part(chosen),
                "optimizer": _describe_optimizer(self.step.make_optimizer),
            }
        return {
            **parts,
            "step": describe_part(self.step),
            "projections": [describe_part(projection) for projection in self.projections],
            "selection": describe_part(self.selection),
            "max_iterations": self.max_iterations,
            "beta": self.beta,
            "stagnation_rule": self.stagnation_rule if self.beta is not None else None,
            "gamma": self.gamma,
            "restarts": self.restarts,
            "initial_candidates": self.initial_candidates,
            "seed": self.seed,
            "report_every": self.report_every,
            "rows_at_once": self.rows_at_once,
        }


def _describe_optimizer(make: OptimizerFactory) -> dict[str, Any]:
    """Class and plain settings of the optimizer that is made."""
    optimizer = make([nn.Parameter(torch.zeros(1))])
    settings = {
        name: value
        for name, value in optimizer.param_groups[0].items()
        if name != "params" and isinstance(value, int | float | str | bool | tuple)
    }
    return {"class": type(optimizer).__name__, **settings}


def describe_part(part: object) -> dict[str, Any]:
    """Return class and plain settings of a part, those of its own parts, and whether it knows other people."""
    settings: dict[str, Any] = {"public": True} if getattr(part, "public", False) is True else {}
    own = dict(vars(part))
    if isinstance(part, nn.Module):
        own |= dict(part.named_children())
    for name, value in own.items():
        if name.startswith("_") or name == "training" or isinstance(value, Tensor):
            continue
        if isinstance(value, int | float | str | bool) or value is None:
            settings[name] = value
        elif isinstance(value, list | nn.ModuleList) and value and all(map(_is_ours, value)):
            settings[name] = [describe_part(each) for each in value]
        elif isinstance(value, PersonDataModule):
            settings[name] = value.describe() if value.is_ready else value.plain_arguments()
        elif _is_ours(value) and not isinstance(value, Target | Problem):
            settings[name] = describe_part(value)
    return {"class": type(part).__name__, **settings}


def _is_ours(value: object) -> bool:
    """Whether a value is a part of this package."""
    return type(value).__module__.startswith("mi_lightning.") and not callable(getattr(value, "prepare_data", None))
