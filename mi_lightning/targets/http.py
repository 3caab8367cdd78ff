"""A target behind HTTP: every question is a request, which may fail, be slow, or cost money."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from mi_lightning.classifiers.base import check_inputs
from mi_lightning.errors import InputError, MIError
from mi_lightning.targets.answers import certainties_of, checked_tolerance, confidences_of, good_rows
from mi_lightning.targets.base import TargetError
from mi_lightning.targets.black_box import Remote
from mi_lightning.targets.http_bodies import Bodies, Body
from mi_lightning.targets.http_client import Server
from mi_lightning.targets.http_requests import Canary, Heard, Requests
from mi_lightning.targets.outputs import probe_inputs
from mi_lightning.targets.preprocessing import Preprocessing

_log = logging.getLogger(__name__)

_BATCH = 32  # inputs in a request, where nobody says how many


class HttpModel(Remote):
    """A classifier behind HTTP that takes JSON or pictures and answers with JSON. Only audit what you may test.

    Needs ``pip install mi-lightning[http]``. What may pass (a time-out, a cut connection, status 429 and 5xx, a body
    that is no JSON) is asked again, and is counted as ``retries``, not as queries. A row whose question gets no answer
    all the same ends with what it has found; the others go on. What will not pass (a refused token, a redirection,
    answers of another form) ends the attack, which keeps what it has found.

    Answers to a batch must come in its order. That is checked by ``id_key``, or else by asking for six inputs alone and
    together before the first question; ``canary: always`` puts one of these among every batch. What checks ask is
    counted as ``check_queries``.

    Args:
        url: Where it is asked, by POST.
        input_shape: Shape of one input of the data, without the batch.
        num_classes: Number of classes, C.
        class_names: Name of each class, by which answers may name them; ``"0"``, ``"1"``, ... if not given.
        input_range: Lowest and highest value of an input.
        preprocessing: Applied to the inputs before they are sent.
        body: How an input is sent: ``json`` (nested lists of numbers, exact), ``base64`` (float32, little-endian) or
            ``png`` (the file of a form, 8 bits, one input a request: differences below 1/255 are lost).
        single: Whether a request holds one input and its answer, and not lists of them.
        input_path: Key of the inputs in the body, dots between inner keys; the whole body if empty. Of ``png`` the
            field of the form.
        answer_path: Key of the answers in the response, likewise.
        instance_key: Key of an input, if each is an object such as ``{"image": ...}``.
        prediction_key: Key of what counts, if each answer is an object. Otherwise it is a list of C numbers, an object
            of names and numbers, or a list of ``{"label": ..., "score": ...}``; classes that are not named share what
            is left of 1.
        id_key: Key of a number that goes with each input and comes back with its answer, by which these are ordered.
        output: Whether the numbers are probabilities or logits.
        label_only: Whether an answer is a name or an index of a class.
        canary: When the order of answers is checked: at the ``start``, ``always``, or never (``off``).
        token_env: Environment variable that holds a token, which is sent as ``Authorization: Bearer``, and is never
            written anywhere.
        token_header: Another header for the token, which then stands there alone.
        headers: Further headers.
        timeout: Seconds until an answer must be there.
        retries: Times that a request is repeated where that may help.
        backoff: Seconds before the first of these; doubled each time, spread at random. What the server asks for
            (``Retry-After``) is waited for.
        concurrency: Requests at a time.
        rate_limit: Requests in a second, at most; no limit if None.
        tolerance: How far the sum of a row of probabilities may be from 1.
        max_batch: Inputs in a request; 32 if None.
        price_per_query: What one input costs, in any currency; None where nothing is charged.

    Raises:
        InputError: If an argument is wrong, or a secret stands where it would be written down.
        MIError: If httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        input_shape: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        preprocessing: Preprocessing | Callable[[Tensor], Any] | None = None,
        body: Body = "json",
        single: bool = False,
        input_path: str | None = None,
        answer_path: str = "predictions",
        instance_key: str | None = None,
        prediction_key: str | None = None,
        id_key: str | None = None,
        output: Literal["probabilities", "logits"] = "probabilities",
        label_only: bool = False,
        canary: Canary = "start",
        token_env: str | None = None,
        token_header: str = "Authorization",
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        retries: int = 5,
        backoff: float = 0.5,
        concurrency: int = 8,
        rate_limit: float | None = None,
        tolerance: float = 1e-3,
        max_batch: int | None = None,
        price_per_query: float | None = None,
    ) -> None:
        """Check the arguments; nothing is asked yet."""
        super().__init__(
            self._ask,
            input_shape=input_shape,
            num_classes=num_classes,
            class_names=class_names,
            input_range=input_range,
            preprocessing=preprocessing,
            max_batch=max_batch,
            price_per_query=price_per_query,
        )
        choices: dict[str, tuple[str, tuple[str, ...]]] = {
            "body": (body, ("json", "base64", "png")),
            "canary": (canary, ("start", "always", "off")),
        }
        choices["output"] = (output, ("probabilities", "logits"))
        for name, (given, known) in choices.items():
            if given not in known:
                raise InputError(f"{name} {', '.join(known)}", given, name)
        if id_key is not None and instance_key is None:
            raise InputError("instance_key, for inputs that are objects with a number", "none", "instance_key")
        single = single or body == "png"
        if single and max_batch not in (None, 1):
            raise InputError("max_batch 1 for requests of one input", max_batch, "max_batch")
        self.server = Server(
            url,
            token_env=token_env,
            token_header=token_header,
            headers=dict(headers or {}),
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            rate_limit=rate_limit,
            connections=concurrency,
        )
        bodies = Bodies(
            body=body,
            single=single,
            input_path=("file" if body == "png" else "instances") if input_path is None else input_path,
            answer_path=answer_path,
            instance_key=instance_key,
            prediction_key=prediction_key,
            id_key=id_key,
            output=output,
            label_only=label_only,
            class_names=self.class_names,
            input_range=self.input_range,
        )
        grey = torch.full((1, *self.input_shape), sum(self.input_range) / 2)
        bodies.question(self._given(grey), [0])  # told here if it cannot be sent at all
        self.label_only, self.tolerance = label_only, checked_tolerance(tolerance)
        batch = 1 if single else max_batch or _BATCH
        self.requests = Requests(
            self.server,
            bodies,
            batch=batch,
            concurrency=concurrency,
            canary="off" if batch == 1 or id_key is not None else canary,
            probes=self._given(probe_inputs(self.input_shape, self.input_range)),
        )

    @property
    def charged(self) -> int:
        """Inputs asked for so far by attacks, verification and checks of the order."""
        return super().charged + self.requests.check_queries

    def adopt_names(self, names: Sequence[str]) -> None:
        """Take over the names of the people in the data, also for answers that name them."""
        super().adopt_names(names)
        if self.names_from == "data":
            self.requests.bodies = replace(self.requests.bodies, class_names=self.class_names)

    @torch.no_grad()
    def release(self, x: Tensor) -> Tensor:
        """Return what the server says, checked, in the precision of ``x``, shape (N, C).

        Inputs of rows that have failed are not asked, nor counted; what is released for them is NaN.

        Raises:
            TargetError: If no input gets an answer, or what will not pass is wrong.
        """
        check_inputs(x, self.input_shape)
        keys, share = self.ledger.askers, self.ledger.share(len(x))
        failed = self.ledger.failed
        lost = [place for place, key in enumerate(keys) if key in failed]
        for place in lost:
            self.ledger.take_back(keys[place], share)
        wanted = torch.ones(len(x), dtype=torch.bool)
        wanted.view(-1, share)[lost] = False
        places = wanted.nonzero()[:, 0]
        released = torch.full((len(x), self.num_classes), torch.nan, dtype=x.dtype)
        if len(places):
            asked = x[places.to(x.device)].cpu()
            heard = self._all(asked)
            there = torch.tensor([place not in heard.missing for place in range(len(asked))])
            if not self.label_only and bool(there.any()):
                heard.missing |= self._no_confidences(heard.said, there)
            if heard.missing:
                self._end_rows({int(places[place]) // share: why for place, why in heard.missing.items()})
            said, about = heard.said[there], asked[there]
            released[places[there]] = (
                certainties_of(said, about, self.num_classes)
                if self.label_only
                else confidences_of(said, about, self.num_classes, self.tolerance)
            )
        return released.to(x.device)

    def _given(self, x: Tensor) -> Tensor:
        """Return what is sent of inputs."""
        return x if self.preprocessing is None else self.preprocessing(x)

    def describe(self) -> dict[str, Any]:
        """Return the address without its query, how it is asked, and what that took."""
        asking = self.requests
        return super().describe() | {
            "class": f"{type(self).__module__}.{type(self).__qualname__}",
            "url": self.server.shown_url,
            "body": asking.bodies.body,
            "answers": "labels" if self.label_only else asking.bodies.output,
            "inputs_per_request": asking.batch,
            "order_checked": "by id"
            if asking.bodies.id_key
            else "one a request"
            if asking.batch == 1
            else asking.canary,
            "requests": self.server.requests,
            "retries": self.server.retries_made,
            "check_queries": asking.check_queries,
            "failed_rows": len(self.ledger.failed),
        }

    def _ask(self, x: Tensor) -> Tensor:
        """Ask for inputs of which each must get an answer: `Remote.answer`."""
        heard = self._all(x.cpu())
        if heard.missing:
            raise MIError(next(iter(heard.missing.values())))
        return heard.said

    def _no_confidences(self, said: Tensor, there: Tensor) -> dict[int, str]:
        """Say which answers are none, by their place, and take them out of those that are there."""
        wrong = there & ~good_rows(said, self.tolerance)
        there &= ~wrong
        why = f"{self.server.shown_url} gave no confidence: expected numbers that are at least 0 and sum to 1"
        return dict.fromkeys(wrong.nonzero()[:, 0].tolist(), why)

    def _end_rows(self, missing: dict[int, str]) -> None:
        """Note which rows got no answer.

        Args:
            missing: Why, by the place of the row that asked, or of the input where nobody said who asks.

        Raises:
            TargetError: If that is all of them, or nobody said who asks.
        """
        why = next(iter(missing.values()))
        keys = self.ledger.askers
        going_on = [key for place, key in enumerate(keys) if place not in missing and key not in self.ledger.failed]
        if not going_on:
            raise TargetError(f"the target failed at query {self.queries}: {why}")
        self.ledger.failed |= {keys[place]: text for place, text in missing.items()}
        _log.warning("%d of %d rows end with what they have found: %s", len(missing), len(keys), why)

    def _all(self, x: Tensor) -> Heard:
        """Ask for inputs, shape (n, *input_shape), several requests at a time.

        Raises:
            TargetError: If what will not pass is wrong.
        """
        try:
            return self.requests(self._given(x))
        except TargetError:
            raise
        except Exception as error:  # noqa: BLE001  # as `Remote` does: whatever fails here is the target
            kind = "" if isinstance(error, MIError) else f"{type(error).__name__}: "
            text = self.server.redacted(f"the target failed at query {self.queries}: {kind}{error}")
            raise TargetError(text) from None  # the chain may tell the token
