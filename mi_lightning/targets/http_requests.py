"""Inputs go to a server in requests, several at a time; answers come back in their order, and that is checked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Literal

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mi_lightning.errors import MIError
from mi_lightning.targets.base import TargetError
from mi_lightning.targets.http_bodies import Bodies
from mi_lightning.targets.http_client import Server, UnansweredError

_log = logging.getLogger(__name__)

Canary = Literal["start", "always", "off"]

_GIVE_UP = 3  # requests in a row without an answer, each asked again as often as allowed: the server is down
_REFUSED = 64  # inputs in a row that the server cannot answer: it can answer none
_FEWER_RETRIES = 2  # while the input that a request fails by is looked for
_SAME = 1e-3  # two answers to one input, alone and among others, differ by less
_ORDER = "give id_key if it can return a number with each answer, or max_batch 1"


@dataclass
class Heard:
    """What was said of a number of inputs: answers, and what got none.

    Attributes:
        said: Answers, (n, C) or (n,); of those that got none the row says nothing.
        missing: Why an input got no answer, by its place.
    """

    said: Tensor
    missing: dict[int, str] = field(default_factory=dict)

    @classmethod
    def join(cls, parts: list[Heard]) -> Heard:
        """Put what was heard of consecutive batches together."""
        missing, start = {}, 0
        for part in parts:
            missing.update({start + place: why for place, why in part.missing.items()})
            start += len(part.said)
        return cls(torch.cat([part.said for part in parts]), missing)


class Requests:
    """Asks a server about any number of inputs.

    Args:
        server: The server.
        bodies: What inputs and answers look like.
        batch: Inputs in a request.
        concurrency: Requests at a time.
        canary: When the order of answers is checked.
        probes: Inputs for that, as they are sent, shape (n, ...).

    Attributes:
        check_queries: Inputs that were asked for to check the order.
    """

    def __init__(
        self, server: Server, bodies: Bodies, *, batch: int, concurrency: int, canary: Canary, probes: Tensor
    ) -> None:
        """Ask nothing yet."""
        self.server, self.bodies, self.batch, self.concurrency = server, bodies, batch, concurrency
        self.canary, self.check_queries, self._probes = canary, 0, probes
        self._alone: Tensor | None = None  # what is said of each probe by itself
        self._asked_batches = self._silent = 0

    def __call__(self, given: Tensor) -> Heard:
        """Ask about inputs as they are sent, shape (n, ...).

        Raises:
            MIError: If what will not pass is wrong, or the server has gone.
        """
        self.server.stop.clear()
        self._silent = 0
        if self.canary != "off" and self._alone is None:
            self._check_order()
        heard = Heard.join(list(self._batches(given)))
        if len(heard.said) != len(given):
            raise RuntimeError(f"{len(heard.said)} answers to {len(given)} inputs")
        return heard

    def _batches(self, given: Tensor) -> Iterator[Heard]:
        """Give what is heard of each batch, in their order."""
        batches = list(given.split(self.batch))
        if len(batches) == 1 or self.concurrency == 1:
            yield from map(self._one, batches)
            return
        with ThreadPoolExecutor(min(self.concurrency, len(batches))) as pool:
            try:
                futures = [pool.submit(self._or_stop, batch) for batch in batches]
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                errors = [error for future in done if (error := future.exception()) is not None]
                # what was wrong, before those that only gave up since something was
                for error in sorted(errors, key=lambda error: isinstance(error, UnansweredError) and not error.final):
                    raise error
                yield from (future.result() for future in futures)
            finally:
                self.server.stop.set()
                pool.shutdown(cancel_futures=True)
                self.server.stop.clear()

    def _or_stop(self, given: Tensor) -> Heard:
        """Ask for one batch; where that ends everything, no other request waits or begins."""
        try:
            return self._one(given)
        except BaseException:
            self.server.stop.set()
            raise

    def _one(self, given: Tensor) -> Heard:
        """Ask for one batch, with a canary among it if there is to be one."""
        if self.canary != "always" or self._alone is None:
            return self._request(given, self.server.retries)
        probes, alone = self._probes, self._alone
        self._asked_batches += 1
        which, place = self._asked_batches % len(probes), self._asked_batches * 7 % (len(given) + 1)
        heard = self._request(torch.cat((given[:place], probes[which : which + 1], given[place:])), self.server.retries)
        self.check_queries += 1
        if place not in heard.missing and _distance(heard.said[place], alone[which]) > _SAME:
            raise TargetError(
                f"{self.server.shown_url} answers in another order than it was asked, or at random; {_ORDER}"
            )
        keep = [row for row in range(len(heard.said)) if row != place]
        missing = {row - (row > place): why for row, why in heard.missing.items() if row != place}
        return Heard(heard.said[keep], missing)

    def _request(self, given: Tensor, retries: int) -> Heard:
        """Ask for one batch; where the server cannot answer it, for its halves, to the input that it fails by."""
        ids = list(range(len(given)))
        try:
            said = self.server.post(
                self.bodies.question(given, ids), lambda content: self.bodies.answers(content, ids), retries
            )
        except UnansweredError as error:
            if error.final or self.server.stop.is_set():
                raise
            if error.about_input and len(given) > 1:
                half, fewer = len(given) // 2, min(retries, _FEWER_RETRIES)
                parts = [self._request(part, fewer) for part in (given[:half], given[half:])]
                return Heard.join(parts)
            self._silent += 1
            if self._silent >= (_REFUSED if error.about_input else _GIVE_UP):
                raise UnansweredError(f"{error}; {self._silent} requests in a row", final=True) from None
            nothing = (len(given),) if self.bodies.label_only else (len(given), len(self.bodies.class_names))
            dtype = torch.int64 if self.bodies.label_only else torch.float64
            return Heard(torch.zeros(nothing, dtype=dtype), dict.fromkeys(ids, self.server.redacted(str(error))))
        self._silent = 0
        return Heard(said)

    def _check_order(self) -> None:
        """Ask for some inputs alone and together.

        Raises:
            TargetError: If the answers to all together fit another order better.
        """
        given = self._probes
        parts = [self._request(one, self.server.retries) for one in given.split(1)]
        together = [self._request(part, self.server.retries) for part in given.split(self.batch)]
        self.check_queries += 2 * len(given)
        alone, batch = Heard.join(parts), Heard.join(together)
        for heard in (alone, batch):
            if heard.missing:
                raise MIError(next(iter(heard.missing.values())))
        apart = torch.stack([torch.stack([_distance(one, other) for other in alone.said]) for one in batch.said])
        in_order, other_order = float(apart.diagonal().sum()), float(apart[linear_sum_assignment(apart.numpy())].sum())
        if in_order > _SAME and other_order < in_order / 2:
            raise TargetError(f"{self.server.shown_url} answers in another order than it was asked; {_ORDER}")
        if float(apart.diagonal().max()) > _SAME:
            _log.warning("%s answers an input alone otherwise than among others, or at random", self.server.shown_url)
        self._alone = alone.said


def _distance(one: Tensor, other: Tensor) -> Tensor:
    """Greatest difference of two answers; 1 of two labels that differ."""
    return (one != other).double() if one.ndim == 0 else (one - other).abs().amax()
