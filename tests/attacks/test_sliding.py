from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.estimators.spsa import SPSA
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.selection import RobustConfidence
from mi_lightning.attacks.spaces.sliding_windows import SlidingWindows
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.frames import FrameView
from tests.attacks.conftest import quiet_trainer
from tests.attacks.test_waveform import CHUNK, SPEAKERS, toy

RATE, STRIDE, SAMPLES = 100, 3, 20
SETTINGS = {"duration": SAMPLES / RATE, "sample_rate": RATE, "stride": STRIDE, "frame_shift": 0.04}


@pytest.fixture
def speakers() -> SoftmaxRegression:
    return toy()


def slide(model: SoftmaxRegression, **settings: object) -> InversionResult:
    plain = {
        "space": SlidingWindows(**SETTINGS, initializer=Noise(distribution="laplace", mean=0.0, std=0.3)),
        "cost": OneMinusConfidence(),
        "max_iterations": 12,
        "report_every": 5,
        "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.3),
        "seed": 4,
    } | settings
    target = plain.pop("target", None) or WhiteBox(model)
    return quiet_trainer().invert(Inversion(target=target, **plain))


def transcription(model: SoftmaxRegression, label: int, track: torch.Tensor, *, beta: int, gamma: float) -> tuple:
    """Sliding inversion of one speaker as one would write it down: Algorithm 1 on each window, in place."""
    track, total = track.clone(), 0
    for start in range(0, len(track) - CHUNK + 1, STRIDE):
        x = track[start : start + CHUNK].clone()
        history, best = [cost_of(model, x, label)], x.clone()
        for i in range(1, 13):
            leaf = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(1 - model(leaf[None, None]).softmax(-1)[0, label], leaf)
            x = (x - 0.3 * gradient).clamp(-1, 1)
            history.append(cost_of(model, x, label))
            if history[-1] < min(history[:-1]):
                best = x.clone()
            total += 1
            if history[-1] >= max(history[max(0, i - beta) : i]) or history[-1] <= gamma:
                break
        track[start : start + CHUNK] = best
    return track[CHUNK // 2 : CHUNK // 2 + SAMPLES], total


@torch.no_grad()
def cost_of(model: SoftmaxRegression, x: torch.Tensor, label: int) -> float:
    return float(1 - model(x[None, None]).softmax(-1)[0, label])


def test_against_a_plain_transcription(speakers):
    result = slide(speakers, beta=4, gamma=0.01)
    noise = Noise(distribution="laplace", mean=0.0, std=0.3)
    tracks = noise(Rows.grid(range(SPEAKERS), 1, seed=4), (1, SAMPLES + CHUNK), (-1.0, 1.0)).clamp(-1, 1)
    for label in range(SPEAKERS):
        expected, iterations = transcription(speakers, label, tracks[label, 0], beta=4, gamma=0.01)
        torch.testing.assert_close(result.reconstruction[label, 0], expected, atol=1e-5, rtol=1e-5)
        assert int(result.iterations[label]) == iterations


def test_confidence_is_that_of_the_finished_waveform(speakers):
    result = slide(speakers)
    view = FrameView(WhiteBox(speakers), shift=4)
    expected = view.confidences(result.reconstruction).gather(1, result.label[:, None])[:, 0]
    torch.testing.assert_close(result.confidence, expected)
    torch.testing.assert_close(result.cost, 1 - expected)
    torch.testing.assert_close(result.candidate, result.reconstruction)


def test_every_window_ends_where_the_next_begins_to_matter(speakers):
    space = SlidingWindows(**SETTINGS)
    space.bind(WhiteBox(speakers))
    assert space.length == SAMPLES + CHUNK
    assert space.windows == (SAMPLES + CHUNK - CHUNK) // STRIDE + 1 == 7
    # the last window reaches at least to the end of what is kept
    assert (space.windows - 1) * STRIDE + CHUNK >= CHUNK // 2 + SAMPLES


def test_a_run_goes_on_from_its_state(speakers):
    def windows(interrupted: bool) -> torch.Tensor:
        space, found = SlidingWindows(**SETTINGS), torch.Generator().manual_seed(1)
        space.bind(WhiteBox(speakers))
        best = space.initial(Rows.grid(range(SPEAKERS), 1, seed=4))
        for window in range(space.windows - 1):
            best = space.next_window(window, best + torch.rand(best.shape, generator=found))
            if interrupted:
                state = space.run_state()
                space.next_window(window + 1, torch.zeros_like(best))  # does not reach the saved state
                space = SlidingWindows(**SETTINGS)
                space.bind(WhiteBox(speakers))
                space.load_run_state(state)
        return space.finish(space.windows - 1, best)

    assert torch.equal(windows(True), windows(False))


def test_queries_and_iterations_are_summed_over_windows(speakers):
    target = WhiteBox(speakers)
    result = slide(speakers, target=target)
    assert result.iterations.tolist() == [7 * 12] * SPEAKERS
    frames = (SAMPLES - CHUNK) // 4 + 1
    assert result.queries.tolist() == [7 * 13 + frames] * SPEAKERS
    assert target.queries == SPEAKERS * (7 * 13 + frames)
    assert bool((result.seconds > 0).all())


def test_rows_do_not_depend_on_chunks(speakers):
    whole = slide(speakers, restarts=2)
    parts = slide(speakers, restarts=2, rows_at_once=3)
    torch.testing.assert_close(parts.reconstruction, whole.reconstruction)
    assert parts.iterations.tolist() == whole.iterations.tolist()


def test_a_black_box_is_asked_window_by_window(speakers):
    target = BlackBox.of(speakers)
    cost, estimator = NegativeLogConfidence(), SPSA(pairs=8, delta=0.01)
    result = slide(speakers, target=target, cost=cost, estimator=estimator)
    frames = (SAMPLES - CHUNK) // 4 + 1
    assert result.queries.tolist() == [7 * (13 + 12 * 16) + frames] * SPEAKERS
    assert target.queries == int(result.queries.sum())
    start = SlidingWindows(**SETTINGS, initializer=Noise(distribution="laplace", mean=0.0, std=0.3)).final
    start.bind(WhiteBox(speakers))
    untouched = FrameView(WhiteBox(speakers), shift=4).confidences(start.initial(Rows.grid(range(SPEAKERS), 1, seed=4)))
    assert result.confidence.mean() > untouched.diagonal().mean() + 0.1


def test_a_budget_ends_the_windows_and_keeps_what_was_found(speakers):
    budget = 3 * 13 + 5
    target = WhiteBox(speakers)
    result = slide(speakers, target=target, query_budget=budget)
    assert set(result.stop_reason) == {"query_budget"}
    assert int(result.queries.max()) <= budget
    assert result.reconstruction.shape == (SPEAKERS, 1, SAMPLES)
    assert result.reconstruction.isfinite().all()


class Loud(torch.nn.Module):
    def forward(self, x, generators):
        return 0.9 * x


@pytest.mark.parametrize("left", range(11))
def test_a_budget_that_ends_between_windows_with_a_selection_that_asks(speakers, left):
    """x_0 and each of two iterations cost three queries a window: one evaluation, and two that the selection asks."""
    target = WhiteBox(speakers)
    selection = RobustConfidence(transforms=[Loud()], samples=2)
    result = slide(speakers, target=target, selection=selection, max_iterations=2, query_budget=9 + left)
    assert set(result.stop_reason) == {"query_budget"}
    assert set(result.queries.tolist()) == {9 + left // 3 * 3}
    assert int(result.queries.sum()) == target.queries


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stride": 0}, r"expected stride >= 1, got 0 \(stride\)"),
        ({"stride": 9}, r"expected stride <= 8, the window, got 9 \(stride\)"),
        ({"duration": 0.01}, r"expected a duration of one chunk of the target \(0.08 s\) or more, got 0.01 s"),
    ],
)
def test_bad_input_is_told_in_one_line(speakers, settings, message):
    with pytest.raises(InputError, match=message):
        slide(speakers, space=SlidingWindows(**SETTINGS | settings))


def test_several_starts_are_refused(speakers):
    with pytest.raises(
        InputError, match=r"expected initial_candidates 1 for SlidingWindows, got 2 \(initial_candidates\)"
    ):
        slide(speakers, initial_candidates=2)


def test_a_result_is_not_changed_later(speakers):
    result = slide(speakers)
    kept = replace(result, reconstruction=result.reconstruction.clone())
    slide(speakers)
    torch.testing.assert_close(result.reconstruction, kept.reconstruction)
