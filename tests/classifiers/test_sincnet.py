"""SincNet: its published sizes, utterances by frames, the d-vector, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
import yaml
from torch import Tensor

from mi_lightning.classifiers import SINC_SMALL, SincNet
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.errors import InputError
from mi_lightning.targets import WhiteBox

TINY = {
    "input_shape": (1, 320),
    "num_classes": 3,
    "sample_rate": 8000,
    "shift_seconds": 0.005,
    "filters": 6,
    "taps": 31,
    "stride": 4,
    "channels": [5],
    "kernels": [3],
    "pool": 2,
    "hidden": [8, 7],
    "input_affine": False,
}


def make(**arguments) -> SincNet:
    """A tiny network whose norms have left where they start, so that a forgotten one shows."""
    torch.manual_seed(0)
    classifier = SincNet(**TINY | arguments)
    with torch.no_grad():
        for module in classifier.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(std=0.3)
            if isinstance(module, torch.nn.BatchNorm1d):
                module.running_mean.normal_(std=0.3)
                module.running_var.uniform_(0.5, 2)
    return classifier.eval()


@pytest.fixture
def speech() -> Tensor:
    """Two waveforms of 1000 samples, 18 frames of 320, far from zero mean."""
    return 0.2 + 0.3 * torch.randn(2, 1, 1000, generator=torch.Generator().manual_seed(1))


def test_published_sizes():
    classifier = SincNet(input_shape=(1, 3200), num_classes=462)
    counts = {name: sum(p.numel() for p in getattr(classifier, name).parameters()) for name in ("sinc", "convolutions")}
    assert counts == {"sinc": 2 * 80, "convolutions": 80 * 60 * 5 + 60 + 60 * 60 * 5 + 60}
    # 2950 outputs of the filters, then (983 - 4) // 3 = 326 and (326 - 4) // 3 = 107
    assert [tuple(norm.normalized_shape) for norm in classifier.norms] == [(80, 983), (60, 326), (60, 107)]
    layers = [layer for layer in classifier.dense if isinstance(layer, torch.nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in layers] == [(2048, 60 * 107), (2048, 2048), (2048, 2048)]
    assert classifier.head.weight.shape == (462, 2048)
    (group,) = classifier.configure_optimizers().param_groups
    assert isinstance(classifier.configure_optimizers(), torch.optim.RMSprop)
    assert group["lr"] == 1e-3


def test_layers_one_by_one(speech):
    """The forward pass written out, with plain functions."""
    classifier, x = make(input_affine=True), speech[:, :, :320]
    functional = torch.nn.functional
    state = {name: value.detach() for name, value in classifier.state_dict().items()}
    y = functional.layer_norm(x, (320,), state["input_norm.weight"], state["input_norm.bias"])
    y = functional.conv1d(y, classifier.sinc.kernels(), stride=4).abs()
    for index, (weight, bias) in enumerate(
        [(None, None), (state["convolutions.0.weight"], state["convolutions.0.bias"])]
    ):
        y = y if weight is None else functional.conv1d(y, weight, bias)
        y = functional.max_pool1d(y, 2)
        y = functional.layer_norm(y, y.shape[1:], state[f"norms.{index}.weight"], state[f"norms.{index}.bias"])
        y = functional.leaky_relu(y, 0.2)
    y = functional.layer_norm(y.flatten(1), (y[0].numel(),), state["dense.1.weight"], state["dense.1.bias"])
    for linear, norm in ((2, 3), (5, 6)):
        y = y @ state[f"dense.{linear}.weight"].t()
        y = (y - state[f"dense.{norm}.running_mean"]) / (state[f"dense.{norm}.running_var"] + 1e-5).sqrt()
        y = functional.leaky_relu(y * state[f"dense.{norm}.weight"] + state[f"dense.{norm}.bias"], 0.2)
    torch.testing.assert_close(classifier.features(x), y)
    torch.testing.assert_close(classifier(x), y @ state["head.weight"].t() + state["head.bias"])


@pytest.mark.parametrize("arguments", [{}, {"input_affine": True}, {"shift_seconds": 0.00075}, {"stride": 1}])
def test_frames_are_chunks(speech, arguments):
    """Whether the frames share the filters or not, each is what its chunk is alone."""
    classifier = make(**arguments)
    shift = round(classifier.shift_seconds * 8000)
    chunks = [speech[:, :, first : first + 320] for first in range(0, 1000 - 319, shift)]
    expected = torch.stack([classifier(chunk) for chunk in chunks], 1)
    torch.testing.assert_close(classifier.frame_logits(speech), expected, atol=2e-4, rtol=1e-4)
    vectors = torch.stack([classifier.features(chunk) for chunk in chunks], 1)
    torch.testing.assert_close(classifier.frame_features(speech), vectors, atol=2e-4, rtol=1e-4)
    # the sentence: the sum of log-probabilities decides; the d-vector: the mean, of length 1
    torch.testing.assert_close(classifier(speech), expected.log_softmax(-1).mean(1), atol=2e-4, rtol=1e-4)
    mean = vectors.mean(1)
    torch.testing.assert_close(classifier.features(speech), mean / mean.norm(dim=1, keepdim=True), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("samples", [320, 321, 359, 360, 398, 399, 400])
def test_every_length(samples):
    """Lengths that are no whole number of shifts: the rest at the end is left out."""
    x = torch.randn(2, 1, samples)
    assert make().frame_logits(x).shape == (2, 1 + (samples - 320) // 40, 3)


def test_shift_may_be_changed(speech):
    classifier = make()
    fine = classifier.frame_logits(speech)
    classifier.shift_seconds = 0.02
    torch.testing.assert_close(classifier.frame_logits(speech), fine[:, ::4])
    classifier.shift_seconds = 1.0
    with pytest.raises(InputError, match=r"shift_seconds between one sample and a chunk \(0\.04 s\), got 1\.0"):
        classifier(speech)


@pytest.mark.parametrize("at_once", [1, 2, 7, 36])
def test_parts_of_an_utterance_give_the_same(speech, at_once):
    classifier = make().requires_grad_(False)
    x = speech.requires_grad_()
    expected = classifier(x)
    (slope,) = torch.autograd.grad(expected[:, 0].sum(), x)
    classifier.frames_at_once = at_once
    found = classifier(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found[:, 0].sum(), x)[0], slope)


@pytest.mark.parametrize("method", ["forward", "features"])
@pytest.mark.parametrize("samples", [320, 1000])
def test_gradient_towards_the_waveform_is_right(speech, method, samples):
    """Against the difference along random directions, in double precision."""
    classifier = make().double().requires_grad_(False)
    x = speech[:, :, :samples].double().requires_grad_()
    weights, *directions = torch.randn(
        4, 2, 1, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )

    def value(x: Tensor) -> Tensor:
        found = getattr(classifier, method)(x)
        return (found * weights[:, 0, : found.shape[1]]).sum()

    (slope,) = torch.autograd.grad(value(x), x)
    with torch.no_grad():
        for direction in directions:
            difference = (value(x + 1e-7 * direction) - value(x - 1e-7 * direction)).item() / 2e-7
            assert (slope * direction).sum().item() == pytest.approx(difference, rel=1e-4, abs=1e-6)


def test_loudness_and_offset_carry_no_name(speech):
    classifier = make()
    torch.testing.assert_close(classifier(0.3 * speech + 0.2), classifier(speech), atol=2e-3, rtol=1e-3)


def test_silence_gives_finite_logits_and_gradient():
    x = torch.zeros(1, 1, 1000, requires_grad=True)
    logits = make()(x)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert x.grad.isfinite().all()


def test_utterances_go_through_a_target(speech):
    target = WhiteBox(make())
    confidences = target.confidences(speech)
    torch.testing.assert_close(confidences.sum(1), torch.ones(2))
    torch.testing.assert_close(confidences.log(), target.log_confidences(speech))


def test_checkpoint(tmp_path, speech):
    classifier = make(class_names=["a", "b", "c"])
    save_classifier(classifier, tmp_path / "sincnet.ckpt")
    loaded = load_classifier(tmp_path / "sincnet.ckpt")
    assert isinstance(loaded, SincNet)
    assert loaded.class_names == ("a", "b", "c")
    assert (loaded.shift_seconds, loaded.hidden, loaded.stride) == (0.005, (8, 7), 4)
    assert torch.equal(loaded(speech), classifier(speech))


def test_small_sizes_are_those_of_the_configurations(request):
    for name in ("voices", "librispeech", "librispeech100", "timit"):
        path = request.config.rootpath / f"configs/fit/{name}_sincnet.yaml"
        init_args = yaml.safe_load(path.read_text())["model"]["init_args"]
        assert {key: init_args[key] for key in SINC_SMALL} == SINC_SMALL


def voices(count: int, samples: int) -> tuple[Tensor, Tensor]:
    """Speakers that differ in the pitch of a buzz, at random times and with noise."""
    y = torch.arange(count) % 3
    start = torch.rand(count, 1)
    phase = 2 * math.pi * ((start + torch.arange(samples) / 8000) * torch.tensor([210.0, 500.0, 1250.0])[y][:, None])
    return (0.3 * phase.sin() + 0.05 * torch.randn(count, samples))[:, None], y


def test_training_reduces_the_loss_and_the_test_counts_frames_and_sentences(quiet_fit):
    torch.manual_seed(0)
    classifier = make(optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.01)).train()
    optimizer = classifier.configure_optimizers()
    losses = []
    for _ in range(25):
        loss = classifier.training_step(voices(24, 320), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.4 * sum(losses[:5])
    x, y = voices(6, 1000)
    metrics = quiet_fit(classifier, [(x[[i]], y[[i]]) for i in range(6)])
    frames = classifier.eval().frame_logits(x)
    frame_accuracy = (frames.argmax(-1) == y[:, None]).float().mean().item()
    accuracy = (frames.log_softmax(-1).sum(1).argmax(-1) == y).float().mean().item()
    assert accuracy > 0.8
    assert metrics == {
        "test/accuracy": pytest.approx(accuracy),
        "test/frame_accuracy": pytest.approx(frame_accuracy),
        "test/loss": pytest.approx(torch.nn.functional.cross_entropy(classifier(x), y).item(), rel=1e-4),
    }
    assert classifier.training_info["test_frame_accuracy"] == pytest.approx(frame_accuracy)


@pytest.fixture
def quiet_fit(tmp_path):
    """A function that tests a classifier on batches and gives the metrics."""
    from lightning.pytorch import Trainer

    def run(classifier: SincNet, batches: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
        trainer = Trainer(
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
            accelerator="cpu",
        )
        (metrics,) = trainer.test(classifier, torch.utils.data.DataLoader(batches, batch_size=None), verbose=False)
        return dict(metrics)

    return run


@pytest.mark.parametrize("shape", [(2, 1, 319), (2, 1000), (2, 2, 1000), (320,)])
def test_other_shapes_are_refused(shape):
    words = r"waveforms of shape \(N, 1, samples\) with 320 samples \(a chunk\) or more, got \("
    for method in ("forward", "features", "frame_logits"):
        with pytest.raises(InputError, match=words):
            getattr(make(), method)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"input_shape": (320,)},
            r"input_shape \(1, samples\): one channel of .*, got \(320,\) \(input_shape\)",
        ),
        ({"input_shape": (1, 40)}, r"chunks long enough for taps, kernels and pool, got 40 samples"),
        ({"kernels": [3, 3]}, r"1 kernels, one for each of channels, got 2"),
        ({"hidden": []}, r"at least one size in hidden, got \(\)"),
        ({"pool": 0}, r"pool >= 1, got 0 \(pool\)"),
        ({"dropout": 1.0}, r"0 <= dropout < 1, got 1\.0"),
        ({"shift_seconds": 0.0}, r"shift_seconds between one sample and a chunk"),
        ({"sample_rate": 10}, r"sample_rate >= 1000 \(Hz\), got 10"),
        ({"taps": 30}, r"odd number of taps"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(InputError, match=words):
        make(**arguments)
