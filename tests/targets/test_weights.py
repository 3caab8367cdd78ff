"""Files of weights: what is read, what is refused, and that it is all of the weights or an error."""

from __future__ import annotations

import copy
import io
import json
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import lightning
import pytest
import torch
from torch import nn

from mi_lightning.checkpoint import file_digest, weights_digest
from mi_lightning.classifiers.loading import save_classifier
from mi_lightning.errors import InputError, MIError
from mi_lightning.targets.weights import find_num_classes, kind_of, open_program, read_weights_file, with_weights


class Net(nn.Module):
    """A trunk with batch norm and a head, so that there are parameters and buffers."""

    def __init__(self, classes=5):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 4, classes)

    def forward(self, x):
        return self.head(self.norm(self.conv(x)).flatten(1))


def net(seed=0, classes=5):
    torch.manual_seed(seed)
    made = Net(classes)
    made(torch.rand(8, 3, 4, 4))  # in training mode: the statistics are no longer those of the start
    return made.eval()


def saved(tmp_path, content, name="net.pt", **settings):
    torch.save(content, tmp_path / name, **settings)
    return tmp_path / name


def load(file, **settings):
    """The weights of a file in an architecture with others."""
    return with_weights(net(seed=1), read_weights_file(file), **settings)


def renamed(state, prefix="", suffix=""):
    return OrderedDict((prefix + name + suffix, tensor) for name, tensor in state.items())


# ------------------------------------------------------------------------------------------------ what is read

STATE = net().state_dict()


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        renamed(STATE, "module."),
        renamed(STATE, "_orig_mod."),
        renamed(STATE, "module._orig_mod.model."),
        renamed(STATE, "net."),
        OrderedDict((name.replace("norm.", "norm._orig_mod."), tensor) for name, tensor in STATE.items()),
        {"state_dict": STATE, "epoch": 3},
        {"model_state_dict": renamed(STATE, "module."), "optimizer_state_dict": {"state": {}}},
        {"model": STATE, "best": 0.5, "args": {"lr": 0.1}},
        {name: nn.Parameter(tensor) if tensor.is_floating_point() else tensor for name, tensor in STATE.items()},
    ],
    ids=[
        "bare",
        "parallel",
        "compiled",
        "nested",
        "net",
        "part",
        "state_dict",
        "model_state_dict",
        "model",
        "parameters",
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts_as_people_save_them(tmp_path, content, zipped):
    file = saved(tmp_path, content, _use_new_zipfile_serialization=zipped)
    module = net(seed=1)
    before, kept = weights_digest(module), {id(parameter) for parameter in module.parameters()}
    weights = read_weights_file(file)
    loaded = with_weights(module, weights)
    assert weights_digest(loaded) == weights_digest(net())
    assert (weights.kind, weights.sha256) == ("state dict", file_digest(file))
    # the module that was given is as it was
    assert weights_digest(module) == before
    assert {id(parameter) for parameter in module.parameters()} == kept
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_a_lightning_checkpoint(tmp_path):
    content = {
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": {**renamed(STATE, "model."), "loss.weight": torch.ones(5)},
        "hyper_parameters": {"lr": 0.1},
    }
    file = saved(tmp_path, content, "last.ckpt")
    assert read_weights_file(file).kind == "Lightning checkpoint"
    with pytest.raises(InputError, match=r"missing .*unexpected"):
        load(file)
    assert weights_digest(load(file, ignore=["loss.*"])) == weights_digest(net())


def test_a_checkpoint_of_ours(tmp_path, tiny_softmax):
    save_classifier(tiny_softmax, tmp_path / "tiny.ckpt")
    other = copy.deepcopy(tiny_softmax)
    nn.init.zeros_(other.head.weight)
    loaded = with_weights(other, read_weights_file(tmp_path / "tiny.ckpt"))
    assert torch.equal(loaded.head.weight, tiny_softmax.head.weight)


def test_safetensors(tmp_path):
    package = pytest.importorskip("safetensors.torch")
    package.save_file(renamed(STATE, "module."), tmp_path / "net.safetensors")
    assert read_weights_file(tmp_path / "net.safetensors").kind == "safetensors"
    assert weights_digest(load(tmp_path / "net.safetensors")) == weights_digest(net())
    package.save_file(STATE, tmp_path / "net.pt")  # the content says what it is, not the name
    assert read_weights_file(tmp_path / "net.pt").kind == "safetensors"


def test_types_of_numbers_are_those_of_the_module(tmp_path):
    half = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in STATE.items()}
    loaded = load(saved(tmp_path, half))
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(loaded.head.weight, net().head.weight, atol=1e-3, rtol=1e-3)


def test_lazy_layers_take_their_shape(tmp_path):
    file = saved(tmp_path, nn.Sequential(nn.Flatten(), nn.Linear(48, 5)).state_dict())
    loaded = with_weights(nn.Sequential(nn.Flatten(), nn.LazyLinear(5)), read_weights_file(file))
    assert torch.equal(loaded[1].weight, torch.load(file, weights_only=True)["1.weight"])


def test_the_count_of_batches_may_be_missing(tmp_path):
    old = {name: tensor for name, tensor in STATE.items() if not name.endswith("num_batches_tracked")}
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(load(saved(tmp_path, old)).eval()(x), net()(x))


def test_number_of_classes_by_the_shapes(tmp_path):
    assert find_num_classes(renamed(net(classes=7).state_dict(), "module."), STATE) == 7
    assert find_num_classes(STATE, STATE) is None
    other = dict(STATE) | {"head.weight": torch.zeros(7, 3)}
    assert find_num_classes(other, STATE) is None
    assert (
        find_num_classes(dict(STATE) | {"head.weight": torch.zeros(7, 16), "head.bias": torch.zeros(6)}, STATE) is None
    )


# ------------------------------------------------------------------------------------------------ all or an error


def without(*names):
    return {name: tensor for name, tensor in STATE.items() if name not in names}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (
            without("head.weight"),
            r"expected all 9 weights of Net and no others, got .*net.pt: 1 missing \(head.weight\); another .*weights",
        ),
        (
            {"head.weight": STATE["head.weight"]},
            r"7 missing \(conv.weight, conv.bias, norm.weight and 4 more\)|6 missing .* and 3 more\)",
        ),
        (
            STATE | {f"extra.{k}": torch.ones(1) for k in range(9)},
            r"no others \(name what is not .* in ignore\), .*9 unexpected \(extra.0, extra.1, extra.2 and 6 more\)",
        ),
        (
            net(classes=6).state_dict(),
            r"2 of another shape \(head.weight \(6, 16\), not \(5, 16\), head.bias \(6,\), not \(5,\)\)",
        ),
        (renamed(STATE, "vgg."), r"8 missing .*9 unexpected \(vgg.conv.weight, "),
        ({**renamed(without("head.bias"), "module."), "head.bias": STATE["head.bias"]}, r"missing .*unexpected"),
    ],
    ids=["missing", "few", "unexpected", "shape", "prefix", "mixed"],
)
def test_weights_that_do_not_fit(tmp_path, state, message):
    with pytest.raises(InputError, match=message) as caught:
        load(saved(tmp_path, state))
    assert "\n" not in str(caught.value)


def test_extra_names_only_where_they_are_named(tmp_path):
    file = saved(tmp_path, STATE | {"loss.a": torch.ones(1), "aux.b": torch.ones(1)})
    assert weights_digest(load(file, ignore=["loss.*", "aux.?"])) == weights_digest(net())
    with pytest.raises(InputError, match=r"1 unexpected \(aux.b\)"):
        load(file, ignore=["loss.*"])
    with pytest.raises(InputError, match=r"1 missing \(head.weight\)"):  # what is missing cannot be excused
        load(file, ignore=["loss.*", "aux.*", "head.weight"])


# ------------------------------------------------------------------------------------------------ files that are none


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("what", ["module", "evil", "plain pickle"])
def test_pickles_are_refused_and_never_run(tmp_path, what, zipped):
    trace = tmp_path / "was_here"
    content = net() if what == "module" else {"state_dict": STATE, "args": Evil(trace)}
    if what == "plain pickle":
        (tmp_path / "net.pt").write_bytes(pickle.dumps({"a": Evil(trace)}))
    else:
        saved(tmp_path, content, _use_new_zipfile_serialization=zipped)
    for read in (load, lambda file: open_program(file, trust_file=True)):
        with pytest.raises(
            InputError, match=r"convert it: torch.save\(torch.load\(FILE, weights_only=False\)"
        ) as caught:
            read(tmp_path / "net.pt")
        assert "\n" not in str(caught.value)
    assert not trace.exists()
    if what == "module":
        assert "a pickled tests" in str(caught.value) or "Net" in str(caught.value)


def test_the_conversion_that_the_error_tells_works(tmp_path):
    file = saved(tmp_path, net())
    torch.save(torch.load(file, weights_only=False).state_dict(), tmp_path / "new.pt")
    assert weights_digest(load(tmp_path / "new.pt")) == weights_digest(net())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "loss": 0.5}, r"a state dict, by itself or as one of state_dict, .*holds a dict \(epoch, loss\)"),
        ([torch.ones(2)], r"which holds a list \(weights\)"),
        (torch.ones(2), r"which holds a Tensor \(weights\)"),
        ({}, r"which holds a dict \(weights\)"),
        ({"model": STATE, "state_dict": STATE}, r"net.pt with several: state_dict, model \(weights\)"),
    ],
)
def test_files_without_a_state_dict(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read_weights_file(saved(tmp_path, content))


@pytest.mark.parametrize("keep", [0, 1, 20, 0.5, -1])
@pytest.mark.parametrize("zipped", [True, False])
def test_files_cut_short(tmp_path, keep, zipped):
    data = saved(tmp_path, STATE, _use_new_zipfile_serialization=zipped).read_bytes()
    (tmp_path / "net.pt").write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match=r"net.pt.*\(weights\)") as caught:
        read_weights_file(tmp_path / "net.pt")
    assert "\n" not in str(caught.value)


def test_safetensors_that_are_damaged(tmp_path):
    package = pytest.importorskip("safetensors.torch")
    package.save_file(STATE, tmp_path / "net.safetensors")
    data = (tmp_path / "net.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    header["head.bias"]["shape"] = [1 << 40]  # a terabyte
    text = json.dumps(header).encode()
    for damaged in (data[:-4], data[:60], struct.pack("<Q", len(text)) + text + data[8 + len(text) :]):
        (tmp_path / "net.safetensors").write_bytes(damaged)
        with pytest.raises(InputError, match=r"net.safetensors, which is damaged.*\(weights\)"):
            read_weights_file(tmp_path / "net.safetensors")
    package.save_file({}, tmp_path / "net.safetensors")
    with pytest.raises(InputError, match=r"which holds none"):
        read_weights_file(tmp_path / "net.safetensors")


def test_what_is_announced_must_be_there(tmp_path):
    """A few bytes can announce any number of them: compressed, or as a storage that is longer than its record."""
    file = saved(tmp_path, {"a": torch.zeros(300_000)})
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"bytes that announce \d+ \(weights\)"):
        read_weights_file(file)
    longer = {
        name: data.replace(struct.pack("<i", 300_000), struct.pack("<i", 300_000_000))
        if name.endswith(".pkl")
        else data
        for name, data in entries.items()
    }
    assert longer != entries
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in longer.items():
            archive.writestr(name, data)
    with pytest.raises(InputError, match=r"damaged|announces more than it holds"):
        read_weights_file(file)
    with pytest.raises(InputError, match=r"announces more than it holds"):
        read_weights_file(saved(tmp_path, {"a": torch.zeros(3, device="meta")}))


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"expected a file of weights that exists, got .*none.pt \(weights\)"):
        read_weights_file(tmp_path / "none.pt")
    with pytest.raises(InputError, match=r"a folder \(HuggingFaceModel opens those\) \(weights\)"):
        read_weights_file(tmp_path)


# ------------------------------------------------------------------------------------------------ programs


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Files of TorchScript and torch.export, by their kind."""
    folder = tmp_path_factory.mktemp("programs")
    with warnings.catch_warnings():  # TorchScript is on its way out, its files are not
        warnings.simplefilter("ignore")
        torch.jit.trace(net(), torch.rand(2, 3, 4, 4)).save(str(folder / "net.ts.pt"))
        batch = torch.export.Dim("batch", min=1, max=64)
        exported = torch.export.export(net(), (torch.rand(2, 3, 4, 4),), dynamic_shapes=({0: batch},))
        torch.export.save(exported, folder / "net.pt2")
    return {"TorchScript": folder / "net.ts.pt", "torch.export": folder / "net.pt2"}


@pytest.mark.parametrize("kind", ["TorchScript", "torch.export"])
def test_programs_are_opened_only_where_they_are_trusted(programs, kind):
    file = programs[kind]
    assert kind_of(file) == kind
    with pytest.raises(
        InputError, match=r"expected trust_file: true, if you .*, got .*which can run any code .*\(weights\)"
    ):
        open_program(file, trust_file=False)
    with pytest.raises(InputError, match=r"or module: null and trust_file: true .*a program \("):
        load(file)
    program, weights = open_program(file, trust_file=True)
    x = torch.rand(3, 3, 4, 4)
    torch.testing.assert_close(program(x), net()(x))
    assert (weights.kind, weights.sha256) == (kind, file_digest(file))


def test_programs_that_are_none(programs, tmp_path):
    with pytest.raises(InputError, match=r"expected module, the architecture that the weights belong to, got none"):
        open_program(saved(tmp_path, STATE), trust_file=True)
    with zipfile.ZipFile(programs["torch.export"]) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    damaged = io.BytesIO()
    with zipfile.ZipFile(damaged, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data[:9] if name.endswith("model.json") else data)
    (tmp_path / "net.pt2").write_bytes(damaged.getvalue())
    with pytest.raises(MIError, match=r"expected a program of torch.export, got .*net.pt2, which fails") as caught:
        open_program(tmp_path / "net.pt2", trust_file=True)
    assert "\n" not in str(caught.value)
