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
from mi_lightning.targets import BlackBox, HttpModel, LabelOnly, TargetError
from mi_lightning.targets.defenses import HardLabel
from tests.targets.endpoint import predictions, serving

SHAPE, CLASSES = (1, 4, 3), 5
FACTS = {"input_shape": SHAPE, "num_classes": CLASSES}
QUICK = {"backoff": 0.001, "timeout": 5.0}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, CLASSES), torch.nn.Softmax(1)).eval()


@pytest.fixture
def endpoint(model):
    with serving(predictions(model)) as running:
        yield running


def http(endpoint, **settings):
    return HttpModel(endpoint.url, **{**FACTS, **QUICK, "canary": "off", **settings})


def inputs(n=7):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def rows_of(x):
    """A server's arithmetic, for a batch of a body."""
    return torch.tensor(np.asarray(x), dtype=torch.float32)


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


def in_process(model):
    return BlackBox(lambda x: torch.cat([model(one) for one in x.split(1)]), **FACTS)


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


# ------------------------------------------------------------------------------------------------ what answers mean


NAMES = ["ann", "bob", "cyd", "dan", "eve"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.0], [0.1, 0.2, 0.3, 0.4, 0.0]),
        ([0, 0, 1, 0, 0], [0, 0, 1, 0, 0]),
        ({"eve": 0.4, "ann": 0.1, "cyd": 0.2, "bob": 0.3, "dan": 0.0}, [0.1, 0.3, 0.2, 0.0, 0.4]),
        ({"bob": 0.7}, [0.075, 0.7, 0.075, 0.075, 0.075]),  # the best alone: the others share the rest
        ([{"label": "dan", "score": 0.9}, {"label": "ann", "score": 0.1}], [0.1, 0, 0, 0.9, 0]),
    ],
)
def test_answers_by_number_and_by_name(endpoint, said, expected):
    endpoint.answer = lambda body: {"predictions": [said] * 2}
    p = http(endpoint, class_names=NAMES).confidences(inputs(2))
    torch.testing.assert_close(p, torch.tensor([expected] * 2, dtype=torch.float32))


def test_names_of_the_data_are_those_of_the_answers(endpoint):
    endpoint.answer = lambda body: {"predictions": [{"cyd": 0.6, "bob": 0.4}]}
    target = http(endpoint)
    target.adopt_names(NAMES)
    assert target.confidences(inputs(1)).tolist() == [pytest.approx([0, 0.4, 0.6, 0, 0])]
    ordered = http(endpoint, class_names=NAMES)
    ordered.adopt_names(NAMES[::-1])  # the data name them the other way round
    assert ordered.confidences(inputs(1)).tolist() == [pytest.approx([0, 0, 0.6, 0.4, 0])]


def test_a_server_that_knows_numbers_alone_goes_with_data_that_have_names(endpoint):
    endpoint.answer = lambda body: {"predictions": [{"2": 0.6, "1": 0.4}]}
    target = http(endpoint)
    target.adopt_names(NAMES)
    assert target.confidences(inputs(1)).tolist() == [pytest.approx([0, 0.4, 0.6, 0, 0])]
    doubtful = http(endpoint, class_names=["1", "4", "7", "8", "9"])  # here a number is somebody's name
    with pytest.raises(TargetError, match=r"expected one of 5 class_names, got 2"):
        doubtful.confidences(inputs(1))


def test_what_verifies_is_charged(endpoint):
    target = http(endpoint, price_per_query=0.5)
    target.verify(inputs(4))
    target.confidences(inputs(2))
    assert (target.queries, target.price) == (2, 3.0)


def test_logits(endpoint):
    endpoint.answer = lambda body: {"predictions": [[-1.0, 0.0, 4.0, 2.0, 1.0]]}
    p = http(endpoint, output="logits").confidences(inputs(1))
    torch.testing.assert_close(p, torch.tensor([[-1.0, 0.0, 4.0, 2.0, 1.0]]).softmax(1))


@pytest.mark.parametrize(("said", "label"), [("cyd", 2), (4, 4)])
def test_labels(endpoint, said, label):
    endpoint.answer = lambda body: {"predictions": [{"who": said}] * len(body["instances"])}
    target = http(endpoint, class_names=NAMES, label_only=True, prediction_key="who")
    reference = LabelOnly(lambda x: torch.full((len(x),), label), **FACTS)
    assert torch.equal(target.confidences(inputs()), reference.confidences(inputs()))
    assert target.describe()["answers"] == "labels"


@pytest.mark.parametrize(
    ("said", "settings", "words"),
    [
        ({"scores": []}, {}, r"expected predictions of predictions in the answer, got an object with scores"),
        ({"predictions": [[0.5, 0.5]] * 7}, {}, r"expected 5 numbers for each input, got 2"),
        ({"predictions": [[0.2] * 5] * 6}, {}, r"expected 7 answers at predictions, got 6"),
        ({"predictions": 3}, {}, r"expected 7 answers at predictions, got 3"),
        ({"predictions": [["0.2"] * 5] * 7}, {}, r"expected 5 numbers for each input, got a list of 5"),
        ({"predictions": [[None] * 5] * 7}, {}, r"expected 5 numbers for each input"),
        ({"predictions": [[float("nan")] * 5] * 7}, {}, r"no confidence: expected numbers that are at least 0"),
        ({"predictions": [[2.0, -1.0, 0, 0, 0]] * 7}, {}, r"no confidence: expected numbers"),
        ({"predictions": [{"zoe": 1.0}] * 7}, {}, r"expected one of 5 class_names, got zoe"),
        ({"predictions": [{"0": 0.7, "1": 0.9}] * 7}, {}, r"no confidence"),
        ({"predictions": [{"0": "much"}] * 7}, {}, r"expected a number for 0, got \"much\""),
        ({"predictions": [{"0": 2.0}] * 7}, {"output": "logits"}, r"expected the logits of 5 classes, got 1"),
        ({"predictions": [7] * 7}, {"label_only": True}, r"expected one of 5 class_names, got 7"),
        ({"predictions": [True] * 7}, {"label_only": True}, r"expected one of 5 class_names, got True"),
        (
            {"predictions": [{"n": 0, "p": 1}] * 7},
            {"id_key": "n", "instance_key": "x"},
            r"the 7 inputs that were asked",
        ),
        ("<html>\nDown for maintenance</html>", {"retries": 1}, r"in 2 tries: expected JSON, got <html> Down for"),
    ],
)
def test_lies_end_the_attack_in_one_line(endpoint, said, settings, words):
    endpoint.answer = lambda body: said
    target = http(endpoint, **settings)
    with pytest.raises(TargetError, match=words) as caught:
        target.confidences(inputs())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "headers", "words", "tries"),
    [
        (401, {}, r"status 401: it does not accept no token: name its variable in token_env", 1),
        (404, {}, r"status 404", 1),
        (302, {"Location": "http://elsewhere.example/"}, r"points to elsewhere\.example, which is not followed", 1),
        (429, {"Retry_After": "3600"}, r"it asks to wait 3600 s", 1),
        (503, {}, r"gave no answer in 3 tries: .* status 503", 3),
        (400, {}, r"status 400: \{\"why\": \"no\"\}", 1),
    ],
)
def test_refusals(endpoint, status, headers, words, tries):
    endpoint.before = lambda number, handler: handler.say({"why": "no"}, status, **headers) is None
    target = http(endpoint, retries=2)
    with pytest.raises(TargetError, match=words):
        target.confidences(inputs(1))
    assert (endpoint.requests, target.queries) == (tries, 1)


def test_slow_answers_time_out_and_are_asked_for_again(endpoint):
    endpoint.before = lambda number, handler: time.sleep(0.4 if number == 1 else 0)
    target = http(endpoint, timeout=0.15)
    target.confidences(inputs(1))
    assert (endpoint.requests, target.describe()["retries"], target.queries) == (2, 1, 1)


def test_an_answer_that_drips_is_cut(endpoint):
    def before(number, handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(40):
            try:
                handler.wfile.write(b" ")
            except OSError:
                break
            time.sleep(0.02)
        handler.close_connection = True
        return True

    endpoint.before = before
    started = time.monotonic()
    with pytest.raises(TargetError, match=r"no whole answer in 0\.1 s"):
        http(endpoint, timeout=0.1, retries=0).confidences(inputs(1))
    assert time.monotonic() - started < 0.7


def test_a_server_that_is_gone_is_given_up(endpoint):
    target = http(endpoint, max_batch=1, concurrency=2, retries=1)
    endpoint.before = lambda number, handler: number > 4 and handler.cut() is None
    with target.asking(range(40)), pytest.raises(TargetError, match=r"3 requests in a row"):
        target.confidences(inputs(40))
    assert endpoint.requests < 4 + 2 * 6
    assert target.queries == 40
    endpoint.before = lambda number, handler: False
    assert target.confidences(inputs(3)).isfinite().all()  # it can be asked later


def test_a_server_that_can_answer_no_input_is_given_up(endpoint):
    endpoint.before = lambda number, handler: handler.say({}, 422) is None
    target = http(endpoint, concurrency=4)
    with target.asking(range(500)), pytest.raises(TargetError, match=r"status 422: \{\}; 64 requests in a row"):
        target.confidences(inputs(500))
    assert endpoint.requests < 300


def test_nobody_listens():
    target = HttpModel("http://127.0.0.1:9/", **FACTS, **QUICK, retries=1)
    with pytest.raises(TargetError, match=r"http://127\.0\.0\.1:9/ gave no answer in 2 tries: ConnectError"):
        target.confidences(inputs(1))


# ------------------------------------------------------------------------------------------------ order


def reversing(plain):
    return lambda body: {"predictions": plain(body)["predictions"][::-1]}


@pytest.mark.parametrize("canary", ["start", "always"])
def test_another_order_is_noticed_before_the_first_query(endpoint, canary):
    endpoint.answer = reversing(endpoint.answer)
    target = http(endpoint, canary=canary)
    with pytest.raises(TargetError, match=r"answers in another order than it was asked; give id_key .* or max_batch 1"):
        target.confidences(inputs())


def test_another_order_later_is_noticed_by_a_canary(endpoint, model):
    plain, target = endpoint.answer, http(endpoint, canary="always", price_per_query=0.5)
    assert torch.equal(target.confidences(inputs()), in_process(model).confidences(inputs()))
    assert (target.queries, target.requests.check_queries, target.price) == (7, 13, 10.0)
    endpoint.answer = reversing(plain)
    with pytest.raises(TargetError, match="another order than it was asked, or at random"):
        target.confidences(inputs(8))


def test_the_order_is_checked_once(endpoint):
    target = http(endpoint, canary="start")
    target.confidences(inputs())
    assert (target.requests.check_queries, endpoint.requests, target.queries) == (12, 8, 7)
    target.confidences(inputs())
    assert (target.requests.check_queries, endpoint.requests, target.queries) == (12, 9, 14)


def test_noise_is_no_other_order(endpoint, model, caplog):
    noise = np.random.default_rng(0)

    def answer(body):
        p = model(rows_of(body["instances"])).detach().numpy() + noise.uniform(0, 0.01, (len(body["instances"]), 5))
        return {"predictions": (p / p.sum(1, keepdims=True)).tolist()}

    endpoint.answer = answer
    http(endpoint, canary="start").confidences(inputs())
    assert "answers an input alone otherwise than among others, or at random" in caplog.text


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
