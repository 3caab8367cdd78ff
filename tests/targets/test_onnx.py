"""Targets in ONNX files, against the module that the file was written from."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto
from torch import nn

from mi_lightning.errors import InputError, MIError
from mi_lightning.targets import OnnxModel, Preprocessing, TargetError
from tests.targets.graphs import write_onnx

SHAPE, CLASSES = (1, 2, 3), 4


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, CLASSES)).eval()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.onnx"


def inputs(n=5, shape=SHAPE):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("last", "output"), [(None, "logits"), ("Softmax", "probabilities")])
def test_it_answers_as_the_module_does(path, net, last, output):
    write_onnx(path, net, SHAPE, last=last)
    target = OnnxModel(str(path))
    x = inputs()
    torch.testing.assert_close(target.confidences(x), net(x).softmax(1))
    assert (target.input_shape, target.num_classes, target.queries) == (SHAPE, CLASSES, 5)
    said = target.describe()
    assert (said["output"], said["output_detected"], said["access"]) == (output, True, "black_box")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert target.fingerprint() == said["checkpoint_sha256"] == digest
    assert said["checkpoint"] == str(path)
    assert not target.differentiable
    assert not target.has_logits


def test_what_the_user_says_is_checked(path, net):
    write_onnx(path, net, SHAPE)
    with pytest.raises(InputError, match=r"probabilities, at least 0 and with rows that sum to 1"):
        OnnxModel(str(path), output="probabilities")
    assert OnnxModel(str(path), output="logits").describe()["output_detected"] is False


@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_size_in_the_file_is_kept(path, net, batch):
    write_onnx(path, net, SHAPE, batch=batch)
    target = OnnxModel(str(path))
    x = inputs(7)
    torch.testing.assert_close(target.confidences(x), net(x).softmax(1))
    assert target.max_batch == batch
    with pytest.raises(InputError, match=rf"max_batch {batch}, whose batch size is fixed in the file, got 8"):
        OnnxModel(str(path), max_batch=8)


def test_a_single_output_is_that_of_class_one(path):
    torch.manual_seed(0)
    write_onnx(path, nn.Sequential(nn.Flatten(), one := nn.Linear(6, 1)), SHAPE, last="Sigmoid")
    target = OnnxModel(str(path))
    x = inputs()
    p = one(x.flatten(1)).sigmoid()
    torch.testing.assert_close(target.confidences(x), torch.cat((1 - p, p), 1).detach())


def test_bytes_with_channels_last(path):
    torch.manual_seed(0)
    shape = (3, 4, 2)
    net = nn.Sequential(nn.Flatten(), nn.Linear(24, CLASSES))
    write_onnx(path, net, shape, dtype=TensorProto.UINT8, channels_last=True)
    prepared = Preprocessing(scale=255.0, uint8=True, channels_last=True)
    target = OnnxModel(str(path), input_shape=shape, preprocessing=prepared)
    x = inputs(shape=shape)
    torch.testing.assert_close(target.confidences(x), net((x * 255).round()).softmax(1).detach())
    assert "channels_last=True" in target.describe()["preprocessing"]
    with pytest.raises(InputError, match=r"inputs of shape \(4, 2, 3\).*: its channels are last .*got \(3, 4, 2\)"):
        OnnxModel(str(path), input_shape=shape)
    with pytest.raises(InputError, match=r"whole numbers \(uint8\).*: preprocessing with uint8, got torch.float32"):
        OnnxModel(str(path), input_shape=shape, preprocessing=Preprocessing(scale=255.0, channels_last=True))


def test_other_types_than_float32(path, net):
    write_onnx(path, net, SHAPE, dtype=TensorProto.DOUBLE)
    target = OnnxModel(str(path))
    x = inputs().double()
    p = target.confidences(x)
    assert p.dtype == torch.float64
    torch.testing.assert_close(p, net(x.float()).softmax(1).double(), atol=1e-6, rtol=0)


def test_which_output_counts(path, net):
    write_onnx(path, net, SHAPE, last="Softmax", twice=True)
    with pytest.raises(InputError, match=r"the name of the output that counts, got label, last \(output_name\)"):
        OnnxModel(str(path))
    torch.testing.assert_close(OnnxModel(str(path), output_name="last").confidences(inputs()), net(inputs()).softmax(1))
    with pytest.raises(InputError, match=r"an output of label, last, got best \(output_name\)"):
        OnnxModel(str(path), output_name="best")
    with pytest.raises(InputError, match=r"an output of logits or probabilities, got torch.int64 \(output_name\)"):
        OnnxModel(str(path), output_name="label")
    with pytest.raises(InputError, match=r"an input of x, got y \(input_name\)"):
        OnnxModel(str(path), input_name="y", output_name="last")


def test_the_output_called_logits_counts(path, net):
    write_onnx(path, net, SHAPE, twice=True)
    model = onnx.load(path)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["logits" if name == "y1" else name for name in names]
    model.graph.output[1].name = "logits"
    onnx.save(model, path)
    target = OnnxModel(str(path))
    torch.testing.assert_close(target.confidences(inputs()), net(inputs()).softmax(1))
    assert target.describe()["output_name"] == "logits"


def test_weights_in_other_files_are_refused(path, net, monkeypatch):
    write_onnx(path, net, SHAPE, external=True)
    monkeypatch.chdir(path.parent)  # not even where they could be found
    with pytest.raises(MIError, match=r"its weights lie in other files; export it as one file \(of at most 2 GB\)"):
        OnnxModel(path.name)


def test_operators_of_others_are_refused(path, net):
    write_onnx(path, net, SHAPE, last="Mine", domain="my.ops")
    with pytest.raises(MIError, match=r"an operator that is not part of ONNX \(my\.ops:Mine\(-1\) is not a registered"):
        OnnxModel(str(path))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"input_shape": (6,)}, r"inputs of shape \(1, 2, 3\), as .* says, got \(6,\) \(input_shape\)"),
        ({"num_classes": 5}, r"expected num_classes 4, as the network answers, got 5"),
        ({"class_names": ["ann"]}, r"expected 4 class_names, got 1"),
        ({"output": "odds"}, r"output auto, logits or probabilities, got odds"),
        ({"threads": 0}, r"threads >= 1, got 0"),
        ({"preprocessing": Preprocessing(scale=2.0)}, r"the shape of one input, got none, and \(\?, 1, 2, 3\)"),
    ],
)
def test_wrong_settings(path, net, settings, words):
    write_onnx(path, net, SHAPE)
    with pytest.raises(InputError, match=words):
        OnnxModel(str(path), **settings)


def test_what_is_no_network(tmp_path):
    with pytest.raises(InputError, match=r"expected an ONNX file of a classifier, got none at absent.onnx \(file\)"):
        OnnxModel("absent.onnx")
    Path(tmp_path / "bad.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(MIError, match=r"bad.onnx holds no network that onnxruntime can run: .*protobuf") as caught:
        OnnxModel(str(tmp_path / "bad.onnx"))
    assert "\n" not in str(caught.value)


def test_answers_that_are_no_numbers(path, net):
    write_onnx(path, net, SHAPE)
    with pytest.raises(TargetError, match="expected confidences, got NaN in row 1 of 5"):
        OnnxModel(str(path)).confidences(inputs().index_fill(0, torch.tensor(1), torch.nan))
