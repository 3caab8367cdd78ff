"""A model behind HTTP, which takes JSON and names people: mi-lightning invert --config http_model.yaml."""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx  # noqa: F401  # what the target asks with: pip install "mi-lightning[http]"
import numpy as np

import mi_lightning as mi

PEOPLE = ["ann", "bob", "cyd", "dan", "eve", "fay"]
SERVER: list[ThreadingHTTPServer] = []


class Service(BaseHTTPRequestHandler):
    """What stands for the service that you may test."""

    def do_POST(self) -> None:  # the name that http.server asks for
        """Answer {"instances": [...]} with {"predictions": [{"ann": 0.7, ...}, ...]}: the best three alone."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["instances"]
        odds = np.exp(np.asarray(given).reshape(len(given), -1) @ np.load("http_model.npy"))
        best = [dict(sorted(zip(PEOPLE, row, strict=True), key=lambda pair: -pair[1])[:3]) for row in _shares(odds)]
        answer = json.dumps({"predictions": best}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _shares(odds: np.ndarray) -> list[list[float]]:
    shares: list[list[float]] = (odds / odds.sum(1, keepdims=True)).tolist()
    return shares


def make() -> None:
    """Write the service's weights, and start it on this machine."""
    np.save("http_model.npy", np.random.default_rng(0).normal(size=(16 * 12, 6)) / 5)
    SERVER.append(ThreadingHTTPServer(("127.0.0.1", 8766), Service))
    threading.Thread(target=SERVER[0].serve_forever, args=(0.05,)).start()


def end() -> None:
    """Stop the service."""
    SERVER[0].shutdown()
    SERVER.pop().server_close()


def main() -> None:
    """Attack two of the people, by queries."""
    target = mi.HttpModel(
        "http://127.0.0.1:8766/", input_shape=(1, 16, 12), num_classes=6, class_names=PEOPLE, price_per_query=0.001
    )
    result = mi.attacks.spsa(pairs=8, delta=0.1, max_iterations=3).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.confidence, target.price, target.describe()["retries"])


if __name__ == "__main__":
    make()
    if "serve" in sys.argv:  # until Ctrl-C
        threading.Event().wait()
    main()
    end()
