"""A server on this machine that answers as one pleases: rightly, late, never, in another order, or with lies."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torch


class Endpoint:
    """What a server is told to do, and what it saw.

    Attributes:
        answer: Makes a list of answers of a list of inputs.
        before: Called with the number of the request (from 1) and the handler; True if it has answered itself.
        seen: Headers and body of each request.
        arrivals: When each request came, in seconds.
    """

    def __init__(self, answer: Callable[[list[Any]], Any]) -> None:
        self.answer = answer
        self.before: Callable[[int, Handler], bool] = lambda number, handler: False
        self.seen: list[tuple[dict[str, str], bytes]] = []
        self.arrivals: list[float] = []
        self.lock = threading.Lock()
        self.url = ""

    @property
    def requests(self) -> int:
        return len(self.seen)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as real servers do
    disable_nagle_algorithm = True  # or each answer would wait 40 ms for the client's acknowledgement
    endpoint: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.endpoint.lock:
            self.endpoint.seen.append((dict(self.headers), body))
            self.endpoint.arrivals.append(time.monotonic())
            number = self.endpoint.requests
        if self.endpoint.before(number, self):
            return
        if self.headers["Content-Type"].startswith("multipart/"):
            self.say(self.endpoint.answer([body]))
        else:
            self.say(self.endpoint.answer(json.loads(body)))

    def say(self, content: Any, status: int = 200, **headers: str) -> None:
        """Answer: text as it is, anything else as JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        kind = "text/html" if isinstance(content, str) else "application/json"
        self.send_response(status)
        for name, value in {"Content-Type": kind, **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def cut(self, after: bytes = b"") -> None:
        """Promise more than is sent, and close the connection."""
        if after:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(after)
            self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that has given up


@contextmanager
def serving(answer: Callable[[list[Any]], Any]) -> Iterator[Endpoint]:
    """Run a server until the end of the block."""
    endpoint = Endpoint(answer)
    handler = type("Bound", (Handler,), {"endpoint": endpoint})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/predict"
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def predictions(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Any], dict[str, Any]]:
    """What a server with a model answers: each input by itself, so that no batch changes the last bit."""

    def answer(body: Any) -> dict[str, Any]:
        x = torch.from_numpy(np.asarray(body["instances"], dtype=np.float32))
        with torch.no_grad():
            return {"predictions": [function(one).double()[0].tolist() for one in x.split(1)]}

    return answer
