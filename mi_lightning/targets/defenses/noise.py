"""Noisy confidences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.targets.base import renormalise
from mi_lightning.targets.defenses.base import Defense, Gradient


class GaussianNoise(Defense):
    """Add Gaussian noise to each confidence, fresh at each query, clip to [0, 1] and renormalise.

    Each row of an attack hears noise of its own, from a generator that is seeded by the defense's seed and the row's
    key and advances with the row's queries. So what a row hears depends neither on the rows that it runs with nor on
    how its questions are batched. Whoever asks outside an attack shares one more generator.

    What is released when everything is clipped to zero: the uniform vector, never the raw confidences.

    Args:
        sigma: Standard deviation of the noise, in [0, 1]; 0 releases the confidences as they are.
        seed: Seed of the noise.
        gradient: How a white-box attacker differentiates; the true gradient is zero where the noise was clipped.
    """

    def __init__(self, *, sigma: float, seed: int = 0, gradient: Gradient = "true") -> None:
        """Check the arguments."""
        super().__init__(gradient=gradient)
        if not 0 <= sigma <= 1:
            raise InputError("sigma in [0, 1]", sigma, "sigma")
        if seed < 0:
            raise InputError("seed >= 0", seed, "seed")
        self.sigma, self.seed = sigma, seed
        self._streams: dict[int | None, torch.Generator] = {}

    def defend(self, p: Tensor) -> Tensor:
        """Return the noisy confidences, shape (N, C)."""
        if self.sigma == 0:
            return p
        return renormalise((p + self.sigma * self._noise(p)).clamp(0, 1))

    def restart(self, query_budget: int | None = None) -> None:
        """Begin an attack: every row hears its noise from the start again."""
        self._streams.clear()
        super().restart(query_budget)

    def run_state(self) -> dict[str, Any]:
        """Return also how far each row's noise has come."""
        streams = {key: generator.get_state() for key, generator in self._streams.items()}
        return {**super().run_state(), "streams": streams}

    def load_run_state(self, state: Mapping[str, Any]) -> None:
        """Let each row hear its noise from where it was."""
        super().load_run_state(state)
        self._streams = {}
        for key, stream in state["streams"].items():
            self._stream(key).set_state(stream)

    def settings(self) -> dict[str, Any]:
        """Return strength and seed."""
        return {"sigma": self.sigma, "seed": self.seed}

    def _noise(self, p: Tensor) -> Tensor:
        """Standard normal numbers, like ``p``."""
        count = self.ledger.share(len(p))
        draws = [normal(count, p.shape[1], self._stream(key)) for key in self.ledger.askers or (None,)]
        return torch.cat(draws).to(p)

    def _stream(self, key: int | None) -> torch.Generator:
        """The generator of a row."""
        if key not in self._streams:
            entropy = (self.seed,) if key is None else (self.seed, key)
            words = np.random.SeedSequence(entropy).generate_state(2, np.uint32)
            self._streams[key] = torch.Generator().manual_seed(int(words[0]) | (int(words[1]) & 0x7FFFFFFF) << 32)
        return self._streams[key]


def normal(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Return standard normal numbers, shape (count, size), on the CPU, float32.

    Unlike ``torch.randn``, n calls for one line each give the lines of one call for n: Box and Muller's transform of
    uniform numbers that are drawn one after the other.

    Args:
        count: Lines.
        size: Numbers in a line.
        generator: Where the uniform numbers come from.
    """
    radius, angle = torch.rand(count, 2, (size + 1) // 2, generator=generator).unbind(1)
    radius = torch.log1p(-radius).mul_(-2).sqrt_()  # of 1 - u, which is never 0
    angle = angle * (2 * math.pi)
    return torch.cat((radius * angle.cos(), radius * angle.sin()), 1)[:, :size]
