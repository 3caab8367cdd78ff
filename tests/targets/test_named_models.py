"""Models of torchvision, timm and Hugging Face by name or folder: the packages' own answers, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from mi_lightning.checkpoint import file_digest
from mi_lightning.cli.main import main
from mi_lightning.errors import InputError
from mi_lightning.extras import load_transformers
from mi_lightning.targets import HuggingFaceModel, Preprocessing, TimmModel, TorchModule, TorchvisionModel
from mi_lightning.targets.hugging_face_model import preprocessing_of
from mi_lightning.targets.timm_model import evaluation_of
from tests.contracts.parts import plain


def photographs(n=2, channels=3, height=56, width=46):
    """Smooth pictures of whole grey levels, in [0, 1]: resizers differ most on noise."""
    torch.manual_seed(0)
    noise = torch.rand(n, channels, height // 8, width // 8)
    return (nn.functional.interpolate(noise, size=(height, width), mode="bilinear") * 255).round() / 255


def trained(net):
    """A network whose batch norm has seen data, in evaluation mode."""
    with torch.no_grad():
        net.train()(torch.rand(4, 3, 64, 64))
    return net.eval()


def holds_the_contract(target, x):
    """What every target must do, briefly; the rest is that of a white box."""
    x = x.clone().requires_grad_()
    p = target.confidences(x)
    torch.testing.assert_close(p.sum(1), torch.ones(len(x)))
    (gradient,) = torch.autograd.grad(p[:, 1].sum(), x)
    assert gradient.shape == x.shape
    assert gradient.any()
    assert target.queries == len(x)
    said = target.describe()
    assert plain(said), said
    assert not any(part.training for part in target.module.modules())
    assert not any(parameter.requires_grad for parameter in target.module.parameters())
    return said


# ------------------------------------------------------------------------------------------------ torchvision


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    """A ResNet of torchvision for seven people, and its file as DataParallel writes it."""
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    net = trained(models.resnet18(num_classes=7, width_per_group=64))
    file = tmp_path_factory.mktemp("vision") / "faces.pt"
    torch.save({"model": {f"module.{name}": value for name, value in net.state_dict().items()}, "epoch": 9}, file)
    return net, str(file)


def test_torchvision_by_name(vision):
    net, file = vision
    part = Preprocessing(channels=3, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    target = TorchvisionModel("resnet18", file, input_shape=(1, 56, 46), preprocessing=part)
    assert target.num_classes == 7  # as the file has it
    x = photographs(channels=1)
    torch.testing.assert_close(target.logits(x), net(part(x)))
    target.ledger.total = 0
    said = holds_the_contract(target, x)
    assert (said["class"], said["checkpoint_sha256"]) == ("torchvision.models.resnet.ResNet", file_digest(file))
    state = torch.get_rng_state()
    TorchvisionModel("resnet18", file, input_shape=(3, 32, 32))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet17"}, r"expected an architecture of torchvision, got resnet17 \(near it: resnet18"),
        ({"name": "fasterrcnn_resnet50_fpn"}, r"expected an architecture of torchvision"),  # no classifier
        ({"num_classes": 9}, r"2 of another shape \(fc.weight \(7, 512\), not \(9, 512\)"),
        (
            {"name": "resnet34"},
            r"expected all 218 weights of ResNet and no others, got .* missing .*; another arch",
        ),
        ({"arguments": {"depth": 3}}, r"arguments that the architecture takes, got .*'depth' \(arguments\)"),
        ({"weights": ""}, r"expected a file of weights, or null for weights at random, got none \(weights\)"),
        ({"weights": "IMAGENET1K_V1"}, r"a file of weights that exists, got IMAGENET1K_V1 \(weights\)"),  # no download
        ({"class_names": ["a"]}, r"expected 7 class_names, got 1"),
    ],
)
def test_torchvision_that_does_not_fit(vision, settings, message):
    given = {"name": "resnet18", "weights": vision[1], "input_shape": (3, 32, 32), **settings}
    with pytest.raises(InputError, match=message):
        TorchvisionModel(**given)


def test_torchvision_at_random():
    pytest.importorskip("torchvision")
    target = TorchvisionModel("squeezenet1_1", None, num_classes=3, input_shape=(3, 32, 32))
    assert (target.num_classes, target.describe()["weights"]) == (3, None)


CONFIG = """
# mi-lightning invert --config own.yaml
model:
  target:
    class_path: {target}
    init_args:
      {architecture}
      weights: {file}
      input_shape: [1, 40, 32]
      preprocessing: {{channels: 3, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}}
  labels: "2-3"
  max_iterations: 1
trainer: {{logger: {{class_path: lightning.pytorch.loggers.CSVLogger, init_args: {{save_dir: runs, name: own}}}}}}
"""


@pytest.mark.parametrize(
    ("target", "architecture"),
    [
        ("TorchvisionModel", "name: resnet18"),
        ("TorchModule", "module: {class_path: torchvision.models.resnet18, init_args: {num_classes: 7}}"),
    ],
)
def test_torchvision_by_the_command_line(vision, tmp_path, monkeypatch, target, architecture):
    monkeypatch.chdir(tmp_path)
    text = CONFIG.format(target=f"mi_lightning.targets.{target}", architecture=architecture, file=vision[1])
    assert len(text.strip().splitlines()) < 20
    Path("own.yaml").write_text(text)
    main(["invert", "--config", "own.yaml", "--trainer.enable_progress_bar", "false"])
    results = json.loads(Path("runs/own/version_0/results.json").read_text())
    assert results["target"]["checkpoint_sha256"] == file_digest(vision[1])
    assert [row["label"] for row in results["per_label"]] == [2, 3]


def test_an_architecture_made_in_python(vision):
    models = pytest.importorskip("torchvision.models")
    net, file = vision
    target = TorchModule(models.resnet18(num_classes=7), file, input_shape=(3, 32, 32))
    x = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(target.logits(x), net(x))


# ------------------------------------------------------------------------------------------------ timm


def test_timm_by_name_with_its_own_evaluation(tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = trained(timm.create_model("resnet10t", num_classes=6))
    torch.save({"state_dict": net.state_dict(), "arch": "resnet10t"}, tmp_path / "net.pth")
    target = TimmModel("resnet10t", str(tmp_path / "net.pth"), input_shape=(3, 256, 212))
    assert target.num_classes == 6
    transforms = timm.data.create_transform(**timm.data.resolve_model_data_config(net))
    x = photographs(1, 3, 256, 212)
    theirs = nn.Sequential(*(part for part in transforms.transforms if isinstance(part, nn.Module)))(x)
    torch.testing.assert_close(target.preprocessing(x), theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(target.logits(x), net(theirs), atol=1e-3, rtol=1e-3)
    bare = TimmModel("resnet10t", str(tmp_path / "net.pth"), input_shape=(3, 64, 64), preprocessing=Preprocessing())
    x = torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(bare.logits(x), net(x))
    bare.ledger.total = 0
    assert holds_the_contract(bare, x)["preprocessing"] == "Preprocessing()"


@pytest.mark.parametrize("shape", [(1, 112, 92), (3, 92, 112), (3, 500, 100), (1, 20, 400)])
def test_timm_takes_any_shape_of_data(shape):
    timm = pytest.importorskip("timm")
    config = timm.data.resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg("resnet10t").to_dict())
    assert evaluation_of(config, shape).shape_after(shape) == (3, 176, 176)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet10", r"expected an architecture of timm, got resnet10 \(near it: "),
        ("hf-hub:timm/resnet18", r"expected an architecture of timm"),  # which would be downloaded
    ],
)
def test_timm_that_is_unknown(name, message):
    pytest.importorskip("timm")
    with pytest.raises(InputError, match=message):
        TimmModel(name, None)


# ------------------------------------------------------------------------------------------------ Hugging Face


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small vision transformer as `save_pretrained` writes it, with its processor."""
    pytest.importorskip("transformers")
    package, path = load_transformers(), tmp_path_factory.mktemp("hf") / "vit"
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = package.ViTConfig(
        **sizes, image_size=32, patch_size=8, id2label={k: f"person {k}" for k in range(5)}, initializer_range=0.5
    )
    package.utils.logging.disable_progress_bar()
    package.ViTForImageClassification(config).save_pretrained(path)
    processor = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 2}
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    return path


def test_a_folder_of_hugging_face(folder):
    net = load_transformers().ViTForImageClassification.from_pretrained(folder).eval()
    x = photographs()
    target = HuggingFaceModel(str(folder), input_shape=(3, 56, 46))
    assert target.class_names == tuple(f"person {k}" for k in range(5))
    part = Preprocessing(resize=(32, 32), mean=[0.5] * 3, std=[0.25] * 3)
    torch.testing.assert_close(target.logits(x), net(part(x)).logits, atol=1e-5, rtol=1e-5)
    target.ledger.total = 0
    said = holds_the_contract(target, x)
    assert said["checkpoint_sha256"] == file_digest(folder / "model.safetensors")
    grey = HuggingFaceModel(str(folder), input_shape=(1, 56, 46), class_names=list("abcde"))
    torch.testing.assert_close(grey.logits(x[:, :1]), net(part(x[:, :1].expand(-1, 3, -1, -1))).logits)
    assert grey.class_names == tuple("abcde")
    own = HuggingFaceModel(str(folder), preprocessing=Preprocessing())
    assert own.input_shape == (3, 32, 32)


def changed_config(path, **entries):
    content = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(content | entries))


def changed_weights(path, change):
    package = pytest.importorskip("safetensors.torch")
    state = package.load_file(path / "model.safetensors")
    change(state)
    package.save_file(state, path / "model.safetensors", metadata={"format": "pt"})


def with_code(path):
    changed_config(
        path, model_type="own", auto_map={"AutoModelForImageClassification": "own.Own", "AutoConfig": "own.C"}
    )
    (path / "own.py").write_text(f"open({str(path / 'was_here')!r}, 'w')\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda path: changed_weights(path, lambda state: state.pop("classifier.weight")),
            r"expected all weights of the model and no others, got .*, missing: classifier.weight \(folder\)",
        ),
        (
            lambda path: changed_weights(path, lambda state: state.update(extra=torch.ones(1))),
            r"unexpected: extra \(folder\)",
        ),
        (
            lambda path: changed_weights(path, lambda state: state.update({"classifier.bias": torch.ones(9)})),
            r"mismatched: .*classifier.bias.* \(folder\)",
        ),
        (with_code, r"a model without code of its own, got .*whose configuration has auto_map"),
        (
            lambda path: changed_config(path, _attn_implementation="somebody/kernel"),
            r"whose configuration has _attn_implementation",
        ),
        (lambda path: (path / "model.safetensors").rename(path / "x.bin"), r"weights as safetensors .* without model"),
        (lambda path: (path / "config.json").unlink(), r"a local folder with config.json and safetensors"),
        (lambda path: (path / "model.safetensors").write_bytes(b"{" * 99), r"a folder with a classifier of images"),
        (lambda path: changed_config(path, model_type="nonesuch"), r"a folder with a classifier of images"),
        (
            lambda path: (path / "preprocessor_config.json").write_text('{"do_pad": true}'),
            r"expected preprocessing, since that of the folder does more than is known here, got do_pad",
        ),
    ],
)
def test_folders_that_are_refused(folder, tmp_path, change, message):
    copy = tmp_path / "vit"
    shutil.copytree(folder, copy)
    change(copy)
    with pytest.raises(InputError, match=message) as caught:
        HuggingFaceModel(str(copy), input_shape=(3, 32, 32))
    assert "\n" not in str(caught.value)
    assert not (copy / "was_here").exists()


def test_nothing_is_downloaded(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"a local folder with config.json and safetensors, got google/vit-base"):
        HuggingFaceModel("google/vit-base")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ViTImageProcessor", {"size": {"height": 32, "width": 40}}),
        ("ViTImageProcessor", {"do_resize": False, "do_normalize": False, "do_rescale": False}),
        ("ViTImageProcessor", {"do_resize": False, "rescale_factor": 1 / 127.5}),
        ("CLIPImageProcessor", {"size": {"shortest_edge": 30}, "crop_size": {"height": 24, "width": 24}}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 32}, "crop_pct": 0.8}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
    ],
)
def test_processors_of_transformers(name, settings):
    pytest.importorskip("transformers")
    processor = getattr(load_transformers(), name)(**settings)
    x = photographs(1, 3, 56, 45)
    theirs = processor(images=list((x * 255).round().byte()), return_tensors="pt")["pixel_values"].float()
    ours = preprocessing_of(json.loads(processor.to_json_string()), (3, 56, 45))(x)
    assert ours.shape == theirs.shape
    scale = float(theirs.max() - theirs.min())
    assert float((ours - theirs).abs().max()) < 0.012 * scale  # theirs rounds to whole grey levels in between
