"""Process-DAE against a plain transcription of Algorithm 2, image by image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.projections import ProcessDAE, Projection
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.rows import RowState
from mi_lightning.attacks.spaces.latent import LatentSpace
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.attacks.stopping import StopRule
from mi_lightning.classifiers import SoftmaxRegression, StackedDAE
from mi_lightning.errors import InputError
from mi_lightning.targets import WhiteBox

SHAPE, PEOPLE, CODE = (1, 24, 20), 5, 6


def make_dae(shape: tuple[int, ...] = SHAPE, input_range: tuple[float, float] = (0.0, 1.0)) -> StackedDAE:
    """Weights that are drawn, not trained."""
    model = StackedDAE(input_shape=shape, num_classes=PEOPLE, hidden=(8, CODE), input_range=input_range)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model


def invert(target: WhiteBox, parts: list[object], *, space: object = None, labels="all", **settings) -> InversionResult:
    """Attack with projections and stop rules, without Lightning."""
    attack = Attack(
        **({"cost": NegativeLogConfidence(), "max_iterations": 7, "space": space or LatentSpace()} | settings)
    )
    stops = [part for part in parts if isinstance(part, StopRule)]
    engine = attack.engine(target, stops=stops, projections=[part for part in parts if isinstance(part, Projection)])
    target.restart()
    for _ in engine.run(attack.rows(labels, target.class_names), attack.report_every):
        pass
    return engine.result


class Codes(Projection):
    """Keeps the codes before and after whatever projection comes between two of these."""

    def __init__(self) -> None:
        super().__init__(1)
        self.seen: list[torch.Tensor] = []
        self.active: list[torch.Tensor] = []

    def apply(self, z: torch.Tensor) -> torch.Tensor:
        return z

    def __call__(self, z: torch.Tensor, state: RowState) -> torch.Tensor:
        self.seen.append(z.detach().clone())
        self.active.append(state.active.clone())
        return z


def plainly(code: torch.Tensor, dae: StackedDAE, h: float, template: int, search: int, sigma: float, amount: float):
    """Algorithm 2 on one code: DECODE, NLMEANSDENOISE, SHARPEN, ENCODE."""
    low, high = dae.input_range
    x = dae.decode(code[None])[0, 0].numpy()
    image = np.clip((x - low) / (high - low), 0, 1)
    image16 = np.round(image * 65535).astype(np.uint16)
    smooth = cv2.fastNlMeansDenoising(image16, [h * 257.0], None, template, search, cv2.NORM_L1).astype(np.float64)
    smooth /= 65535
    # the unsharp mask by a blur of our own: taps out to where OpenCV's kernel ends, edges mirrored without repetition
    radius = (round(sigma * 8 + 1) | 1) // 2
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    taps /= taps.sum()
    blurred = np.pad(smooth, radius, mode="reflect")
    blurred = np.apply_along_axis(np.convolve, 0, blurred, taps, "valid")
    blurred = np.apply_along_axis(np.convolve, 1, blurred, taps, "valid")
    sharp = np.clip(smooth + amount * (smooth - blurred), 0, 1) * (high - low) + low
    return dae.encode(torch.from_numpy(sharp).float()[None, None])[0]


@pytest.mark.parametrize("input_range", [(0.0, 1.0), (-1.0, 1.0)])
@pytest.mark.parametrize(
    "settings",
    [
        {"strength": 10.0, "template": 5, "search": 11, "sharpen_sigma": 2.0, "sharpen_amount": 1.0},
        {"strength": 25.0, "template": 3, "search": 9, "sharpen_sigma": 1.0, "sharpen_amount": 0.5},
    ],
)
def test_is_algorithm_2(settings, input_range):
    dae = make_dae(input_range=input_range)
    before, after = Codes(), Codes()
    with torch.no_grad():
        invert(WhiteBox(dae), [before, ProcessDAE(every=3, **settings), after])
        for iteration, (old, new) in enumerate(zip(before.seen, after.seen, strict=True), start=1):
            expected = torch.stack([plainly(code, dae, *settings.values()) for code in old])
            if iteration % 3 == 0:
                torch.testing.assert_close(new, expected, rtol=0, atol=2e-4)
                assert (new - old).abs().amax(1).min() > 0.01
            else:
                assert torch.equal(new, old)


def test_only_active_rows_are_projected():
    class Stop(StopRule):
        reason = "interrupted"

        def __call__(self, cost):
            return torch.tensor([True, False, False, True, False])

    before, after = Codes(), Codes()
    invert(WhiteBox(make_dae()), [before, ProcessDAE(every=2), after, Stop()])
    active = before.active[1]
    assert active.tolist() == [False, True, True, False, True]
    changed = (after.seen[1] != before.seen[1]).any(1)
    assert changed.tolist() == active.tolist()


def test_a_row_does_not_depend_on_the_others():
    together = invert(WhiteBox(make_dae()), [ProcessDAE(every=2)]).candidate
    alone = invert(WhiteBox(make_dae()), [ProcessDAE(every=2)], labels=3).candidate
    torch.testing.assert_close(alone[0], together[3])


def test_takes_noise_out_and_keeps_what_is_smooth():
    ramp = torch.linspace(0.2, 0.8, 40).expand(2, 1, 48, 40).contiguous()
    noisy = ramp + 0.03 * torch.randn(ramp.shape, generator=torch.Generator().manual_seed(0))
    process = ProcessDAE(sharpen_amount=0.0)
    assert (process.clean(noisy, (0.0, 1.0)) - ramp).square().mean() < 0.35 * (noisy - ramp).square().mean()
    # not at the edges, where the reflection makes a ramp turn back
    assert (process.clean(ramp, (0.0, 1.0)) - ramp)[..., 8:-8].abs().max() < 0.005


def test_sharpens_edges_and_stays_in_the_range():
    edge = torch.full((1, 1, 32, 32), 0.4)
    edge[..., 16:] = 0.6
    sharp = ProcessDAE(strength=0.0, sharpen_sigma=2.0, sharpen_amount=1.0).clean(edge, (0.0, 1.0))
    assert sharp[0, 0, 16, 15] < 0.35 < 0.65 < sharp[0, 0, 16, 16]
    torch.testing.assert_close(sharp[..., 0], edge[..., 0], atol=1e-3, rtol=0)
    extreme = ProcessDAE(strength=0.0, sharpen_amount=50.0).clean(edge, (0.0, 1.0))
    assert (extreme.min(), extreme.max()) == (0, 1)


def test_leaving_both_out_is_only_a_round_trip():
    x = torch.rand(3, 1, 24, 20)
    torch.testing.assert_close(ProcessDAE(strength=0.0, sharpen_amount=0.0).clean(x, (0.0, 1.0)), x)


def test_colour_is_worked_on_channel_by_channel():
    x = torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(1))
    process = ProcessDAE()
    channels = [process.clean(x[:, k : k + 1], (0.0, 1.0)) for k in range(3)]
    assert torch.equal(process.clean(x, (0.0, 1.0)), torch.cat(channels, 1))


def test_small_changes_survive():
    """A step of a tenth of a grey level is not rounded away."""
    x = torch.full((1, 1, 24, 20), 0.5)
    process = ProcessDAE()
    moved = process.clean(x + 0.1 / 255, (0.0, 1.0)) - process.clean(x, (0.0, 1.0))
    torch.testing.assert_close(moved, torch.full_like(moved, 0.1 / 255), atol=0.02 / 255, rtol=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"every": 0}, "every >= 1, got 0"),
        ({"template": 4}, "an odd template >= 1, got 4"),
        ({"search": 0}, "an odd search >= 1, got 0"),
        ({"strength": -1.0}, "finite strength >= 0, got -1.0"),
        ({"strength": float("inf")}, "finite strength >= 0, got inf"),
        ({"sharpen_sigma": 0.0}, "finite sharpen_sigma > 0, got 0.0"),
        ({"sharpen_amount": -0.5}, "finite sharpen_amount >= 0, got -0.5"),
    ],
)
def test_bad_arguments(settings, words):
    with pytest.raises(InputError, match=rf"^expected .*{words} \({next(iter(settings))}\)$"):
        ProcessDAE(**settings)


def test_a_space_that_is_not_latent():
    words = r"^expected a LatentSpace for ProcessDAE, got PixelSpace \(space\)$"
    with pytest.raises(InputError, match=words):
        invert(WhiteBox(make_dae()), [ProcessDAE()], space=PixelSpace())


def test_a_target_without_decoders():
    softmax = SoftmaxRegression(input_shape=SHAPE, num_classes=PEOPLE)
    with pytest.raises(InputError, match=r"^expected a LatentSpace for ProcessDAE, got PixelSpace"):
        invert(WhiteBox(softmax), [ProcessDAE()], space=PixelSpace())
    with pytest.raises(InputError, match=r"\(StackedDAE\).*got .*SoftmaxRegression"):
        invert(WhiteBox(softmax), [ProcessDAE()])
    decoder = torch.nn.Sequential(torch.nn.Linear(4, 480), torch.nn.Unflatten(1, SHAPE))
    space = LatentSpace(decoder=decoder, code_size=4, look_at="image")
    with pytest.raises(
        InputError, match=r"^expected .*own autoencoder for ProcessDAE, got a decoder without an encoder"
    ):
        invert(WhiteBox(softmax), [ProcessDAE()], space=space)


def test_inputs_that_are_no_pictures():
    dae = make_dae(shape=(60,))
    with pytest.raises(InputError, match=r"expected a target of pictures \(channels, height, width\).*got \(60,\)"):
        invert(WhiteBox(dae), [ProcessDAE()])
