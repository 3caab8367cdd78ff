"""What every part of an attack has to keep, by its role; a new part is tested as soon as it is exported."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces import LatentSpace
from mi_lightning.targets import WhiteBox
from tests.contracts.attack_examples import (
    CODE,
    PEOPLE,
    PICTURE,
    ROLES,
    Decoder,
    bound_cost,
    by_hand,
    every,
    exported,
    softmax,
)

ROWS = Rows.grid(range(PEOPLE), 1, seed=5)


def rows() -> Rows:
    """Rows that have drawn nothing yet."""
    return Rows.grid(range(PEOPLE), 1, seed=5)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("role", "part"), [(role, part) for role in ROLES for part in exported(role)])
def test_every_part_has_an_example(role, part):
    assert part in ROLES[role], (
        f"add an example of {part.__name__} to {role.upper()} in tests/contracts/attack_examples.py, "
        "so that the contracts of its role are tested on it"
    )


# ------------------------------------------------------------------------------------------------------------ filters


@every("filters")
def test_filters_keep_shape_and_rows_and_point_downhill(materials, make, facts):
    filter_, gradient = make(materials), drawn(6, *facts["shape"])
    before = gradient.clone()
    filtered = filter_(gradient)
    assert filtered.shape == gradient.shape
    assert torch.equal(gradient, before)  # the gradient belongs to the caller
    torch.testing.assert_close(filter_(gradient[2:4]), filtered[2:4], rtol=1e-4, atol=1e-5)
    along = (gradient * filtered).flatten(1).sum(1)
    assert bool((along >= -1e-5 * gradient.flatten(1).square().sum(1)).all())
    assert float(along.mean()) > 0  # something is left of it


@every("filters")
def test_linear_filters_are_linear_and_self_adjoint(materials, make, facts):
    filter_, a, b = make(materials), drawn(5, *facts["shape"]), drawn(5, *facts["shape"], seed=1)
    sums = torch.allclose(filter_(2 * a - b), 2 * filter_(a) - filter_(b), rtol=1e-4, atol=1e-4)
    assert sums == facts.get("linear", True)
    if sums:
        swapped = (filter_(a) * b).flatten(1).sum(1)
        torch.testing.assert_close((a * filter_(b)).flatten(1).sum(1), swapped, rtol=1e-3, atol=1e-4)


# ------------------------------------------------------------------------------------------------------- initializers


@every("initializers")
def test_starts_have_the_shape_and_lie_in_the_range(materials, make, facts):
    shape, value_range = facts["shape"], (-1.0, 1.0) if facts.get("sound") else (0.0, 1.0)
    start = make(materials)(rows(), shape, value_range)
    assert start.shape == (PEOPLE, *shape)
    assert (start.dtype, start.device.type, start.requires_grad) == (torch.float32, "cpu", False)
    assert value_range[0] <= float(start.min()) <= float(start.max()) <= value_range[1]


@every("initializers")
def test_a_row_starts_alike_whatever_runs_beside_it(materials, make, facts):
    shape, value_range = facts["shape"], (-1.0, 1.0)
    initializer = make(materials)
    start = initializer(rows(), shape, value_range)
    assert torch.equal(initializer(rows(), shape, value_range), start)
    torch.testing.assert_close(make(materials)(rows().select(slice(2, 3)), shape, value_range)[0], start[2])
    other = initializer(Rows.grid(range(PEOPLE), 1, seed=6), shape, value_range)
    assert torch.equal(other, start) != facts.get("random", False)
    assert torch.equal(start[0], start[1]) != facts.get("random", False)
    start[0] += 1  # rows do not share memory, nor does the next attack
    again = initializer(rows(), shape, value_range)
    assert torch.equal(again[1:], start[1:])
    assert not torch.equal(again[0], start[0])


# -------------------------------------------------------------------------------------------------------------- spaces


def space_and_target(make, facts, materials):
    space, target = make(materials), WhiteBox(facts["classifier"]())
    space.bind(target)
    return space, target


def moved(space, z):
    """Candidates far off, put back."""
    far = z + 3 * drawn(*z.shape, seed=2)
    space.constrain_(far)
    return far


@every("spaces")
def test_candidates_decode_to_inputs_within_the_range(materials, make, facts):
    space, target = space_and_target(make, facts, materials)
    z = space.initial(rows())
    assert (len(z), z.dtype, z.device.type) == (PEOPLE, torch.float32, "cpu")
    low, high = target.input_range
    for candidates in (z, moved(space, z)):
        x = space.decode(candidates)
        assert x.shape[:-1] == (PEOPLE, *target.input_shape[:-1])
        assert x.shape[-1] == target.input_shape[-1] or len(target.input_shape) == 2  # sound may go on for longer
        if facts.get("clamped", True):
            assert low <= float(x.detach().min()) <= float(x.detach().max()) <= high


@every("spaces")
def test_decoding_is_differentiable_row_by_row(materials, make, facts):
    space, _ = space_and_target(make, facts, materials)
    z = (space.initial(rows()) + 0.01 * drawn(*space.initial(rows()).shape)).requires_grad_()
    x = space.decode(z)
    (gradient,) = torch.autograd.grad((x[1] * drawn(*x.shape[1:])).sum(), z)
    assert bool(gradient.isfinite().all())
    assert float(gradient[1].abs().max()) > 0
    assert not gradient[[0, 2, 3]].any()
    torch.testing.assert_close(space.decode(z[1:2])[0], x[1])


@every("spaces")
def test_what_was_put_back_stays_and_is_within_the_bounds(materials, make, facts):
    space, _ = space_and_target(make, facts, materials)
    z = moved(space, space.initial(rows()))
    once = z.clone()
    space.constrain_(z)
    torch.testing.assert_close(z, once, rtol=0, atol=1e-5)
    if (bounds := space.bounds()) is not None:
        assert bounds[0] < bounds[1]
        if facts.get("clamped", True):
            assert bounds[0] <= float(z.min()) <= float(z.max()) <= bounds[1]


@every("spaces")
def test_the_cost_is_told_what_to_ask_and_each_candidate_costs_what_the_space_says(materials, make, facts):
    space, target = space_and_target(make, facts, materials)
    z = space.initial(rows())
    with torch.no_grad():
        confidences = space.view(target).confidences(space.present(z))
        torch.testing.assert_close(confidences.sum(1), torch.ones(PEOPLE))
        if space.asks_about_inputs:
            torch.testing.assert_close(space.present(z), space.decode(z))
    assert target.queries == PEOPLE * space.queries_per_candidate


# --------------------------------------------------------------------------------------------------------------- costs


def inputs(target: WhiteBox, count: int = 6) -> tuple[Tensor, Tensor]:
    """Inputs within the range, and a label for each."""
    low, high = target.input_range
    x = torch.rand(count, *target.input_shape, generator=torch.Generator().manual_seed(4)) * (high - low) + low
    return x, torch.arange(count) % target.num_classes


@every("costs")
def test_the_gradient_of_a_cost_is_its_slope(materials, make, facts):
    cost, target = bound_cost(make(materials), facts)
    x, label = inputs(target)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(cost(target, leaf, label).sum(), leaf)
    if "gradient" in facts:
        expected = facts["gradient"](*by_hand(target, x, label))
        torch.testing.assert_close(gradient.double(), expected, rtol=1e-3, atol=1e-5)
    # along the gradient itself, where the slope is its length; rows are independent
    direction = gradient / gradient.flatten(1).norm(dim=1).view(-1, *(1,) * (x.ndim - 1))
    step = 2e-3 * math.sqrt(x[0].numel() / 63)
    with torch.no_grad():
        slope = (cost(target, x + step * direction, label) - cost(target, x - step * direction, label)) / (2 * step)
    torch.testing.assert_close(slope, gradient.flatten(1).norm(dim=1), rtol=0.02, atol=1e-4)


@every("costs")
def test_a_cost_falls_as_the_target_grows_surer_and_counts_one_query_each(materials, make, facts):
    cost, target = bound_cost(make(materials), facts)
    x, label = inputs(target)
    before = target.queries
    with torch.no_grad():
        first = cost(target, x, label)
        assert first.shape == (len(x),)
        assert target.queries - before == len(x)
        if facts.get("of_features"):
            return  # it never sees the confidences
        bias, sure = target.classifier.head.bias, target.confidences(x)
        for row, person in enumerate(label.tolist()):
            kept, alone = bias.clone(), slice(row, row + 1)
            bias[person] += 0.5
            assert float(target.confidences(x[alone])[0, person]) > float(sure[row, person])
            assert float(cost(target, x[alone], label[alone])) < float(first[row])
            bias.copy_(kept)


@every("costs")
def test_a_cost_tells_the_confidence_or_says_that_it_does_not(materials, make, facts):
    cost, target = bound_cost(make(materials), facts)
    x, label = inputs(target)
    with torch.no_grad():
        told = cost.confidence(cost(target, x, label))
        asked = target.confidences(x).gather(1, label[:, None])[:, 0]
    if cost.tells_confidence:
        torch.testing.assert_close(told, asked, rtol=1e-4, atol=1e-6)
    else:
        assert bool(told.isnan().all())


# -------------------------------------------------------------------------------------------------------------- priors


@every("priors")
def test_priors_are_penalties_with_a_weight(materials, make, facts):
    prior, x = make(materials), torch.rand(5, *PICTURE, dtype=torch.float64)
    penalty = prior(x)
    assert penalty.shape == (5,)
    assert bool((penalty >= 0).all())
    torch.testing.assert_close(prior(x[2:4]), penalty[2:4])
    assert not facts["again"](0.0)(x).any()
    torch.testing.assert_close(facts["again"](2.1)(x), 3 * penalty)


@every("priors")
def test_the_gradient_of_a_prior_is_its_slope(materials, make, facts):
    x = torch.rand(3, *PICTURE, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(make(materials), (x,), eps=1e-7)


@every("priors")
def test_a_problem_shows_a_prior_what_it_declares(materials, make, facts):
    prior = make(materials)
    assert prior.sees == facts["sees"]
    space = LatentSpace(decoder=Decoder(), code_size=CODE, look_at="image", clamp=False)
    cost = SimpleNamespace(bind=lambda target: None, tells_confidence=True)
    problem = Problem(WhiteBox(softmax()), space, cost, priors=[prior])
    z = drawn(PEOPLE, CODE)
    seen = z if facts["sees"] == "candidate" else space.decode(z)
    torch.testing.assert_close(problem.penalty(z), prior(seen))
    leaf = z.clone().requires_grad_()
    shown = leaf if facts["sees"] == "candidate" else space.decode(leaf)
    (expected,) = torch.autograd.grad(prior(shown).sum(), leaf)
    torch.testing.assert_close(problem.prior_gradient(z), expected)


# ---------------------------------------------------------------------------------------------------------- transforms


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@every("transforms")
def test_transforms_change_each_row_alike_and_for_itself(materials, make, facts):
    transform, x = make(materials), torch.rand(8, 3, 9, 7)
    changed = transform(x, generators(*range(8)))
    assert changed.shape == x.shape
    assert torch.equal(transform(x, generators(*range(8))), changed)
    torch.testing.assert_close(transform(x[5:6], generators(5))[0], changed[5])
    assert not torch.equal(changed, x)
    # all that one row asks about is changed alike
    same = transform(x[:1].repeat(6, 1, 1, 1), generators(10, 11))
    torch.testing.assert_close(same[1:3], same[:1].expand(2, -1, -1, -1))
    torch.testing.assert_close(same[4:], same[3:4].expand(2, -1, -1, -1))
    # no pixel is made that is lighter or darker than all of the picture's
    assert bool((changed.amax((2, 3)) <= x.amax((2, 3)) + 1e-6).all())
    assert bool((changed.amin((2, 3)) >= x.amin((2, 3)) - 1e-6).all())


@every("transforms")
def test_transforms_are_differentiable(materials, make, facts):
    transform = make(materials)
    x = torch.rand(3, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: transform(x, generators(0, 1, 2)), (x,))


@every("transforms")
def test_a_transform_of_no_strength_changes_nothing(materials, make, facts):
    x = torch.rand(5, 3, 9, 7)
    torch.testing.assert_close(facts["nothing"]()(x, generators(*range(5))), x, rtol=0, atol=1e-6)


# --------------------------------------------------------------------------------------------------------- projections


def projection_and_codes(make, facts, materials):
    projection, space = make(materials), facts["space"]()
    target = WhiteBox(facts["classifier"]() if "classifier" in facts else softmax((1, 1600), (-1.0, 1.0)))
    cost = SimpleNamespace(bind=lambda target: None, tells_confidence=True)
    projection.bind(Problem(target, space, cost))
    z = 0.5 * drawn(PEOPLE, *space.initial(rows()).shape[1:])
    space.constrain_(z)
    return projection, space, z


def at(iteration: int, active: Tensor | None = None) -> SimpleNamespace:
    """What a projection sees of an attack."""
    everybody = torch.ones(PEOPLE, dtype=torch.bool)
    return SimpleNamespace(iteration=iteration, active=everybody if active is None else active)


@every("projections")
def test_projections_act_in_their_turn_on_active_rows_alone(materials, make, facts):
    projection, _, z = projection_and_codes(make, facts, materials)
    before = z.clone()
    assert projection(z, at(1)) is z
    active = torch.tensor([True, False, True, True])
    projected = projection(z, at(2, active))
    assert projected.shape == z.shape
    assert torch.equal((projected != before).flatten(1).any(1), active)
    assert torch.equal(z, before)
    assert projection(z, at(2, ~torch.ones(PEOPLE, dtype=torch.bool))) is z
    torch.testing.assert_close(projection(z, at(4))[1:2], projection.apply(z[1:2]), rtol=1e-4, atol=1e-5)
    projection.every = None
    assert projection(z, at(2)) is z


@every("projections")
def test_projections_stay_within_the_range_and_settle(materials, make, facts):
    projection, space, z = projection_and_codes(make, facts, materials)
    once = projection(z, at(2))
    x = space.decode(once)
    assert space.input_range[0] <= float(x.min()) <= float(x.max()) <= space.input_range[1]
    again = projection(once, at(4))
    if facts.get("settles", True):  # the second time there is less to do
        assert float((again - once).norm()) < float((once - z).norm())
    fresh = make(materials)
    fresh.load_state_dict(projection.state_dict())
    assert fresh.state_dict() == projection.state_dict()
