"""What the target behind HTTP makes of answers: numbers, names, lies, refusals, silence, and another order."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from mi_lightning.targets import HttpModel, LabelOnly, TargetError
from tests.targets.asking import FACTS, QUICK, http, in_process, inputs, rows_of

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
