from __future__ import annotations

import pytest
import torch

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.estimators.nes import NES
from mi_lightning.attacks.estimators.spsa import SPSA
from mi_lightning.attacks.initializers.constant import Zeros
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.waveform import WaveformSpace
from mi_lightning.classifiers import SINC_SMALL, SincNet, SoftmaxRegression
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.frames import FrameView, frame_count, open_classifier
from tests.attacks.conftest import quiet_trainer

CHUNK, SPEAKERS = 8, 4


@pytest.fixture
def speakers() -> SoftmaxRegression:
    """A softmax regression of chunks of 8 samples, weights drawn: its gradient is known in closed form."""
    return toy()


def toy() -> SoftmaxRegression:
    model = SoftmaxRegression(input_shape=(1, CHUNK), num_classes=SPEAKERS, input_range=(-1.0, 1.0))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def rows(labels: int = 2) -> Rows:
    return Rows.grid(range(labels), 1, seed=0)


def bound(target: object, **settings: object) -> WaveformSpace:
    space = WaveformSpace(**{"sample_rate": 100, "frame_shift": 0.03} | settings)
    space.bind(target)
    return space


def test_a_view_is_the_softmax_of_the_mean_log_confidence_of_frames(speakers):
    x = torch.randn(3, 1, 21, generator=torch.Generator().manual_seed(2))
    found = FrameView(WhiteBox(speakers), shift=4).confidences(x)
    for row in range(3):
        frames = torch.stack([x[row, :, start : start + CHUNK] for start in (0, 4, 8, 12)])  # 16 would end at 24
        expected = speakers(frames).log_softmax(-1).mean(0).softmax(-1)
        torch.testing.assert_close(found[row], expected)


def test_a_view_of_a_speech_classifier_shares_its_filters_and_agrees_with_the_frames_alone():
    net = SincNet(input_shape=(1, 3200), num_classes=3, **SINC_SMALL).eval()
    x = torch.randn(2, 1, 3200 + 2 * 1600, generator=torch.Generator().manual_seed(0)) / 3
    view = FrameView(WhiteBox(net), shift=1600)
    alone = torch.stack([net(x[..., start : start + 3200]).log_softmax(-1) for start in (0, 1600, 3200)], 1)
    torch.testing.assert_close(view.frame_log_confidences(x), alone, atol=1e-4, rtol=1e-4)
    net.shift_seconds = 0.1
    torch.testing.assert_close(view.log_confidences(x), net(x).log_softmax(-1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(view.features(x), net.features(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("at_once", [1, 4, 5, 100])
def test_parts_in_memory_change_nothing(speakers, at_once):
    x = torch.randn(2, 1, 30, generator=torch.Generator().manual_seed(2))
    whole, parts = (FrameView(WhiteBox(speakers), shift=3, max_frames=most) for most in (None, at_once))
    gradients = []
    for view in (whole, parts):
        leaf = x.clone().requires_grad_()
        gradients.append(torch.autograd.grad(view.log_confidences(leaf)[:, 1].sum(), leaf)[0])
    torch.testing.assert_close(gradients[1], gradients[0])
    with torch.no_grad():
        torch.testing.assert_close(parts.confidences(x), whole.confidences(x))


def test_every_frame_is_a_query(speakers):
    target = WhiteBox(speakers)
    view = FrameView(target, shift=3)
    view.confidences(torch.zeros(2, 1, 20))
    assert frame_count(20, CHUNK, 3) == 5
    assert target.queries == view.queries == 10


def test_queries_of_an_attack_count_frames(speakers):
    target = WhiteBox(speakers)
    attack = Inversion(
        target=target, space=WaveformSpace(duration=0.2, sample_rate=100, frame_shift=0.03), max_iterations=6
    )
    result = quiet_trainer().invert(attack)
    assert result.queries.tolist() == [7 * 5] * SPEAKERS
    assert target.queries == 7 * 5 * SPEAKERS
    assert result.reconstruction.shape == (SPEAKERS, 1, 20)


@pytest.mark.parametrize(("estimator", "each"), [(SPSA(pairs=4, delta=0.01), 8), (NES(pairs=4), 8)])
def test_black_boxes_are_asked_about_frames(speakers, estimator, each):
    target = BlackBox.of(speakers)
    attack = Inversion(
        target=target,
        space=WaveformSpace(duration=0.2, sample_rate=100, frame_shift=0.03, initial=Zeros()),
        cost=NegativeLogConfidence(),
        estimator=estimator,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        max_iterations=30,
    )
    result = quiet_trainer().invert(attack)
    start = FrameView(WhiteBox(speakers), shift=3).confidences(torch.zeros(1, 1, 20))[0]
    assert (result.confidence > start + 0.15).all()
    assert result.queries.tolist() == [(31 + 30 * each) * 5] * SPEAKERS
    assert target.queries == sum(result.queries.tolist())


def test_a_chunk_is_asked_about_as_it_is(speakers):
    target = WhiteBox(speakers)
    assert bound(target).view(target) is target
    assert bound(target).queries_per_candidate == 1


def test_starts(speakers):
    target = WhiteBox(speakers)
    gauss = bound(target, duration=50.0, clamp=False).initial(rows())
    assert gauss.shape == (2, 1, 5000)
    assert float(gauss.std()) == pytest.approx(1.0, abs=0.05)
    scale = 0.2
    noise = Noise(distribution="laplace", mean=0.0, std=scale * 2**0.5)
    laplace = bound(target, duration=50.0, clamp=False, initial=noise).initial(rows())
    assert float(laplace.abs().mean()) == pytest.approx(scale, rel=0.05)  # the mean absolute value is the scale
    assert float(bound(target).initial(rows()).abs().max()) <= 1
    assert not bound(target, initial=Zeros()).initial(rows()).any()


def test_band_limit_removes_what_lies_outside(speakers):
    space = bound(WhiteBox(speakers), duration=1.0, band=(10.0, 20.0), clamp=False)
    time = torch.arange(100) / 100
    inside, outside = torch.sin(2 * torch.pi * 15 * time), torch.sin(2 * torch.pi * 30 * time)
    z = (inside + outside)[None, None]
    space.constrain_(z)
    torch.testing.assert_close(z[0, 0], inside, atol=1e-5, rtol=0)


def test_open_box_finds_the_classifier_behind_a_view(speakers):
    target = WhiteBox(speakers)
    assert open_classifier(FrameView(target, shift=2)) is target.classifier
    with pytest.raises(InputError, match=r"expected a target in the open, whose features can be seen, got BlackBox"):
        open_classifier(BlackBox.of(speakers))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"duration": 0.0}, r"expected a finite duration > 0, got 0.0 \(--model.space.init_args.duration\)"),
        ({"duration": float("inf")}, "expected a finite duration > 0, got inf"),
        ({"duration": 0.05}, r"expected a duration of one chunk of the target \(0.08 s\) or more, got 0.05 s"),
        ({"sample_rate": 0}, "expected sample_rate >= 1, got 0"),
        ({"frame_shift": 0.001}, "expected a frame_shift of one sample or more, got 0.001"),
        ({"band": (20.0, 10.0)}, r"expected band \(low, high\) with 0 <= low < high, got \(20.0, 10.0\)"),
        ({"max_frames": 0}, "expected max_frames >= 1, got 0"),
    ],
)
def test_bad_input_is_told_in_one_line(speakers, settings, message):
    with pytest.raises(InputError, match=message):
        bound(WhiteBox(speakers), **settings)


def test_pictures_are_refused(classifier):
    with pytest.raises(
        InputError, match=r"expected a target of waveforms \(1, samples\) for WaveformSpace, got inputs"
    ):
        bound(WhiteBox(classifier))
