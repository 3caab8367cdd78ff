"""A module and its file as a target: what it answers, that it is attacked as planned, and by the command line."""

from __future__ import annotations

import copy
import importlib
import json
import re
import sys
import warnings

import pytest
import torch
from torch import nn

from mi_lightning.attacks import Attack
from mi_lightning.attacks.initializers import MidGrey
from mi_lightning.attacks.spaces import PixelSpace
from mi_lightning.checkpoint import file_digest, weights_digest
from mi_lightning.cli.main import main
from mi_lightning.errors import InputError
from mi_lightning.targets import Preprocessing, TorchModule
from tests.targets.test_any_model import resnet, same, snapshot


def linear(inputs=12, classes=5, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs, classes))


def saved(tmp_path, module):
    torch.save(module.state_dict(), tmp_path / "net.pt")
    return str(tmp_path / "net.pt")


def test_the_weights_of_the_file_are_attacked_and_told(tmp_path):
    file, module = saved(tmp_path, linear()), linear(seed=1)
    target = TorchModule(module, file, input_shape=(3, 2, 2))
    x = torch.rand(4, 3, 2, 2)
    assert torch.equal(target.logits(x), linear()(x))
    assert torch.equal(module(x), linear(seed=1)(x))
    assert target.fingerprint() == weights_digest(linear())
    said = target.describe()
    assert (said["checkpoint"], said["checkpoint_sha256"]) == (file, file_digest(file))
    assert said["weights"] == {"file": file, "sha256": file_digest(file), "kind": "state dict"}


def test_a_module_as_it_stands_has_to_be_asked_for():
    with pytest.raises(
        InputError, match=r"expected a file of weights, or null to .* as it stands, got none \(weights\)"
    ):
        TorchModule(linear(), input_shape=(3, 2, 2))
    said = TorchModule(linear(), None, input_shape=(3, 2, 2)).describe()
    assert (said["weights"], said["checkpoint"]) == (None, "")
    with pytest.raises(InputError, match=r"expected a module, or a file that holds a whole one, got neither"):
        TorchModule(None, None, input_shape=(3, 2, 2))
    with pytest.raises(InputError, match=r"expected a torch.nn.Module, got type \(module\)"):
        TorchModule(nn.Linear, "net.pt", input_shape=(3, 2, 2))


@pytest.mark.parametrize("kind", ["script", "export"])
def test_a_program_is_attacked(tmp_path, kind):
    net, file = resnet(), str(tmp_path / "net.pt2")
    net.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "script":
            torch.jit.trace(net, torch.rand(2, 3, 64, 64)).save(file)
        else:
            batch = torch.export.Dim("batch", min=1, max=64)
            torch.export.save(torch.export.export(net, (torch.rand(2, 3, 64, 64),), dynamic_shapes=({0: batch},)), file)
    target = TorchModule(None, file, trust_file=True, input_shape=(3, 64, 64))
    x = torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(target.logits(x), net(x))
    found, expected = (
        torch.autograd.grad(ask(y := x.clone().requires_grad_())[:, 1].sum(), y)[0] for ask in (target.logits, net)
    )
    torch.testing.assert_close(found, expected)
    assert target.describe()["weights"]["kind"] == {"script": "TorchScript", "export": "torch.export"}[kind]


def test_a_control_leaves_the_weights_of_the_file_out(tmp_path):
    file, module = saved(tmp_path, linear(seed=2)), linear(seed=1)
    nn.init.zeros_(module[1].weight)  # as some heads start, whose answers would all be the same
    target = TorchModule(module, file, untrained=True, input_shape=(3, 2, 2))
    assert not module[1].weight.any()
    weight = target.module[1].weight
    assert weight.any()
    assert not torch.equal(weight, linear(seed=2)[1].weight)
    said = target.describe()
    assert (said["training"], said["weights"], said["checkpoint"]) == ({"untrained": True}, None, "")
    assert TorchModule(module, file, untrained=True, input_shape=(3, 2, 2)).fingerprint() == target.fingerprint()
    with pytest.raises(InputError, match=r"an architecture, whose weights can be drawn anew, got a whole program"):
        TorchModule(None, file, untrained=True, trust_file=True, input_shape=(3, 2, 2))


# ------------------------------------------------------------------------------------------------ attacked


def test_three_channels_batch_norm_and_a_hundred_classes(tmp_path):
    net = resnet(100)
    net.train()
    file, before = saved(tmp_path, net), snapshot(net)
    target = TorchModule(resnet(100), file, input_shape=(3, 64, 64), preprocessing=Preprocessing(mean=0.45, std=0.22))
    result = Attack(space=PixelSpace(initializer=MidGrey()), max_iterations=8).run(target, labels=[0, 57, 99])
    assert result.reconstruction.shape == (3, 3, 64, 64)
    assert bool((result.confidence > target.confidences(torch.full((1, 3, 64, 64), 0.5))[0, [0, 57, 99]]).all())
    assert same(before, snapshot(net))
    assert net.training


class Templates(nn.Module):
    """Answers with the product of an input and one template a class: on pixels in [0, 1] the best input is known.

    Each class has +1 where its template is bright and -1 where it is dark, so that it is surest of the template itself.
    """

    def __init__(self, shape, classes=4, *, layout="NCHW", top=1.0):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        bright = torch.rand(classes, *shape, generator=generator) > 0.5
        self.register_buffer("templates", bright.float())
        self.layout, self.top = layout, top

    def forward(self, x):
        x = x.permute(0, 3, 1, 2) if self.layout == "NHWC" else x
        signs = (2 * self.templates - 1).flatten(1)
        return (x / self.top).flatten(1) @ signs.T * 0.2


#: Shape that the model takes, (C, H, W); shape of the data; how the model is asked; and the preprocessing.
LAYOUTS = {
    "grey": ((1, 6, 5), (1, 6, 5), {}, {}),
    "RGB": ((3, 6, 5), (3, 6, 5), {}, {}),
    "NHWC": ((3, 6, 5), (3, 6, 5), {"layout": "NHWC"}, {"channels_last": True}),
    "0 to 255": ((3, 6, 5), (3, 6, 5), {"top": 255.0}, {"scale": 255.0}),
    "mean and deviation": ((3, 6, 5), (3, 6, 5), {}, {"mean": [0.2, 0.5, 0.7], "std": [0.2, 0.3, 0.25]}),
    "grey data": ((3, 6, 5), (1, 6, 5), {}, {"channels": 3}),
    "RGB data": ((1, 6, 5), (3, 6, 5), {}, {"channels": 1}),
    "resize": ((1, 6, 5), (1, 12, 10), {}, {"resize": (6, 5)}),
    "crop": ((1, 6, 5), (1, 8, 9), {}, {"crop": (6, 5)}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_planted_templates_are_found_in_the_shape_of_the_data(tmp_path, name):
    inside, outside, model, settings = LAYOUTS[name]
    net = Templates(inside, **model)
    target = TorchModule(
        Templates(inside, **model) if name != "grey" else copy.deepcopy(net),
        saved(tmp_path, net),
        input_shape=outside,
        preprocessing=Preprocessing(**settings),
    )
    attack = Attack(
        space=PixelSpace(initializer=MidGrey()),
        max_iterations=60,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.5),
    )
    images = attack.run(target).reconstruction
    assert images.shape == (4, *outside)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    # what the model sees of them, before scale and layout
    geometry = {key: value for key, value in settings.items() if key in ("resize", "crop", "channels")}
    seen = Preprocessing(**geometry)(images)
    templates = net.templates
    if outside[0] == 1 and inside[0] == 3:  # one grey level for three colours: the majority decides
        seen, templates = seen[:, :1], (templates.mean(1, keepdim=True) > 0.5).float()
    centred = [(each - each.mean()).flatten(1) for each in (seen, templates)]
    likeness = nn.functional.normalize(centred[0]) @ nn.functional.normalize(centred[1]).T
    assert likeness.argmax(1).tolist() == [0, 1, 2, 3]
    assert float(likeness.diagonal().min()) > (0.6 if name in ("grey data", "resize") else 0.8)
    if name == "crop":  # no gradient outside: the start stays
        edge = torch.ones(8, 9, dtype=torch.bool)
        edge[1:7, 2:7] = False
        assert torch.equal(images[:, 0, edge], torch.full((4, int(edge.sum())), 0.5))


# ------------------------------------------------------------------------------------------------ command line

MYNET = """
from torch import nn


class Net(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(48, width), nn.Tanh(), nn.Linear(width, 4))

    def forward(self, x):
        return self.layers(x)


def make(width: int = 4) -> Net:
    return Net(width)
"""

YAML = """
model:
  target:
    class_path: mi_lightning.targets.TorchModule
    init_args:
      module: {class_path: %s, init_args: {width: 7}}
      weights: net.pt
      input_shape: [1, 8, 6]
      class_names: [s1, s2, s3, s4]
      preprocessing: {mean: 0.5, std: [0.25]}
  cost: mi_lightning.attacks.costs.NegativeLogConfidence
  max_iterations: 5
trainer:
  logger:
    class_path: lightning.pytorch.loggers.CSVLogger
    init_args: {save_dir: runs, name: own}
"""


@pytest.fixture
def mynet(tmp_path, monkeypatch):
    """A module of the user's in the working folder, its weights and its configuration."""
    (tmp_path / "mynet.py").write_text(MYNET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mynet", raising=False)
    mynet = importlib.import_module("mynet")

    torch.manual_seed(5)
    torch.save({"state_dict": {f"module.{k}": v for k, v in mynet.Net(7).state_dict().items()}}, "net.pt")
    (tmp_path / "own.yaml").write_text(YAML % "mynet.Net")
    return mynet


@pytest.mark.parametrize("path", ["mynet.Net", "mynet.make"])
def test_a_class_and_a_function_by_the_command_line(mynet, tmp_path, path):
    (tmp_path / "own.yaml").write_text(YAML % path)
    flags = ["--import", "mynet", "--trainer.enable_progress_bar", "false"]
    main(["invert", "--config", "own.yaml", *flags])
    said = json.loads((tmp_path / "runs/own/version_0/results.json").read_text())["target"]
    assert said["weights"] == {"file": "net.pt", "sha256": file_digest("net.pt"), "kind": "state dict"}
    assert (said["class"], said["preprocessing"]) == ("mynet.Net", "Preprocessing(mean=(0.5,), std=(0.25,))")
    # what was written down runs again
    again = tmp_path / "runs/own/version_0/config.yaml"
    main(["invert", "--config", str(again), *flags])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("weights: net.pt", "weights: none.pt"), "expected a file of weights that exists, got none.pt"),
        (("width: 7", "width: 8"), "4 of another shape|3 of another shape"),
        (
            ("      weights: net.pt\n", ""),
            "expected a file of weights, or null to attack the module as it stands, got none",
        ),
        (("preprocessing: {mean", "preprocessing: {crop: [9, 9], mean"), "expected a crop within the image of 8 x 6"),
        (("preprocessing: {mean", "preprocessing: {uint8: true, mean"), "through which gradients flow"),
    ],
)
def test_what_is_wrong_is_one_line_before_any_file(mynet, tmp_path, capsys, change, words):
    (tmp_path / "own.yaml").write_text((YAML % "mynet.Net").replace(*change))
    with pytest.raises(SystemExit) as caught:
        main(["invert", "--config", "own.yaml", "--import", "mynet"])
    said = capsys.readouterr().err.strip()
    assert caught.value.code == 2
    assert len(said.splitlines()) == 1
    assert re.search(words, said), said
    assert not (tmp_path / "runs").exists()
