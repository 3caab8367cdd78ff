"""Process-DAE against a plain transcription of Algorithm 2, image by image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.projections.process_dae import ProcessDAE
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.spaces.latent import LatentSpace
from mi_lightning.attacks.spaces.pixel import PixelSpace
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


def bound(process: ProcessDAE, classifier: torch.nn.Module, space: object = None) -> ProcessDAE:
    process.bind(Problem(WhiteBox(classifier), space or LatentSpace(), NegativeLogConfidence()))
    return process


def at(iteration: int, codes: torch.Tensor, active: list[bool] | None = None) -> RowState:
    """An attack in the middle of an iteration."""
    state = RowState(Rows.grid(range(PEOPLE), 1, seed=0), codes)
    state.iteration = iteration
    if active is not None:
        state.active = torch.tensor(active)
    return state


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
    process = bound(ProcessDAE(every=3, **settings), dae)
    old = torch.rand(PEOPLE, CODE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for iteration in (1, 2):
        assert torch.equal(process(old, at(iteration, old)), old)
    new = process(old, at(3, old))
    with torch.no_grad():
        expected = torch.stack([plainly(code, dae, *settings.values()) for code in old])
    torch.testing.assert_close(new, expected, rtol=0, atol=2e-4)
    assert (new - old).abs().amax(1).min() > 0.01


def test_only_active_rows_are_projected_and_each_for_itself():
    process, codes = bound(ProcessDAE(every=2), make_dae()), torch.rand(PEOPLE, CODE)
    active = [False, True, True, False, True]
    some, everybody = process(codes, at(2, codes, active)), process(codes, at(4, codes))
    assert (some != codes).any(1).tolist() == active
    torch.testing.assert_close(some[torch.tensor(active)], everybody[torch.tensor(active)])


def test_an_attack_projects_what_it_evaluates():
    """Codes that a projection brings to a point are found there."""
    dae, seen = make_dae(), []

    class Looking(ProcessDAE):
        def apply(self, z: torch.Tensor) -> torch.Tensor:
            seen.append(super().apply(z))
            return seen[-1]

    attack = Attack(space=LatentSpace(), cost=NegativeLogConfidence(), projections=[Looking(every=1)], max_iterations=3)
    result = attack.run(WhiteBox(dae))
    assert len(seen) == 3
    iterates = torch.stack([torch.zeros(PEOPLE, CODE), *seen])
    with torch.no_grad():
        costs = -dae.head(iterates).log_softmax(-1)[:, torch.arange(PEOPLE), torch.arange(PEOPLE)]
    torch.testing.assert_close(result.cost, costs.min(0).values)


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
    with pytest.raises(InputError, match=r"^expected a LatentSpace for ProcessDAE, got PixelSpace \(space\)$"):
        bound(ProcessDAE(), make_dae(), PixelSpace())


def test_a_decoder_without_an_encoder():
    decoder = torch.nn.Sequential(torch.nn.Linear(4, 480), torch.nn.Unflatten(1, SHAPE))
    space = LatentSpace(decoder=decoder, code_size=4, look_at="image")
    with pytest.raises(
        InputError, match=r"^expected .*own autoencoder for ProcessDAE, got a decoder without an encoder"
    ):
        bound(ProcessDAE(), SoftmaxRegression(input_shape=SHAPE, num_classes=PEOPLE), space)


def test_inputs_that_are_no_pictures():
    with pytest.raises(InputError, match=r"pictures \(channels, height, width\) for ProcessDAE, got shape \(60,\)"):
        bound(ProcessDAE(), make_dae(shape=(60,)))
