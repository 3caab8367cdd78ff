"""Model inversion: reconstruct class representatives from a target, all rows in one batch."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.estimators.autograd import Autograd
from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.attacks.priors.base import Prior
from mi_lightning.attacks.problem import Evaluation, Objective
from mi_lightning.attacks.result import STOP_REASONS, InversionResult
from mi_lightning.attacks.rows import Rows, parse_labels
from mi_lightning.attacks.spaces.base import Space
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.checkpoint import file_digest
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.errors import InputError
from mi_lightning.lightning.callbacks.base import InversionCallback
from mi_lightning.lightning.callbacks.stopping import StagnationStop, TargetCostStop
from mi_lightning.targets.base import Target, TargetError
from mi_lightning.targets.black_box import BlackBox
from mi_lightning.targets.defenses.base import Defense, defend
from mi_lightning.targets.white_box import WhiteBox

#: Reasons from outside an attack: nothing more is asked.
_OUT_OF_TIME = frozenset({"interrupted", "query_budget", "target_error"})


@dataclass(slots=True)
class _Batch:
    """The rows in the batch, one place per row in each tensor.

    Kept apart from the module because ``nn.Module`` makes every assignment of an attribute expensive, and there are
    several in an iteration.
    """

    label: Tensor
    active: Tensor
    stop_code: Tensor
    stop_iteration: Tensor
    cost: Tensor
    bare: Tensor
    best_cost: Tensor
    best_bare: Tensor
    best_candidate: Tensor
    gradient: Tensor | None = None
    iteration: int = 0

    @classmethod
    def start(cls, label: Tensor, candidate: Tensor) -> _Batch:
        """Return the state before anything was evaluated."""
        device, infinite = candidate.device, torch.full((len(label),), torch.inf, device=candidate.device)
        return cls(
            label=label.to(device),
            active=torch.ones(len(label), dtype=torch.bool, device=device),
            stop_code=torch.zeros(len(label), dtype=torch.int64, device=device),
            stop_iteration=torch.zeros(len(label), dtype=torch.int64, device=device),
            cost=infinite,
            bare=infinite,
            best_cost=infinite,
            best_bare=infinite,
            best_candidate=candidate.clone(),
        )

    def keep(self, index: Tensor) -> None:
        """Go on with the chosen rows."""
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), Tensor):
                setattr(self, field.name, value[index])


class Inversion(LightningModule):
    """Model inversion by descent on the cost of a candidate: Algorithm 1, MI-FACE [F15], and what has come since.

    An attack is composed of a target, a space, a cost with priors, an estimator of its gradient and an optimizer. All
    (label, restart) rows are one batch; each keeps its own stop rule, best iterate and random numbers, so that what a
    row finds does not depend on the others. One Lightning training step is a block of iterations.

    For i = 1 ... alpha: x_i = PROCESS(CONSTRAIN(UPDATE(x_{i-1}, gradient of c at x_{i-1}))), then c(x_i) is checked
    against the stop rules. The result is the best of x_0 ... x_i, not the last.

    Args:
        classifier_ckpt: Checkpoint of the classifier to attack. Give this or ``target``.
        target: Target to attack.
        access: What the attacker may touch of ``classifier_ckpt``: the classifier itself, or its confidences.
        defenses: What stands in front of the target, the first one next to it.
        query_budget: Inputs that each row may ask for; an iteration that would take more is not begun, and the row
            stops with what it has. No limit if None.
        space: Where the candidates live; pixels if None.
        cost: Cost of the confidences; 1 - p if None.
        priors: Added to the cost.
        estimator: Gives the gradient; backpropagation if None.
        gradient_filter: Acts on the gradient before the update.
        optimizer: Update rule, any torch optimizer that acts on each element alone and needs no closure. Its ``lr`` is
            lambda and its ``momentum`` is mu of [F15].
        labels: People to reconstruct: "all", indices, names, ranges such as "0-9", or a list of these.
        restarts: Attempts for each label, each with random numbers of its own.
        starts: Initial candidates that each row tries; it goes on from the best. For starts that are drawn,
            where the cost is flat at most of them. More than 1 cost ``starts`` evaluations more.
        max_iterations: Iteration limit, alpha of [F15].
        beta: Window of the stagnation rule, in iterations; no such rule if None.
        stagnation_rule: "algorithm" is Algorithm 1 to the letter, "patience" waits for a better best cost.
        gamma: Target cost at which a row stops, in [0, 1); no such rule if None.
        block: Iterations in one Lightning step: logging, progress and stopped rows are looked at once a block.
        chunk_size: Rows in memory at a time; all if None.
        seed: Seed of the rows' random numbers.

    Attributes:
        result: What was found (:class:`~mi_lightning.attacks.InversionResult`), after the attack.
        candidate: Candidates of the rows in the batch, shape (R, *candidate_shape).
        iteration: Iterations done on the rows in the batch.
    """

    candidate: nn.Parameter

    def __init__(
        self,
        classifier_ckpt: str | None = None,
        *,
        target: Target | None = None,
        access: Literal["white_box", "black_box"] = "white_box",
        defenses: list[Defense] | None = None,
        query_budget: int | None = None,
        space: Space | None = None,
        cost: Cost | None = None,
        priors: list[Prior] | None = None,
        estimator: GradientEstimator | None = None,
        gradient_filter: GradientFilter | None = None,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        labels: str | int | list[int | str] = "all",
        restarts: int = 1,
        starts: int = 1,
        max_iterations: int = 5000,
        beta: int | None = None,
        stagnation_rule: Literal["algorithm", "patience"] = "algorithm",
        gamma: float | None = None,
        block: int = 50,
        chunk_size: int | None = None,
        seed: int = 0,
    ) -> None:
        """Check the numbers; files are opened when the attack starts."""
        super().__init__()
        counts = {"restarts": restarts, "starts": starts, "max_iterations": max_iterations, "block": block}
        for name, value in counts.items():
            if value < 1:
                raise InputError(f"{name} >= 1", value, f"--model.{name}")
        if chunk_size is not None and chunk_size < 1:
            raise InputError("chunk_size >= 1", chunk_size, "--model.chunk_size")
        if query_budget is not None and query_budget < 1:
            raise InputError("query_budget >= 1", query_budget, "--model.query_budget")
        if seed < 0:
            raise InputError("seed >= 0", seed, "--model.seed")
        self._stops: list[Callback] = []
        if beta is not None:
            self._stops.append(StagnationStop(beta, stagnation_rule))
        if gamma is not None:
            self._stops.append(TargetCostStop(gamma))
        self.automatic_optimization = False
        self.classifier_ckpt, self._target, self._complete = classifier_ckpt, target, False
        self.access, self.defenses, self.query_budget = access, list(defenses or []), query_budget
        self.space, self.cost = space or PixelSpace(), cost or OneMinusConfidence()
        self.priors: list[Prior] = list(priors or [])
        self.estimator, self.gradient_filter = estimator or Autograd(), gradient_filter
        self.optimizer_factory = optimizer
        self.labels, self.restarts, self.starts, self.seed = labels, restarts, starts, seed
        self.max_iterations, self.beta, self.gamma, self.stagnation_rule = max_iterations, beta, gamma, stagnation_rule
        self.block, self.chunk_size = block, chunk_size
        self.stop_requested = False
        self.shown: dict[str, float] = {}
        self.failure: TargetError | None = None
        self._result: InversionResult | None = None
        self._objective: Objective | None = None

    # ------------------------------------------------------------------------------------------------ the parts

    @property
    def target(self) -> Target:
        """The target behind its defenses, loaded from ``classifier_ckpt`` at the first use.

        Raises:
            InputError: If neither or both of target and checkpoint were given, a defense does not fit, or the attack
                needs gradients that the target does not give.
            MIError: If the checkpoint cannot be used.
        """
        if self._target is None or not self._complete:
            self._target, self._complete = defend(self._make_target(), self.defenses), True
        if self.estimator.needs_gradients and not self._target.differentiable:
            raise InputError(
                "a target that gives gradients, or an estimator that only queries",
                f"{type(self._target).__name__} with {type(self.estimator).__name__}",
                "--model.estimator",
            )
        return self._target

    def _make_target(self) -> Target:
        """Return the target that was given, or the one of the checkpoint, without defenses."""
        if self._target is not None:
            if self.classifier_ckpt is not None:
                raise InputError("either a checkpoint or a target", "both", "--model.classifier_ckpt, --model.target")
            if self.access == "black_box" and self._target.differentiable:
                got = f"{type(self._target).__name__}, which gives gradients"
                raise InputError("a target that only answers, or a checkpoint", got, "--model.access")
            return self._target
        if self.classifier_ckpt is None:
            raise InputError("a checkpoint or a target to attack", "neither", "--model.classifier_ckpt")
        classifier, digest = load_classifier(self.classifier_ckpt), file_digest(self.classifier_ckpt)
        make = WhiteBox if self.access == "white_box" else BlackBox.of
        return make(classifier, checkpoint=str(self.classifier_ckpt), checkpoint_sha256=digest)

    @property
    def result(self) -> InversionResult:
        """What was found, after the attack.

        Raises:
            RuntimeError: If the attack has not run.
        """
        if self._result is None:
            raise RuntimeError("no result yet: run InversionTrainer().invert(attack) first")
        return self._result

    @property
    def has_result(self) -> bool:
        """Whether the attack has run."""
        return self._result is not None

    @property
    def total_rows(self) -> int:
        """Rows of the attack on all processes."""
        return len(parse_labels(self.labels, self.target.class_names)) * self.restarts

    @property
    def iteration(self) -> int:
        """Iterations done on the rows in the batch."""
        return self._batch.iteration

    @property
    def active(self) -> Tensor:
        """Rows in the batch that have not stopped, shape (R,), bool."""
        return self._batch.active

    @property
    def cost_now(self) -> Tensor:
        """Cost with priors of the candidates, shape (R,)."""
        return self._batch.cost

    @property
    def best_cost(self) -> Tensor:
        """Least cost so far, shape (R,)."""
        return self._batch.best_cost

    @property
    def best_candidate(self) -> Tensor:
        """Candidate of the least cost so far, shape (R, *candidate_shape)."""
        return self._batch.best_candidate

    @property
    def chunks(self) -> int:
        """Attacks on this process, one after another: chunks of rows, each in as many stages as the space has."""
        return math.ceil(len(self._own_rows) / self._chunk) * self.space.stages

    @property
    def chunks_done(self) -> int:
        """How many of these have ended."""
        return len(self._finished) * self.space.stages + self._stage

    def describe(self) -> dict[str, Any]:
        """Return what a report says of the attack: plain values only."""
        optimizer = self.optimizer_factory([nn.Parameter(torch.zeros(1))])
        settings = {
            name: value
            for name, value in optimizer.param_groups[0].items()
            if name != "params" and isinstance(value, int | float | str | bool | tuple)
        }
        return {
            "space": _describe(self.space),
            "cost": _describe(self.cost),
            "priors": [_describe(prior) for prior in self.priors],
            "estimator": _describe(self.estimator),
            "gradient_filter": None if self.gradient_filter is None else _describe(self.gradient_filter),
            "optimizer": {"class": type(optimizer).__name__, **settings},
            "alpha": self.max_iterations,
            "beta": self.beta,
            "stagnation_rule": self.stagnation_rule if self.beta is not None else None,
            "gamma": self.gamma,
            "query_budget": self.query_budget,
            "restarts": self.restarts,
            "starts": self.starts,
            "seed": self.seed,
            "block": self.block,
        }

    # ------------------------------------------------------------------------------------------------ Lightning hooks

    def configure_callbacks(self) -> list[Callback]:
        """Give the stop rules of beta and gamma to the trainer, in the order in which Algorithm 1 checks them."""
        return self._stops

    def preflight(self) -> None:
        """Try everything that can be wrong with the attack, so that a mistake is told before a file is written.

        Raises:
            InputError: If a label is unknown, a part does not fit the target, a start cannot be read, or the optimizer
                cannot be used.
            MIError: If the checkpoint cannot be used.
        """
        rows = Rows.grid(parse_labels(self.labels, self.target.class_names), 1, seed=self.seed)
        self.space.bind(self.target)
        self.cost.bind(self.target)
        candidate = nn.Parameter(self.space.initial(rows.select(slice(0, 1))))
        try:
            optimizer = self.optimizer_factory([candidate])
        except (ValueError, TypeError) as error:
            raise InputError("an optimizer that can be made", f"{error}", "--model.optimizer") from error
        if isinstance(optimizer, torch.optim.LBFGS):
            raise InputError("an optimizer that needs no closure", type(optimizer).__name__, "--model.optimizer")
        if self.starts > 1 and self.space.stages > 1:
            raise InputError(f"starts 1 for {type(self.space).__name__}", self.starts, "--model.starts")

    def setup(self, stage: str) -> None:
        """Load the target, choose the rows of this process and place the first chunk."""
        target = self.target
        rows = Rows.grid(parse_labels(self.labels, target.class_names), self.restarts, seed=self.seed)
        world = self.trainer.world_size
        target.restart(self.query_budget)
        self.space.bind(target)
        self.cost.bind(target)
        self._objective = Objective(target, self.space, self.cost, self.priors)
        self._own_rows = rows.select(slice(self.trainer.global_rank, None, world))
        self._chunk = self.chunk_size or len(self._own_rows)
        self._waiting = [
            self._own_rows.select(slice(start, start + self._chunk))
            for start in range(0, len(self._own_rows), self._chunk)
        ]
        self._finished: list[InversionResult] = []
        self._stage, self._stages_done = 0, list[InversionResult]()
        self._result, self.failure = None, None
        self.rows = self._chunk_rows = self._waiting.pop(0)
        self.candidate = nn.Parameter(self.space.initial(self.rows))

    def train_dataloader(self) -> Iterable[int]:
        """One number per block: the iterations are the data."""
        return range(math.ceil(self.max_iterations / self.block) * self.chunks)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimizer over the candidates."""
        return self.optimizer_factory([self.candidate])

    def on_train_start(self) -> None:
        """Tell the callbacks and evaluate the initial candidates."""
        self._callbacks = [c for c in self.trainer.callbacks if isinstance(c, InversionCallback)]  # type: ignore[attr-defined]
        self._optimizer: torch.optim.Optimizer = self.optimizers().optimizer  # type: ignore[union-attr]
        # hooks of the inner loop that nobody has filled would cost more than some that do something
        self._on_candidate_update = [c.on_candidate_update for c in self._callbacks if _fills(c, "on_candidate_update")]
        self._on_iteration_end = [c.on_iteration_end for c in self._callbacks if _fills(c, "on_iteration_end")]
        for callback in self._callbacks:
            callback.on_inversion_start(self.trainer, self)
        self._start_chunk()

    def on_train_batch_start(self, batch: int, batch_idx: int) -> int | None:
        """End the epoch when no row is left."""
        return -1 if len(self.rows) == 0 else None

    def training_step(self, batch: int, batch_idx: int) -> None:
        """Run one block of iterations."""
        optimizer = self.optimizers()
        iterations = min(self.block, self.max_iterations - self._batch.iteration)
        for k in range(iterations):
            if self._budget_spent():
                self.deactivate(torch.ones_like(self._batch.active), "query_budget")
                break
            done = self._batch.iteration
            try:
                # one step a block goes through Lightning's wrapper, which keeps `global_step` and checkpoints alive
                self._iterate(optimizer if k == iterations - 1 else self._optimizer)  # type: ignore[arg-type]
            except TargetError as failure:
                self.failure, self._batch.iteration = failure, done
                self.deactivate(torch.ones_like(self._batch.active), "target_error")
                break
            if self.stop_requested:
                self.deactivate(torch.ones_like(self._batch.active), "interrupted")
                break
            if not self.estimator.needs_gradients and not bool(self._batch.active.all()):
                self._settle()  # a query is dear: a stopped row leaves at once, not at the end of the block
                if len(self.rows) == 0:
                    break
        if len(self.rows):
            self._end_block()
        if len(self.rows) == 0 and self._waiting and not self.stop_requested and self.failure is None:
            try:
                self._next_chunk()
            except TargetError as failure:
                self.failure, self.rows = failure, self.rows.select(slice(0))  # these rows have found nothing

    def on_train_end(self) -> None:
        """Gather the rows of all processes and hand them to the callbacks."""
        if len(self.rows):  # a limit of the trainer came before the rows' own
            self.deactivate(torch.ones_like(self._batch.active), "interrupted")
            self._settle()
        own = InversionResult.concatenate(self._finished)
        self._result = self._gather(own)
        for callback in self._callbacks:
            callback.on_inversion_end(self.trainer, self, self._result)

    # ------------------------------------------------------------------------------------------------ one iteration

    def _iterate(self, optimizer: torch.optim.Optimizer) -> None:
        """Update all rows once and evaluate them."""
        candidate, batch = self.candidate, self._batch
        gradient = batch.gradient
        if gradient is None:
            gradient = self.estimator.gradient(self._objective_(), candidate, self.rows, batch.label)
        candidate.grad = gradient if self.gradient_filter is None else self.gradient_filter(gradient)
        optimizer.step()
        self.space.constrain_(candidate.data)
        batch.iteration += 1
        for on_candidate_update in self._on_candidate_update:
            on_candidate_update(self.trainer, self, batch.iteration)
        self._record(self._evaluate())
        for on_iteration_end in self._on_iteration_end:
            on_iteration_end(self.trainer, self, batch.iteration, batch.cost)

    def _evaluate(self) -> Evaluation:
        """Evaluate the candidates; the target knows which rows ask."""
        with self.target.asking(self.rows.keys):
            return self.estimator.evaluate(self._objective_(), self.candidate, self.rows, self._batch.label)

    def _budget_spent(self) -> bool:
        """Whether one more iteration would take the active rows, which all asked the same number, over the budget."""
        if self.query_budget is None:
            return False
        before = max((int(part.queries.max()) for part in self._stages_done), default=0)
        return before + int(self._queries(self._batch.iteration + 1)) > self.query_budget

    def _queries(self, iterations: Tensor | int) -> Tensor:
        """Queries of a row in so many iterations: each iterate is evaluated, x_0 included; gradients cost the rest."""
        evaluation = self.estimator.queries_per_evaluation
        gradient = self.estimator.queries_per_gradient(self.candidate.shape[1:].numel())
        first = evaluation if self.starts == 1 else (self.starts + 1) * evaluation
        return torch.as_tensor(first + iterations * (evaluation + gradient)) * self.space.queries_per_candidate

    def _record(self, evaluation: Evaluation) -> None:
        """Keep cost and candidate of the active rows that are better than before."""
        batch = self._batch
        batch.cost, batch.bare, batch.gradient = cost, bare, _ = evaluation
        improved = (cost < batch.best_cost).logical_and_(batch.active)
        batch.best_cost = torch.where(improved, cost, batch.best_cost)
        batch.best_bare = torch.where(improved, bare, batch.best_bare)
        copy_rows_(batch.best_candidate, self.candidate.data, improved)
        self.deactivate(cost.isfinite().logical_not_(), "diverged")

    def deactivate(self, rows: Tensor, reason: str) -> None:
        """Stop rows at the present iteration; rows that have stopped already stay as they are.

        Args:
            rows: Mask of the rows to stop, shape (R,), bool, on the device of the candidates.
            reason: One of :data:`~mi_lightning.attacks.STOP_REASONS`.
        """
        batch = self._batch
        stopping = rows & batch.active
        batch.stop_code.masked_fill_(stopping, STOP_REASONS.index(reason))
        batch.stop_iteration.masked_fill_(stopping, batch.iteration)
        batch.active ^= stopping

    # ------------------------------------------------------------------------------------------------ blocks and chunks

    def _start_chunk(self) -> None:
        """Make the per-row state of the rows in the batch and evaluate their initial candidates."""
        count = len(self.rows)
        self._batch = _Batch.start(self.rows.label, self.candidate.data)
        self._seconds = torch.zeros(count, dtype=torch.float64)  # of all rows of the chunk, stopped or not
        self._tick = time.perf_counter()
        self._left: list[InversionResult] = []  # rows of this chunk that have stopped
        self._left_index: list[int] = []
        self._index = torch.arange(count)  # place in the chunk of each row in the batch
        self.estimator.reset()
        self._record(self._evaluate())
        if self.starts > 1:
            self._try_starts()
        for callback in self._callbacks:
            callback.on_chunk_start(self.trainer, self)

    def _try_starts(self) -> None:
        """Evaluate further initial candidates and go on from the best of each row."""
        device = self.candidate.device
        for _ in range(self.starts - 1):
            self.candidate.data = self.space.initial(self.rows).to(device)
            self._record(self._evaluate())
        self.candidate.data = self._batch.best_candidate.clone()
        # the least of many noisy costs is too good to be true: the chosen start is evaluated afresh
        self._batch = _Batch.start(self.rows.label, self.candidate.data)
        self._record(self._evaluate())

    def _next_chunk(self) -> None:
        """Put the next chunk of rows into the batch."""
        self.rows = self._chunk_rows = self._waiting.pop(0)
        self._place(self.space.initial(self.rows))

    def _place(self, candidate: Tensor) -> None:
        """Begin with other candidates for the rows in the batch."""
        self.candidate.data = candidate.to(self.candidate.device)
        self.candidate.grad = None
        self._optimizer.state.clear()
        self._start_chunk()

    def _end_block(self) -> None:
        """Log, tell the callbacks, and let the rows leave that have stopped."""
        if self._batch.iteration >= self.max_iterations:
            self.deactivate(torch.ones_like(self._batch.active), "max_iterations")
        # one look at the device for all numbers; `log_dict` would cost as much as several iterations
        names = ("invert/cost", "invert/confidence", "invert/active_rows")
        cost, bare = self._batch.best_cost, self._batch.best_bare
        values = torch.stack([cost.mean(), self.cost.confidence(bare).mean(), self._batch.active.sum().to(cost)])
        self.shown = dict(zip(names, values.tolist(), strict=True))
        for logger in self.loggers:
            logger.log_metrics(self.shown, step=self._batch.iteration)
        for callback in self._callbacks:
            callback.on_block_end(self.trainer, self, self._batch.iteration)
        self._share_time()
        self._settle()

    def _settle(self) -> None:
        """Take stopped rows out of the batch. The one place where the host waits for the device."""
        keep = self._batch.active.nonzero()[:, 0]
        if len(keep) == len(self.rows):
            return
        self._share_time()
        gone = (~self._batch.active).nonzero()[:, 0].cpu()
        self._left.append(self._snapshot().select(gone))
        self._left_index += self._index[gone].tolist()
        self._keep(keep)
        if len(self.rows) == 0:
            order = torch.tensor(self._left_index).argsort()
            self._end_stage(InversionResult.concatenate(self._left).select(order))

    def _end_stage(self, found: InversionResult) -> None:
        """Go on with the next stage of the chunk, or put its result together."""
        if self.space.stages > 1 and self.estimator.needs_gradients:  # a ledger has counted all stages
            before = self._stages_done[-1].queries if self._stages_done else 0
            found = replace(found, queries=found.queries + before)
        self._stages_done.append(found)
        if self._stage + 1 < self.space.stages and not self._affords(found, int(self._queries(0))):
            found = replace(found, stop_reason=("query_budget",) * len(found))
        if self._stage + 1 < self.space.stages and _OUT_OF_TIME.isdisjoint(found.stop_reason):
            following = self.space.next_stage(self._stage, found.candidate)
            self._stage += 1
            self.rows = self._chunk_rows
            try:
                self._place(following)
            except TargetError as failure:  # what the earlier stages found is kept
                self.failure, self.rows = failure, self.rows.select(slice(0))
                found = replace(found, candidate=following.cpu(), stop_reason=("target_error",) * len(found))
            else:
                return
        if self.space.stages > 1 or not self.cost.tells_confidence:
            found = self._put_together(found)
        self._finished.append(found)
        self._stage, self._stages_done = 0, []

    def _affords(self, found: InversionResult, queries: int) -> bool:
        """Whether the budget allows each row so many queries more."""
        return self.query_budget is None or int(found.queries.max()) + queries <= self.query_budget

    @torch.no_grad()
    def _put_together(self, found: InversionResult) -> InversionResult:
        """Return the result of all stages of a chunk: effort summed up, outcome asked for once more."""
        final, rows, device = self.space.final, self._chunk_rows, self.candidate.device
        candidate = self.space.finish(self._stage, found.candidate)
        on_device, label = candidate.to(device), rows.label.to(device)
        objective, each = Objective(self.target, final, self.cost, ()), final.queries_per_candidate
        cost, confidence, asked = found.cost, found.confidence, 0
        # an attack that was stopped from outside does not ask again
        if _OUT_OF_TIME.isdisjoint(found.stop_reason) and self._affords(found, 2 * each):
            try:
                with self.target.asking(rows.keys):
                    if self.space.stages > 1:
                        cost, _ = objective(on_device, label)
                        asked += each
                    confidence = self.cost.confidence(cost)
                    if not self.cost.tells_confidence:
                        answers = objective.view.confidences(final.present(on_device))
                        confidence = answers.gather(1, label[:, None])[:, 0]
                        asked += each
            except TargetError as failure:
                self.failure = failure
        return replace(
            found,
            candidate=candidate,
            reconstruction=final.decode(on_device).float().cpu(),
            cost=cost.float().cpu(),
            confidence=confidence.float().nan_to_num(0.0).clamp(0, 1).cpu(),
            iterations=torch.stack([part.iterations for part in self._stages_done]).sum(0),
            seconds=torch.stack([part.seconds for part in self._stages_done]).sum(0),
            queries=found.queries + asked,
        )

    def _share_time(self) -> None:
        """Split the time since the last call evenly over the rows in the batch."""
        now = time.perf_counter()
        self._seconds[self._index] += (now - self._tick) / len(self._index)
        self._tick = now

    @torch.no_grad()
    def _snapshot(self) -> InversionResult:
        """Return the best iterates of the rows in the batch as they are now."""
        iterations = torch.where(self._batch.active, self._batch.iteration, self._batch.stop_iteration).cpu()
        names = self.target.class_names
        return InversionResult(
            label=self.rows.label,
            name=tuple(names[label] for label in self.rows.label.tolist()),
            restart=self.rows.restart,
            candidate=self._batch.best_candidate.cpu(),
            reconstruction=self.space.decode(self._batch.best_candidate).float().cpu(),
            cost=self._batch.best_cost.float().cpu(),
            confidence=self.cost.confidence(self._batch.best_bare).float().nan_to_num(0.0).clamp(0, 1).cpu(),
            iterations=iterations,
            stop_reason=tuple(STOP_REASONS[code] for code in self._batch.stop_code.tolist()),
            queries=self._queries_asked(iterations),
            seconds=self._seconds[self._index],
        )

    def _queries_asked(self, iterations: Tensor) -> Tensor:
        """Queries of each row in the batch until it stopped, shape (R,)."""
        if self.estimator.needs_gradients:  # a stopped row stays in the batch until the end of its block
            return self._queries(iterations)
        return torch.tensor([self.target.ledger.of(key) for key in self.rows.keys], dtype=torch.int64)

    def progress(self) -> InversionResult:
        """Return the best iterates so far of the rows that have been started on this process, in row order."""
        running = [*self._left, self._snapshot()] if len(self.rows) else []
        order = torch.tensor([*self._left_index, *self._index.tolist()], dtype=torch.int64).argsort()
        chunk = [InversionResult.concatenate(running).select(order)] if running else []
        return InversionResult.concatenate([*self._finished, *chunk])

    def best_reconstructions(self) -> Tensor:
        """Return the best iterates so far, decoded, of the rows of :meth:`progress`, shape (R, *input_shape), CPU."""
        return self.progress().reconstruction

    def _keep(self, keep: Tensor) -> None:
        """Go on with the chosen rows: every tensor with a place per row is indexed."""
        old = self.candidate.data
        self.candidate.data = old[keep]
        self.candidate.grad = None
        for state in self._optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.shape == old.shape:
                    state[name] = value[keep]
        on_host = keep.cpu()
        self.rows, self._index = self.rows.select(on_host), self._index[on_host]
        self._batch.keep(keep)
        for callback in self._callbacks:
            callback.on_rows_kept(self.trainer, self, keep)

    def _gather(self, own: InversionResult) -> InversionResult:
        """Return the rows of all processes in the order of one process."""
        world = self.trainer.world_size
        if world == 1:
            return own
        parts: list[InversionResult | None] = [None] * world
        torch.distributed.all_gather_object(parts, own)
        joined = InversionResult.concatenate([part for part in parts if part is not None])
        lengths = [len(part) for part in parts if part is not None]
        place = [rank + world * i for rank, length in enumerate(lengths) for i in range(length)]
        return joined.select(torch.tensor(place).argsort())

    def _objective_(self) -> Objective:
        """Return the objective."""
        if self._objective is None:
            raise RuntimeError("the attack has not been set up: run InversionTrainer().invert(attack)")
        return self._objective


def _fills(callback: InversionCallback, hook: str) -> bool:
    """Whether a callback does something in a hook."""
    return getattr(type(callback), hook) is not getattr(InversionCallback, hook)


def copy_rows_(out: Tensor, source: Tensor, mask: Tensor) -> None:
    """Copy the rows of ``source`` where ``mask`` is set into ``out``, in place, without waiting for the device.

    Args:
        out: Shape (R, ...), contiguous.
        source: Same shape and type; values that are not finite are harmless where the mask is not set.
        mask: Shape (R,), bool.
    """
    wide, source = out.flatten(1), source.flatten(1)
    # `where` costs by the element, not by the byte: copying words of 16 bytes is several times faster; nothing is
    # computed with them
    if wide.dtype == torch.float32 and wide.shape[1] % 4 == 0 and wide.device.type in ("cpu", "cuda"):
        wide, source = wide.view(torch.complex128), source.view(torch.complex128)
    torch.where(mask[:, None], source, wide, out=wide)


def _describe(part: object) -> dict[str, Any]:
    """Class and plain settings of a part."""
    settings: dict[str, Any] = {}
    for name, value in vars(part).items():
        if name.startswith("_") or name == "training":
            continue
        if isinstance(value, int | float | str | bool) or value is None:
            settings[name] = value
        elif type(value).__module__.startswith("mi_lightning."):
            settings[name] = _describe(value)
    for name, child in part.named_children() if isinstance(part, nn.Module) else ():
        if isinstance(child, nn.ModuleList):
            settings[name] = [_describe(each) for each in child]
        elif type(child).__module__.startswith("mi_lightning."):
            settings[name] = _describe(child)
    return {"class": type(part).__name__, **settings}
