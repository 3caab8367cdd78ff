"""Logistic regression by scikit-learn's solver."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mi_lightning.classifiers.base import Classifier
from mi_lightning.data.base import Batch
from mi_lightning.errors import InputError


class LogisticRegression(Classifier):
    """scikit-learn's multinomial logistic regression on the flattened sample: 4096 -> 40 for the Olivetti faces.

    The weights minimise the sum of the cross-entropy over the training samples plus ``|W|^2 / (2 c)``, found by L-BFGS
    in double precision from all samples at once. One epoch of a Lightning ``fit`` hands them to the solver, whatever
    their batches and order, and ends the training. What it finds is kept in a torch layer, so that checkpoints, attacks
    with gradients and attacks by queries work as with any classifier.

    Unlike `SoftmaxRegression`, which is the same model without the penalty, trained for as long as one likes, it has
    one solution.

    Args:
        c: Inverse strength of the penalty, above 0: ``C`` of scikit-learn.
        max_iter: Iterations of the solver at most.
        tol: The solver stops when no component of the gradient of its objective (in scikit-learn the mean over the
            samples) is above this.
        **classifier: The arguments of `Classifier`, but optimizer and schedule.

    Raises:
        InputError: If a number is out of its range; when it is fitted, also if a person has no training sample.

    Example:
        >>> classifier = LogisticRegression(input_shape=(1, 4, 4), num_classes=3)
        >>> classifier(torch.zeros(2, 1, 4, 4)).shape, classifier.predict_proba(np.zeros((2, 16))).shape
        (torch.Size([2, 3]), (2, 3))
    """

    head: nn.Linear

    def __init__(
        self,
        *,
        c: float = 1.0,
        max_iter: int = 1000,
        tol: float = 1e-4,
        **classifier: Any,
    ) -> None:
        # given here, they are no arguments of this class: the solver has no use for them
        super().__init__(optimizer=torch.optim.SGD, lr_scheduler=None, **classifier)
        for name, value in (("c", c), ("max_iter", max_iter), ("tol", tol)):
            if not value > 0:
                raise InputError(f"{name} > 0", value, field=name)
        self.c, self.max_iter, self.tol = c, max_iter, tol
        self.automatic_optimization = False  # the solver updates the weights
        self.head = nn.Linear(torch.Size(self.input_shape).numel(), self.num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._gathered: list[Batch] = []
        self.remember()

    def features(self, x: Tensor) -> Tensor:
        """The sample itself, flattened, (N, F)."""
        return x.flatten(1)

    def predict_proba(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Confidences, (N, num_classes), in double precision, of samples (N, F) or (N, *input_shape).

        Raises:
            InputError: If the samples have another size.
        """
        weight, bias = (value.detach().double().cpu().numpy() for value in (self.head.weight, self.head.bias))
        size = weight.shape[1]
        if x.shape[1:] not in ((size,), self.input_shape):
            shape = ", ".join(map(str, self.input_shape))
            raise InputError(f"samples of shape (N, {size}) or (N, {shape})", x.shape)
        logits = x.reshape(len(x), size).astype(np.float64) @ weight.T + bias
        exponential = np.exp(logits - logits.max(1, keepdims=True))
        confidences: NDArray[np.float64] = exponential / exponential.sum(1, keepdims=True)
        return confidences

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Use no optimizer of torch."""
        return []

    def on_fit_start(self) -> None:
        """Refuse several devices: each would solve for its own share of the samples.

        Raises:
            InputError: If there are several.
        """
        super().on_fit_start()
        self._gathered.clear()
        if self.trainer.world_size > 1:
            raise InputError("1 device for scikit-learn's solver", self.trainer.world_size, field="devices")

    def training_step(self, batch: Batch, batch_idx: int) -> None:  # type: ignore[override]
        """Gather a batch for the solver."""
        x, y = batch
        self._gathered.append((x.cpu(), y.cpu()))

    def on_train_epoch_end(self) -> None:
        """Solve, take over the weights, log how well they do on the training samples, and end the training."""
        x, y = (torch.cat(parts) for parts in zip(*self._gathered, strict=True))
        self._gathered.clear()
        weight, bias = self._solve(x.flatten(1), y)
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.copy_(bias)
            logits = self(x.to(self.device))
        y = y.to(self.device)
        self.train_loss.update(cross_entropy(logits, y), len(y))
        self.train_accuracy.update(logits, y)
        super().on_train_epoch_end()
        self.trainer.should_stop = True

    def _solve(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights, (num_classes, F), and biases, (num_classes,), in double precision.

        Raises:
            InputError: If a person has no sample.
        """
        from sklearn.exceptions import ConvergenceWarning  # a second that a help text need not wait for
        from sklearn.linear_model import LogisticRegression as Solver

        found = y.unique()
        if len(found) < self.num_classes:
            raise InputError(f"training samples of all {self.num_classes} people", f"{len(found)} people")
        solver = Solver(C=self.c, max_iter=self.max_iter, tol=self.tol)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said below, with the argument
            solver.fit(x.double().numpy(), y.numpy())
        iterations = int(solver.n_iter_.max())
        self.training_info["solver_iterations"] = iterations
        if iterations >= self.max_iter:
            rank_zero_warn(f"the solver was stopped after {iterations} iterations, before its end (max_iter)")
        weight, bias = torch.from_numpy(solver.coef_), torch.from_numpy(solver.intercept_)
        if len(weight) == 1:  # two people: scikit-learn keeps the difference of their logits
            weight, bias = torch.cat((-weight / 2, weight / 2)), torch.cat((-bias / 2, bias / 2))
        return weight, bias
