"""Asks a server, again where that may help, no faster than allowed, and without ever telling its token."""

from __future__ import annotations

import email.utils
import os
import random
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from mi_lightning.errors import InputError, MIError
from mi_lightning.extras import load_httpx

Answer = TypeVar("Answer")

#: What may be answered the next time: too early, too often, or a fault of the server's own.
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
#: What another input, or fewer, may be answered.
_ABOUT_INPUT = frozenset({400, 413, 422, 500})
_MOST_BYTES = 64 * 2**20  # of an answer; confidences of a batch take a thousandth
_LONGEST_WAIT = 600.0  # seconds that a server may ask to wait
_SHOWN = 100  # characters of an answer that an error shows
#: Names of parameters and headers that hold what must not stand in a configuration.
_SECRETS = ("auth", "cookie", "credential", "key", "passw", "secret", "sig", "token")
_LOCAL = ("localhost", "127.0.0.1", "::1")


class UnansweredError(MIError):
    """A question that got no answer, however often it was asked.

    Attributes:
        about_input: Whether the server may answer other inputs, or fewer.
        final: Whether no other question will be answered either.
    """

    def __init__(self, message: str, *, about_input: bool = False, final: bool = False) -> None:
        """Keep what is known."""
        super().__init__(message)
        self.about_input, self.final = about_input, final


class GarbledError(MIError):
    """An answer that cannot be read at all, as after a connection was cut: it is asked for again."""


class Server:
    """A server that is asked by POST; any number of threads may ask at a time.

    Args:
        url: Where it is asked.
        token_env: Environment variable that holds the token; no token if None.
        token_header: Header that the token goes into; ``Bearer`` stands before it in ``Authorization`` alone.
        headers: Further headers; none of them secret.
        timeout: Seconds until an answer must be there, whole.
        retries: Times that a question is asked again where that may help.
        backoff: Seconds before the first of these; doubled each time, and spread at random by half of it.
        rate_limit: Requests in a second, at most; no limit if None.
        connections: Requests at a time.

    Attributes:
        requests: Requests made so far, repeated ones among them.
        retries_made: Requests that repeated an earlier one.

    Raises:
        InputError: If an argument is wrong, or a secret stands where results would show it.
        MIError: If httpx is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        token_env: str | None,
        token_header: str,
        headers: Mapping[str, str],
        timeout: float,
        retries: int,
        backoff: float,
        rate_limit: float | None,
        connections: int,
    ) -> None:
        """Check the arguments; nothing is asked yet."""
        self.url, self.shown_url = url, _checked(url, token_env is not None)
        for name, value in (("timeout", timeout), ("rate_limit", 1.0 if rate_limit is None else rate_limit)):
            if not 0 < value < float("inf"):
                raise InputError(f"{name} > 0", value, name)
        if retries < 0:
            raise InputError("retries >= 0", retries, "retries")
        if not 0 <= backoff < float("inf"):
            raise InputError("backoff >= 0", backoff, "backoff")
        if connections < 1:
            raise InputError("concurrency >= 1", connections, "concurrency")
        for name in headers:
            if any(word in name.lower() for word in _SECRETS):
                raise InputError("headers without secrets: name an environment variable in token_env", name, "headers")
        self.token_env, self._token = token_env, os.environ.get(token_env, "") if token_env else ""
        if token_env and not self._token.strip().isprintable():
            raise InputError(f"a token of one line in the environment variable {token_env}", "another", "token_env")
        if token_env and not self._token.strip():
            raise InputError(f"a token in the environment variable {token_env}", "none", "token_env")
        self._token = self._token.strip()
        self._httpx: Any = load_httpx()
        sent = {"User-Agent": "mi-lightning", "Accept": "application/json", **headers}
        if self._token:
            sent[token_header] = f"Bearer {self._token}" if token_header.lower() == "authorization" else self._token
        self._client = self._httpx.Client(
            headers=sent,
            timeout=timeout,
            follow_redirects=False,  # another host would get the inputs, and the token
            limits=self._httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )
        weakref.finalize(self, self._client.close)
        self.timeout, self.retries, self.backoff, self.rate_limit = timeout, retries, backoff, rate_limit
        self.requests = self.retries_made = 0
        self.stop = threading.Event()  # set it to end all waiting
        self._lock, self._next, self._random = threading.Lock(), 0.0, random.Random()

    def post(self, question: Mapping[str, Any], read: Callable[[bytes], Answer], retries: int | None = None) -> Answer:
        """Ask, and ask again where that may help.

        Args:
            question: Arguments of the request: its content and type, or files.
            read: Makes an answer of the body; a `GarbledError` of it is asked for again, any other error is passed on.
            retries: Times to ask again; as the server was made with if None.

        Raises:
            UnansweredError: If there is no answer.
        """
        left = self.retries if retries is None else retries
        for attempt in range(left + 1):
            self._await_turn()
            with self._lock:
                self.requests += 1
                self.retries_made += attempt > 0
            asked_to_wait, about_input = 0.0, False
            try:
                status, headers, body = self._once(question)
                if 200 <= status < 300:
                    return read(body)
                reason = self._why(status, headers, body)
                about_input = status in _ABOUT_INPUT
                asked_to_wait = _retry_after(headers.get("retry-after", ""))
                if status not in _TRANSIENT:
                    raise UnansweredError(reason, about_input=about_input, final=not about_input)
            except GarbledError as error:
                reason = self.redacted(str(error))
            except self._httpx.TransportError as error:
                reason = self.redacted(f"{type(error).__name__}: {error}")
                if isinstance(error, self._httpx.UnsupportedProtocol) or _is_certificate(error):
                    raise UnansweredError(f"{self.shown_url}: {reason}", final=True) from None
            if asked_to_wait > _LONGEST_WAIT:
                raise UnansweredError(f"{reason}; it asks to wait {asked_to_wait:.0f} s", final=True)
            if attempt < left:
                wait = max(asked_to_wait, self.backoff * 2**attempt * self._random.uniform(0.5, 1.5))
                if asked_to_wait:
                    self._hold_back(asked_to_wait)
                self._sleep(min(wait, _LONGEST_WAIT))
        raise UnansweredError(f"{self.shown_url} gave no answer in {left + 1} tries: {reason}", about_input=about_input)

    def redacted(self, text: str) -> str:
        """Return a text in one line that tells no token."""
        line = " ".join(text.split())
        return line.replace(self._token, "***") if self._token else line

    def _once(self, question: Mapping[str, Any]) -> tuple[int, Mapping[str, str], bytes]:
        """Ask once; the whole answer is there in time, and of a size that can be one."""
        due = time.monotonic() + self.timeout
        with self._client.stream("POST", self.url, **question) as response:
            parts, size = [], 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > _MOST_BYTES:
                    raise UnansweredError(f"{self.shown_url} answers with more than {_MOST_BYTES >> 20} MB", final=True)
                if time.monotonic() > due:
                    raise self._httpx.ReadTimeout(f"no whole answer in {self.timeout:g} s")
            return response.status_code, response.headers, b"".join(parts)

    def _why(self, status: int, headers: Mapping[str, str], body: bytes) -> str:
        """Say what a status means."""
        said = f"{self.shown_url} answers with status {status}"
        if status in (401, 403):
            which = f"the token in {self.token_env}" if self.token_env else "no token: name its variable in token_env"
            return f"{said}: it does not accept {which}"
        if 300 <= status < 400:
            host = urlsplit(headers.get("location", "")).hostname or "somewhere"
            return f"{said}: it points to {host}, which is not followed; give that url if you trust it"
        text = self.redacted(body[:1000].decode("utf-8", "replace"))[:_SHOWN]
        return f"{said}: {text}" if text else said

    def _await_turn(self) -> None:
        """Wait until another request may be made."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + (1 / self.rate_limit if self.rate_limit else 0.0)
        self._sleep(turn - now)

    def _hold_back(self, seconds: float) -> None:
        """Let no thread ask for a while."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + seconds)

    def _sleep(self, seconds: float) -> None:
        """Wait, unless it has been given up."""
        if self.stop.wait(seconds) if seconds > 0 else self.stop.is_set():
            raise UnansweredError("given up, as other questions got no answer")


def _checked(url: str, has_token: bool) -> str:
    """Return what of an address may be shown: without its query.

    Raises:
        InputError: If it is none, or holds a secret.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError("the http or https address of a server", url if "@" not in url else "another", "url")
    secret = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _is_secret(name)]
    if parts.username or parts.password or secret:
        got = secret[0] if secret else "a name or password in it"
        raise InputError("an address without secrets: name an environment variable in token_env", got, "url")
    if has_token and parts.scheme == "http" and parts.hostname not in _LOCAL:
        raise InputError("https, so that nobody else reads the token", "http", "url")
    return parts._replace(query="", fragment="").geturl()


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in _SECRETS)


def _is_certificate(error: BaseException) -> bool:
    """Whether a connection failed since the server could not show who it is: that does not pass."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, ssl.SSLCertVerificationError):
            return True
        link = link.__cause__ or link.__context__
    return False


def _retry_after(value: str) -> float:
    """Seconds that a server asks to wait, given as a number or as a date; 0 if it does not say."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return max(0.0, seconds)


def _seconds_until(date: str) -> float:
    """Seconds until a date as headers give it; 0 of what is no date: the wait that grows by itself must do."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return 0.0
