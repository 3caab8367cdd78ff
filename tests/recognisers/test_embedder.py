"""A recogniser of one's own, of any module, function or ONNX file."""

from __future__ import annotations

import hashlib
import logging
import math
import sys

import numpy as np
import pytest
import torch
from torch import nn

from mi_lightning.checkpoint import weights_digest
from mi_lightning.errors import InputError, MIError
from mi_lightning.imports import VARIABLE
from mi_lightning.recognisers import Embedder, MissingRecogniserError


def halves(x):
    """A function that a configuration can name."""
    return x.flatten(1)[:, :2] / 2


def make():
    """A function that makes one."""
    return halves


X = torch.rand(5, 1, 2, 3, generator=torch.Generator().manual_seed(0))
HERE = "tests.recognisers.test_embedder"


@pytest.fixture(autouse=True)
def _this_module_was_asked_for(monkeypatch):
    """As by ``--import tests``: names in text are followed nowhere else."""
    monkeypatch.setenv(VARIABLE, "tests,no_such_module_here")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))


def test_module_is_asked_in_evaluation_mode_and_left_as_it_was():
    module = network()
    module[3].eval()
    recogniser = Embedder(module, batch_size=2)
    before = weights_digest(module)
    found = recogniser.embed(X, value_range=(0, 1)).vectors
    assert [part.training for part in module.modules()] == [True, True, True, True, False]
    assert weights_digest(module) == before
    assert not found.requires_grad
    torch.testing.assert_close(found, network().eval()(X).detach())


def test_module_that_fails_is_left_as_it_was():
    module = nn.Sequential(nn.Flatten(), nn.Linear(5, 4)).train()
    with pytest.raises(InputError, match="shapes"):
        Embedder(module).embed(X, value_range=(0, 1))
    assert module.training


def test_module_that_was_trained_since_is_asked_again():
    module = network().eval()
    recogniser = Embedder(module)
    first = recogniser.embed(X, value_range=(0, 1)).vectors
    with torch.no_grad():
        module[1].bias += 1
    assert not torch.allclose(recogniser.embed(X, value_range=(0, 1)).vectors, first)


def test_samples_of_different_shapes_go_in_batches_of_their_own():
    sizes = []

    def mean_and_length(x):
        sizes.append(tuple(x.shape))
        return torch.stack([x.flatten(1).mean(1), torch.full((len(x),), x[0].numel())], 1)

    sounds = [torch.full((1, length), 0.1 * length) for length in (3, 5, 3, 3)]
    sounds[2] = sounds[2] / 2
    sounds[3] = sounds[3] / 4
    found = Embedder(mean_and_length, kind="sound", batch_size=2).embed(sounds, value_range=(-1, 1), sample_rate=8000)
    torch.testing.assert_close(found.vectors, torch.tensor([[0.3, 3], [0.5, 5], [0.15, 3], [0.075, 3]]))
    assert sizes == [(2, 1, 3), (1, 1, 3), (1, 1, 5)]


def test_range_and_preprocessing_come_before_the_network():
    recogniser = Embedder(lambda x: x.flatten(1), input_range=(-1, 1), preprocess=lambda x: x + 10)
    found = recogniser.embed(torch.tensor([[[[0.0, 128.0, 255.0]]]]), value_range=(0, 255)).vectors
    torch.testing.assert_close(found, torch.tensor([[9.0, 10 + 1 / 255, 11.0]]))


@pytest.mark.parametrize("path", [f"{HERE}:halves", f"{HERE}:make()"])
def test_function_by_its_name(path):
    recogniser = Embedder(path, preprocess=f"{HERE}:halves")
    torch.testing.assert_close(recogniser.embed(X, value_range=(0, 1)).vectors, X.flatten(1)[:, :2] / 4)
    assert recogniser.describe()["name"] == path


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x, r"expected vectors \(5, E\) from <lambda>, got shape \(5, 1, 2, 3\) \(network\)"),
        (lambda x: x.flatten(1)[:3], r"got shape \(3, 6\)"),
        (lambda x: x.flatten(1)[:, :0], r"got shape \(5, 0\)"),
        (lambda x: [1.0], r"vectors \(5, E\) from <lambda>, got list"),
    ],
)
def test_what_comes_back_has_to_be_vectors(function, words):
    with pytest.raises(InputError, match=words):
        Embedder(function).embed(X, value_range=(0, 1))


def test_vectors_have_one_size():
    recogniser = Embedder(lambda x: x.flatten(1))
    recogniser.embed(X, value_range=(0, 1))
    with pytest.raises(InputError, match="vectors of one size from <lambda>, got sizes 4, 6"):
        recogniser.embed(torch.ones(1, 1, 2, 2), value_range=(0, 1))


def test_vector_that_is_no_number_is_told_and_kept(caplog):
    def broken(x):
        return torch.where(x.flatten(1).mean(1, keepdim=True) > 0.9, math.nan, x.flatten(1))

    with caplog.at_level(logging.WARNING):
        found = Embedder(broken).embed(torch.cat([X, torch.ones(1, 1, 2, 3)]), value_range=(0, 1))
    assert found.vectors.isfinite().all(1).tolist() == [True] * 5 + [False]
    assert "broken gives no number for 1 of 6 samples" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"network": "weights.pt"},
            r"a function, the path of an \.onnx file .*got 'weights\.pt' \(network\)",
        ),
        ({"network": 3}, "a module, a function"),
        ({"metric": "angle"}, r"euclidean, cosine, got angle \(metric\)"),
        ({"kind": "video"}, r"picture, sound, other, got video \(kind\)"),
        ({"input_range": (1, 1)}, r"least value below the greatest.*\(input_range\)"),
        ({"batch_size": 0}, r"batch_size >= 1, got 0"),
        ({"preprocess": "crop"}, r"package\.module:name, got 'crop' \(preprocess\)"),
    ],
)
def test_arguments_that_are_none(arguments, words):
    with pytest.raises(InputError, match=words):
        Embedder(**{"network": halves, **arguments})


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no_such_module_here:f", "no_such_module_here:f: No module named 'no_such_module_here'"),
        (f"{HERE}:nothing", "has no attribute 'nothing'"),
        (f"{HERE}:X", "a function or a module, got .*Tensor"),
        ("os:system", r"a class or function of mi_lightning, .* that was asked for, got os \(network\)"),
        ("mi_lightning.io:os.getpid", r"got posix\.getpid \(network\)"),
        ("torch.nn:Linear", "a function or a module, got .*type"),
        ("absent.onnx", r"an ONNX file of a recogniser, got none at absent\.onnx"),
    ],
)
def test_networks_that_cannot_be_loaded_are_told_by_check(path, words):
    with pytest.raises(InputError, match=words):
        Embedder(path).check()


def test_it_says_what_it_is():
    module = network()
    recogniser = Embedder(module, name="ours", trained_on="12 volunteers", kind="picture")
    assert recogniser.describe()["embedding_size"] is None
    recogniser.embed(X, value_range=(0, 1))
    assert recogniser.describe() == {
        "class": "mi_lightning.recognisers.Embedder",
        "name": "ours",
        "weights": {"ours": weights_digest(module)},
        "trained_on": "12 volunteers",
        "metric": "cosine",
        "embedding_size": 4,
    }
    assert Embedder(halves).describe()["weights"] == {}


# -------------------------------------------------------------------------------------------------------- ONNX


@pytest.fixture
def onnx_file(tmp_path):
    """A file that holds y = x W for inputs (N, 6)."""
    onnx = pytest.importorskip("onnx", reason="writes the file")
    weight = np.arange(12, dtype=np.float32).reshape(6, 2)
    values = [onnx.helper.make_tensor_value_info(name, 1, ["n", size]) for name, size in (("x", 6), ("y", 2))]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        values[:1],
        values[1:],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    (tmp_path / "embedder.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "embedder.onnx", torch.from_numpy(weight)


def test_onnx_file(onnx_file):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    path, weight = onnx_file
    recogniser = Embedder(str(path), preprocess=lambda x: x.flatten(1))
    found = recogniser.embed(X, value_range=(0, 1)).vectors
    torch.testing.assert_close(found, X.flatten(1) @ weight)
    told = recogniser.describe()
    assert told["weights"] == {"embedder.onnx": hashlib.sha256(path.read_bytes()).hexdigest()}
    assert (told["name"], told["embedding_size"]) == ("embedder.onnx", 2)
    with pytest.raises(MIError, match=r"embedder\.onnx cannot be asked about inputs \(5, 1, 2, 3\)"):
        Embedder(str(path)).embed(X, value_range=(0, 1))


def test_file_that_is_no_onnx(tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    with pytest.raises(MIError, match=r"torn\.onnx holds no network that onnxruntime can run"):
        Embedder(str(tmp_path / "torn.onnx")).check()


def test_onnx_without_its_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "some.onnx").touch()
    with pytest.raises(MissingRecogniserError, match=r"onnxruntime, .*pip install \"mi-lightning\[onnx\]\""):
        Embedder(str(tmp_path / "some.onnx")).check()


def test_a_network_of_other_inputs_is_told_in_one_line():
    wrong = Embedder(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3, 2)), name="mine")
    with pytest.raises(
        InputError, match=r"a network that takes these inputs \(mine\), got \(2, 1, 4, 4\), of which it says"
    ):
        wrong.embed(torch.rand(2, 1, 4, 4), value_range=(0.0, 1.0))


def test_pictures_of_another_size_are_resized_where_the_network_takes_one_only():
    seen = []
    recogniser = Embedder(lambda x: (seen.append(x.shape), x.flatten(1)[:, :3])[1], input_shape=(3, 4, 6))
    found = recogniser.embed(X, value_range=(0, 1))
    assert seen == [(5, 3, 4, 6)]
    assert found.vectors.shape == (5, 3)
    assert recogniser.describe()["input_shape"] == [3, 4, 6]
    assert "input_shape" not in Embedder(halves).describe()
    with pytest.raises(InputError, match=r"the shape of pictures .* got \(4, 6\) \(input_shape\)"):
        Embedder(halves, input_shape=(4, 6))
