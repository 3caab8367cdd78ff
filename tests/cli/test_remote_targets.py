"""Targets that only answer, by the command line: a YAML of under ten lines each, an attack by queries, its results."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
import torch
import yaml
from sklearn.linear_model import LogisticRegression

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.cli.main import main
from mi_lightning.data import AttFaces
from tests.study import write
from tests.targets.endpoint import predictions, serving
from tests.targets.graphs import write_onnx

NAMES = ["s1", "s2", "s3", "s4"]
FACTS = {"input_shape": [1, 8, 6], "num_classes": 4, "class_names": NAMES}
MINE = """
import numpy as np
import torch
from mi_lightning.classifiers.loading import load_classifier

net = load_classifier("checkpoints/victim.ckpt")

def confidences(x):
    return net(x).softmax(1)

def predict_proba(x):
    return confidences(torch.from_numpy(x)).detach().numpy()

def label(x):
    return net(x).argmax(1)
"""


@pytest.fixture
def mine(study, monkeypatch):
    """A module of the user's, and an attack of a few queries."""
    (study / "mynet.py").write_text(MINE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    space = {
        "class_path": "mi_lightning.attacks.spaces.PixelSpace",
        "init_args": {
            "initializer": {
                "class_path": "mi_lightning.attacks.initializers.Noise",
                "init_args": {"distribution": "normal", "mean": 0.5, "std": 0.01},
            }
        },
    }
    model = {
        "space": space,
        "cost": "mi_lightning.attacks.costs.OneMinusConfidence",
        "estimator": {"class_path": "mi_lightning.attacks.estimators.SPSA", "init_args": {"pairs": 2}},
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.05}},
        "max_iterations": 3,
    }
    write(study / "attack/few.yaml", {"model": model})
    return study


def attack(folder: Path, kind: str, **init_args) -> dict:
    """Write the target's YAML, attack it, and return what is written of it."""
    target = {"class_path": f"mi_lightning.targets.{kind}", "init_args": init_args}
    write(folder / "own.yaml", {"data": "data/faces.yaml", "model": {"target": target}})
    own = ["--import", "mynet"] if "mynet" in str(init_args) else []
    main(["invert", "--config", "own.yaml", "--config", "attack/few.yaml", "--recogniser", "null", *own])
    run = sorted((folder / "lightning_logs/invert/own_few").iterdir())[-1]
    results = json.loads((run / "results.json").read_text())
    with np.load(run / "reconstructions.npz", allow_pickle=False) as arrays:
        results["images"] = arrays["reconstruction"]
    return results


def expected(folder: Path) -> np.ndarray:
    """What the same attack finds where the classifier is asked in this process."""
    main([
        *("invert", "--config", "attack/few.yaml", "--data", "data/faces.yaml", "--recogniser", "null"),
        *("--model.classifier_ckpt", "checkpoints/victim.ckpt", "--model.access", "black_box"),
    ])  # fmt: skip
    with np.load(folder / "lightning_logs/invert/few/version_0/reconstructions.npz", allow_pickle=False) as arrays:
        return arrays["reconstruction"]


NUMPY = {"class_path": "mi_lightning.targets.NumpyFunction", "init_args": {"function": "mynet.predict_proba"}}


@pytest.mark.parametrize(
    ("function", "more"),
    [
        ("mynet.confidences", {}),
        (NUMPY | {"init_args": NUMPY["init_args"] | {"flatten": False}}, {}),
        ("mynet.net", {"kind": "BlackBox", "words": "expected confidences"}),
    ],
)
def test_a_function_by_its_dotted_path(mine, capsys, function, more):
    if "words" in more:  # a module of logits
        with pytest.raises(SystemExit) as stop:
            attack(mine, "BlackBox", function=function, **FACTS)
        assert stop.value.code == 2
        assert more["words"] in capsys.readouterr().err
        return
    results = attack(mine, "BlackBox", function=function, price_per_query=0.5, **FACTS)
    np.testing.assert_array_equal(results["images"], expected(mine))
    said = results["target"]
    assert said["class"] in ("mynet.confidences", "mynet.predict_proba")
    assert (said["price_per_query"], said["price"]) == (0.5, 0.5 * (4 * (3 * 5 + 1) + 8))  # 8 to verify
    assert "price: 72 queries x 0.5 = 36" in capsys.readouterr().out
    if isinstance(function, str):  # the configuration that was kept is that of the run
        main(["invert", "--config", "lightning_logs/invert/own_few/version_0/config.yaml", "--import", "mynet"])


def test_a_function_that_says_labels(mine):
    results = attack(mine, "LabelOnly", function="mynet.label", **FACTS)
    assert results["target"]["class"] == "mynet.label"


def test_a_function_that_is_not_there(mine, capsys):
    with pytest.raises(SystemExit) as stop:
        attack(mine, "BlackBox", function="mynet.nothing", **FACTS)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "mynet" in err
    assert "nothing" in err
    assert len(err.strip().splitlines()) == 1


def test_onnx(mine):
    head = load_classifier("checkpoints/victim.ckpt").head
    write_onnx(mine / "net.onnx", torch.nn.Sequential(torch.nn.Flatten(), head), (1, 8, 6), channels_last=True, batch=1)
    results = attack(mine, "OnnxModel", file="net.onnx", preprocessing={"channels_last": True}, **FACTS)
    assert results["target"]["output"] == "logits"
    assert len(results["target"]["checkpoint_sha256"]) == 64
    np.testing.assert_allclose(results["images"], expected(mine), atol=1e-4)


@pytest.mark.parametrize("label_only", [False, True])
def test_scikit_learn(mine, label_only):
    data = AttFaces(root=yaml.safe_load(Path("data/faces.yaml").read_text())["init_args"]["root"], test_per_person=2)
    (x, y), _ = data.load()
    data.setup()
    names = np.asarray(data.class_names)[y.numpy()]
    skops.io.dump(LogisticRegression().fit(x.flatten(1).numpy(), names), "faces.skops")
    results = attack(
        mine, "SklearnModel", estimator="faces.skops", label_only=label_only, input_shape=[1, 8, 6], class_names=NAMES
    )
    assert results["target"]["class"].endswith("LogisticRegression")
    assert results["target"]["answers"] == ("labels" if label_only else "probabilities")


def test_http(mine, monkeypatch, capsys):
    monkeypatch.setenv("FACES_TOKEN", "s3cr3t")
    net = load_classifier("checkpoints/victim.ckpt")
    with serving(predictions(lambda x: net(x).softmax(1))) as endpoint:
        results = attack(
            mine, "HttpModel", url=endpoint.url, token_env="FACES_TOKEN", price_per_query=0.01, retries=2, **FACTS
        )
        assert endpoint.seen[0][0]["Authorization"] == "Bearer s3cr3t"
    np.testing.assert_allclose(results["images"], expected(mine), atol=1e-5)
    said = results["target"]
    assert (said["url"], said["retries"], said["check_queries"]) == (endpoint.url, 0, 12)
    shown = "".join(capsys.readouterr())
    before, after = shown.index("at most 64 queries (price 0.64)"), shown.index("price: 84 queries x 0.01 = 0.84")
    assert before < after  # 8 of them verify, 12 check the order
    for path in mine.rglob("*"):
        assert path.is_dir() or b"s3cr3t" not in path.read_bytes(), path


def test_what_was_found_is_kept_when_the_server_goes_away(mine, capsys):
    net = load_classifier("checkpoints/victim.ckpt")
    with serving(predictions(lambda x: net(x).softmax(1))) as endpoint:
        endpoint.before = lambda number, handler: number > 12 and handler.say({"error": "gone"}, 503) is None
        with pytest.raises(SystemExit) as stop:
            attack(mine, "HttpModel", url=endpoint.url, max_batch=8, retries=1, backoff=0.001, **FACTS)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert "gave no answer in 2 tries" in err
    results = json.loads((mine / "lightning_logs/invert/own_few/version_0/results.json").read_text())
    assert {row["stop_reason"] for row in results["per_label"]} == {"target_error"}
