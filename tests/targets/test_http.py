"""The target behind HTTP, against a server on this machine that is slow, fails, limits its rate, reorders and lies."""

from __future__ import annotations

import base64
import io
import json
import random
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.estimators.spsa import SPSA
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import HttpModel, TargetError
from mi_lightning.targets.defenses import HardLabel
from tests.targets.asking import CLASSES, FACTS, QUICK, SHAPE, http, in_process, inputs
from tests.targets.endpoint import predictions


def attack(target, **settings):
    model = Inversion(
        target=target,
        estimator=SPSA(pairs=3),
        cost=NegativeLogConfidence(),
        max_iterations=6,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.3),
        **settings,
    )
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    trainer = InversionTrainer(accelerator="cpu", **quiet)
    return trainer.invert(model, recogniser=None)


# ------------------------------------------------------------------------------------------------ what must show


def test_a_bad_server_gives_the_same_result_as_in_process_and_queries_are_exact(endpoint, model):
    """It is slow, fails one call in ten, limits its rate and answers in another order."""
    shuffled, last = random.Random(0), [0.0]

    def before(number, handler):
        time.sleep(0.002)
        if number % 10 == 3:
            handler.say({"error": "overloaded"}, 503)
            return True
        if number % 10 == 7:
            handler.cut(b'{"predictions": [')
            return True
        with endpoint.lock:
            late, last[0] = time.monotonic() - last[0] < 0.001, time.monotonic()
        if late:
            handler.say({"error": "slow down"}, 429, Retry_After="0.005")
        return late

    def answer(body):
        entries = body["instances"]
        plain = predictions(model)({"instances": [entry["image"] for entry in entries]})["predictions"]
        both = [{"n": entry["n"], "p": p} for entry, p in zip(entries, plain, strict=True)]
        shuffled.shuffle(both)
        return {"predictions": both}

    endpoint.before, endpoint.answer = before, answer
    keys = {"id_key": "n", "instance_key": "image", "prediction_key": "p"}
    remote, local = http(endpoint, max_batch=4, retries=30, **keys), in_process(model)
    found, expected = attack(remote), attack(local)
    assert torch.equal(found.candidate, expected.candidate)
    assert torch.equal(found.confidence, expected.confidence)
    assert found.queries.tolist() == expected.queries.tolist() == [6 * 7 + 1] * CLASSES
    assert remote.queries == local.queries
    said = remote.describe()
    assert (said["requests"], said["retries"] > 5) == (endpoint.requests, True)
    asked = sum(len(json.loads(body)["instances"]) for _, body in endpoint.seen)
    assert asked > remote.queries  # what was asked again is no query


def test_one_row_that_is_never_answered_does_not_end_the_others(endpoint):
    """The server fails by some inputs: the row that asks about them keeps what it has found."""
    threshold = -1.0

    def before(number, handler):
        batch = json.loads(endpoint.seen[-1][1])["instances"]
        poison = any(np.asarray(one).flat[0] < threshold for one in batch)
        if poison:
            handler.say("<h1>Internal Server Error</h1>", 500)
        return poison

    endpoint.before = before
    alone = attack(http(endpoint, concurrency=1))
    darkest = alone.candidate[:, 0, 0, 0].sort().values
    threshold = float(darkest[:2].mean())  # one row comes to lie beyond
    target = http(endpoint, concurrency=1, retries=1)
    found = attack(target)
    failing = [reason == "target_error" for reason in found.stop_reason]
    assert any(failing)
    assert not all(failing)
    assert target.describe()["failed_rows"] == sum(failing)
    for row, failed in enumerate(failing):
        if failed:
            assert int(found.queries[row]) <= int(alone.queries[row])
            assert 0 <= int(found.best_iteration[row]) < 6
            assert found.candidate[row].isfinite().all()
        else:
            assert torch.equal(found.candidate[row], alone.candidate[row])
            assert int(found.queries[row]) == int(alone.queries[row])
    assert target.queries == int(found.queries.sum())


@pytest.mark.parametrize("defended", [False, True])
def test_a_row_without_an_answer_is_never_taken_for_a_find(endpoint, defended):
    """A defense makes a label of anything, of NaN, too."""
    target = http(endpoint, concurrency=1, max_batch=1, retries=0)
    shown = HardLabel().wrap(target) if defended else target
    target.restart()
    endpoint.before = lambda number, handler: number == 2 and handler.say({}, 400) is None
    with shown.asking([7, 8, 9]):
        first = shown.confidences(inputs(3))
        assert target.ledger.failed.keys() == {8}
        assert target.ledger.asked([7, 8, 9]) == [1, 1, 1]
        assert bool(first[0].isfinite().all())
        if not defended:
            assert bool(first[1].isnan().all())
        seen = endpoint.requests
        shown.confidences(inputs(6))
    assert endpoint.requests - seen == 4  # the row that failed asks no more, and is not counted
    assert target.ledger.asked([7, 8, 9]) == [3, 1, 3]
    assert target.queries == 7


# ------------------------------------------------------------------------------------------------ how it is asked


@pytest.mark.parametrize("body", ["json", "base64"])
def test_numbers_arrive_exactly(endpoint, model, body):
    def answer(sent):
        x = sent["inputs"]["data"]
        if body == "base64":
            x = [np.frombuffer(base64.b64decode(one), "<f4").reshape(SHAPE).tolist() for one in x]
        return {"outputs": [predictions(model)({"instances": x})]}

    endpoint.answer = answer
    target = http(endpoint, body=body, input_path="inputs.data", answer_path="outputs.0.predictions", max_batch=3)
    assert torch.equal(target.confidences(inputs()), in_process(model).confidences(inputs()))
    assert (endpoint.requests, target.queries) == (3, 7)


def test_one_input_a_request(endpoint, model):
    endpoint.answer = lambda body: {"who": predictions(model)({"instances": [body["image"]]})["predictions"][0]}
    target = http(endpoint, single=True, input_path="image", answer_path="who")
    assert torch.equal(target.confidences(inputs()), in_process(model).confidences(inputs()))
    assert endpoint.requests == 7


def test_pictures_are_files_of_a_form(endpoint, model):
    def answer(sent):
        (content,) = sent
        file = content[content.index(b"\x89PNG") :]
        x = torch.from_numpy(np.array(Image.open(io.BytesIO(file)))).float().div(255)
        return {"predictions": model(x.view(1, *SHAPE))[0].tolist()}

    endpoint.answer = answer
    target = http(endpoint, body="png", input_path="photo")
    x = inputs().mul(255).round().div(255)
    torch.testing.assert_close(target.confidences(x), model(x), atol=1e-6, rtol=0)
    assert b'name="photo"' in endpoint.seen[0][1]
    assert endpoint.requests == 7


def test_a_picture_in_colour_is_what_was_sent(endpoint):
    seen = []

    def answer(sent):
        seen.append(np.array(Image.open(io.BytesIO(sent[0][sent[0].index(b"\x89PNG") :]))))
        return {"predictions": [0.2] * 5}

    endpoint.answer = answer
    target = HttpModel(endpoint.url, input_shape=(3, 4, 2), num_classes=5, input_range=(-1.0, 1.0), body="png", **QUICK)
    x = torch.randint(0, 256, (1, 3, 4, 2), generator=torch.Generator().manual_seed(0))
    target.confidences(x / 127.5 - 1)
    assert np.array_equal(seen[0], x[0].permute(1, 2, 0))


def test_preprocessing_is_what_is_sent(endpoint):
    sent = []
    endpoint.answer = lambda body: sent.extend(body["instances"]) or {"predictions": [[0.2] * 5] * 2}
    http(endpoint, preprocessing=lambda x: (x * 255).round().to(torch.uint8).movedim(1, -1)).confidences(inputs(2))
    assert sent[0] == (inputs(1)[0].movedim(0, -1) * 255).round().int().tolist()


def test_many_requests_at_a_time(endpoint, capsys):
    """The rate is printed; a clock of a loaded machine decides nothing."""
    endpoint.before = lambda number, handler: time.sleep(0.02)
    rates = {}
    for at_a_time in (1, 8):
        target = http(endpoint, concurrency=at_a_time, max_batch=1)
        target.confidences(inputs(8))
        start = time.monotonic()
        target.confidences(inputs(32))
        rates[at_a_time] = 32 / (time.monotonic() - start)
    with capsys.disabled():
        sys.stdout.write(f"\n20 ms a request: {rates[1]:.0f} in a second one by one, {rates[8]:.0f} with 8 at a time\n")
    assert rates[8] > rates[1]


def test_no_more_requests_than_allowed(endpoint):
    target = http(endpoint, rate_limit=100.0, max_batch=1)
    target.confidences(inputs(12))
    arrivals = sorted(endpoint.arrivals)
    assert arrivals[-1] - arrivals[0] > 0.1  # eleven times 10 ms, less what the first one took


def test_the_wait_that_the_server_asks_for_is_kept(endpoint):
    endpoint.before = lambda number, handler: number == 1 and handler.say({}, 429, Retry_After="0.2") is None
    http(endpoint, concurrency=1).confidences(inputs(1))
    first, second = endpoint.arrivals
    assert second - first > 0.19


# ------------------------------------------------------------------------------------------------ secrets


def test_the_token_is_sent_and_told_nowhere(endpoint, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MY_TOKEN", "s3cr3t-t0ken")
    target = http(endpoint, token_env="MY_TOKEN", headers={"X-Tenant": "audit"})
    target.confidences(inputs(1))
    headers, _ = endpoint.seen[0]
    assert (headers["Authorization"], headers["X-Tenant"]) == ("Bearer s3cr3t-t0ken", "audit")
    # even where the server says it back
    endpoint.before = lambda number, handler: handler.say(f"<p>{handler.headers['Authorization']}</p>", 403) is None
    with pytest.raises(TargetError, match=r"does not accept the token in MY_TOKEN") as refused:
        target.confidences(inputs(1))
    endpoint.before = lambda number, handler: False
    endpoint.answer = lambda body: {"predictions": [{"s3cr3t-t0ken": 1.0}]}
    with pytest.raises(TargetError, match=r"class_names, got \*\*\*") as echoed:
        target.confidences(inputs(1))
    told = [caplog.text, json.dumps(target.describe()), repr(target), str(refused.value), str(echoed.value)]
    told += [str(error.value.__cause__ or "") + str(error.value.__context__ or "") for error in (refused, echoed)]
    assert not [text for text in told[:5] if "s3cr3t" in text]


def test_another_header_for_the_token(endpoint, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "abc")
    http(endpoint, token_env="MY_TOKEN", token_header="X-Api-Key").confidences(inputs(1))
    assert endpoint.seen[0][0]["X-Api-Key"] == "abc"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "ftp://host/"}, r"expected the http or https address of a server, got ftp://host/ \(url\)"),
        ({"url": "https://me:pw@host/"}, r"an address without secrets: .* token_env, got a name or password in it"),
        ({"url": "https://host/?api_key=1"}, r"an address without secrets: .*, got api_key \(url\)"),
        ({"url": "http://host/", "token_env": "MY_TOKEN"}, r"expected https, so that nobody else reads the token"),
        ({"token_env": "NO_SUCH_TOKEN"}, r"a token in the environment variable NO_SUCH_TOKEN, got none"),
        ({"headers": {"X-Auth": "1"}}, r"headers without secrets: .*, got X-Auth \(headers\)"),
        ({"timeout": 0.0}, r"timeout > 0, got 0.0"),
        ({"retries": -1}, r"retries >= 0, got -1"),
        ({"backoff": -1.0}, r"backoff >= 0, got -1"),
        ({"rate_limit": 0.0}, r"rate_limit > 0, got 0.0"),
        ({"concurrency": 0}, r"concurrency >= 1, got 0"),
        ({"price_per_query": -1.0}, r"price_per_query >= 0, got -1"),
        ({"body": "xml"}, r"expected body json, base64, png, got xml"),
        ({"output": "odds"}, r"expected output probabilities, logits, got odds"),
        ({"canary": "often"}, r"expected canary start, always, off, got often"),
        ({"id_key": "n"}, r"instance_key, for inputs that are objects with a number"),
        ({"single": True, "max_batch": 4}, r"max_batch 1 for requests of one input, got 4"),
        ({"body": "png", "input_shape": (12,)}, r"pictures of one or three channels, for body png, got \(12,\)"),
    ],
)
def test_wrong_settings(settings, words, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "abc")
    given = {"url": "https://host/predict", **FACTS, **settings}
    with pytest.raises(InputError, match=words):
        HttpModel(given.pop("url"), **given)


def test_what_is_said_of_it(endpoint):
    target = http(endpoint, price_per_query=0.25)
    target.confidences(inputs())
    said = target.describe()
    assert (said["access"], said["url"], said["checkpoint"]) == ("black_box", endpoint.url, "")
    assert (said["price_per_query"], said["price"], said["requests"], said["retries"]) == (0.25, 1.75, 1, 0)
    assert target.fingerprint() is None
