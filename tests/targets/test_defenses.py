"""Output defenses: invariants of all, and each against its formula."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from mi_lightning.errors import InputError
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.defenses import Defense, GaussianNoise, HardLabel, Rounding, Temperature, TopK, defend
from mi_lightning.targets.defenses.noise import normal

DEFENSES = [
    Rounding(r=0.01),
    Rounding(r=1.0),
    GaussianNoise(sigma=0.05),
    GaussianNoise(sigma=1.0),
    TopK(k=1),
    TopK(k=3),
    HardLabel(),
    Temperature(temperature=3.0),
    Temperature(temperature=0.05),
]
EVERY = pytest.mark.parametrize(
    "defense", DEFENSES, ids=lambda defense: f"{type(defense).__name__}{defense.settings()}"
)
UNIFORM = [0.25] * 4


def images(n=6):
    return torch.rand(n, 1, 8, 6, generator=torch.Generator().manual_seed(1))


# ------------------------------------------------------------------------------------------------ all


@EVERY
def test_what_is_released_are_confidences(defense, tiny_softmax):
    target = defense.wrap(WhiteBox(tiny_softmax))
    p = target.confidences(images(50))
    assert p.shape == (50, 4)
    assert p.dtype == torch.float32
    assert float(p.min()) >= 0
    torch.testing.assert_close(p.sum(1), torch.ones(50))
    log_p = target.log_confidences(images(50))
    assert torch.isfinite(log_p).all()
    assert float(log_p.max()) <= 1e-6


@EVERY
@pytest.mark.parametrize("gradient", ["true", "zero", "straight_through"])
@pytest.mark.parametrize("method", ["confidences", "log_confidences"])
def test_gradients_through_a_defense(defense, gradient, method, tiny_softmax):
    behind = WhiteBox(tiny_softmax)
    chosen = type(defense)(**defense.settings(), gradient=gradient)
    x = images().requires_grad_()
    weights = torch.rand(6, 4, generator=torch.Generator().manual_seed(2))
    shown = getattr(chosen.wrap(behind), method)(x)
    (found,) = torch.autograd.grad((shown * weights).sum(), x)
    assert torch.isfinite(found).all()
    # the choice does not change what is shown
    torch.testing.assert_close(shown, getattr(defense.wrap(behind), method)(images()), atol=1e-6, rtol=1e-5)
    if gradient == "zero" or (gradient == "true" and isinstance(defense, Rounding | HardLabel)):
        assert not found.any()
    if gradient == "straight_through":
        (expected,) = torch.autograd.grad((getattr(behind, method)(x) * weights).sum(), x)
        torch.testing.assert_close(found, expected)


@EVERY
def test_in_a_black_box_there_is_no_gradient(defense, tiny_softmax):
    target = defense.wrap(BlackBox.of(tiny_softmax))
    assert not target.differentiable
    assert not target.confidences(images().requires_grad_()).requires_grad
    assert not target.log_confidences(images().requires_grad_()).requires_grad


@EVERY
def test_a_defense_is_told_with_its_parameters(defense, tiny_softmax):
    (said,) = defense.wrap(WhiteBox(tiny_softmax)).describe()["defenses"]
    assert said == {"class": type(defense).__name__, **defense.settings(), "gradient": "true"}


def test_a_chain_in_order(tiny_softmax):
    first, second = Rounding(r=0.1), Temperature(temperature=3.0)
    target = defend(WhiteBox(tiny_softmax), [first, second])
    p = WhiteBox(tiny_softmax).confidences(images())
    torch.testing.assert_close(target.confidences(images()), second.defend(first.defend(p)))
    assert not torch.equal(target.confidences(images()), first.defend(second.defend(p)))
    assert [d["class"] for d in target.describe()["defenses"]] == ["Rounding", "Temperature"]
    assert defend(target, []) is target


def test_one_defense_serves_many_targets(tiny_softmax):
    defense = Rounding(r=0.2)
    a, b = defense.wrap(WhiteBox(tiny_softmax)), defense.wrap(BlackBox.of(tiny_softmax))
    assert torch.equal(a.confidences(images()), b.confidences(images()))
    assert a.ledger is not b.ledger
    with pytest.raises(RuntimeError, match="Rounding stands in front of a target already"):
        a.wrap(b)
    with pytest.raises(RuntimeError, match=r"Rounding stands in front of nothing: use what wrap\(target\) returns"):
        defense.confidences(images())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rounding(r=-0.1), r"expected r in \[0, 1\], got -0.1 \(r\)"),
        (lambda: Rounding(r=1.5), r"expected r in \[0, 1\], got 1.5"),
        (lambda: Rounding(r=float("nan")), r"expected r in \[0, 1\], got nan"),
        (
            lambda: GaussianNoise(sigma=-1e-3),
            r"expected sigma in \[0, 1\], got -0.001 \(sigma\)",
        ),
        (lambda: GaussianNoise(sigma=2), r"expected sigma in \[0, 1\], got 2"),
        (lambda: GaussianNoise(sigma=0.1, seed=-1), r"expected seed >= 0, got -1"),
        (lambda: TopK(k=0), r"expected k >= 1, got 0 \(k\)"),
        (lambda: Temperature(temperature=0), r"expected temperature > 0, got 0"),
        (lambda: HardLabel(gradient="some"), r"expected gradient true, zero or straight_through, got some"),
    ],
)
def test_wrong_settings(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_more_classes_to_show_than_there_are(tiny_softmax):
    assert TopK(k=4).wrap(WhiteBox(tiny_softmax)).k == 4
    with pytest.raises(InputError, match=r"expected k of at most 4, the number of classes, got 5 \(k\)"):
        TopK(k=5).wrap(WhiteBox(tiny_softmax))


# ------------------------------------------------------------------------------------------------ rounding


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("r", [1e-5, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3])
def test_multiples_of_r_stay_and_what_is_below_goes_down(r, dtype):
    count = int(1 / Fraction(str(r)))  # in fractions 0.1 is a tenth
    k = torch.arange(1, min(count, 2000) + 1)
    for offset, expected in ((0.0, k), (0.4, k), (-0.01, k - 1), (0.99, k)):
        value = ((k + offset) * r).to(dtype)
        steps = Rounding(r=r).defend(torch.stack([value, torch.full_like(value, count * r)], 1))
        # beside count steps in the second place, k steps in the first are k / (k + count) of the sum
        share = expected / (expected + count)
        torch.testing.assert_close(steps[:, 0].double(), share.double(), atol=1e-7, rtol=1e-6)


def test_rounding_known_values():
    p = torch.tensor([[0.03, 0.07, 0.9, 0.0], [0.26, 0.26, 0.24, 0.24]])
    torch.testing.assert_close(Rounding(r=0.01).defend(p)[0], p[0])  # 0.03 / 0.01 is below 3 in float32
    assert Rounding(r=0.25).defend(p)[1].tolist() == [0.5, 0.5, 0.0, 0.0]


def test_all_zero_becomes_uniform_and_never_the_raw_confidences():
    p = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.6, 0.2, 0.1, 0.1]])
    assert Rounding(r=0.5).defend(p).tolist() == [UNIFORM, [1, 0, 0, 0]]
    loud = GaussianNoise(sigma=1.0)
    loud._noise = lambda p: torch.full_like(p, -5.0)
    assert loud.defend(p).tolist() == [UNIFORM] * 2


def test_strength_zero_is_no_defense():
    p = torch.rand(5, 4).softmax(1)
    for defense in (Rounding(r=0), GaussianNoise(sigma=0), TopK(k=4), Temperature(temperature=1)):
        torch.testing.assert_close(defense.defend(p), p)


# ------------------------------------------------------------------------------------------------ noise


def test_noise_is_that_of_the_formula():
    p = torch.tensor([0.5, 0.3, 0.2]).expand(20_000, -1)
    defense = GaussianNoise(sigma=0.01)
    target = defense.wrap(BlackBox(lambda x: p[: len(x)], input_shape=(1,), num_classes=3))
    shown = target.confidences(torch.zeros(20_000, 1)).double()
    torch.testing.assert_close(shown.mean(0), p[0].double(), atol=5e-4, rtol=0)
    # divided by the sum: d(p_i / sum) = e_i - p_i sum(e)
    expected = [0.01 * ((1 - q) ** 2 + q**2 * 2) ** 0.5 for q in (0.5, 0.3, 0.2)]
    assert shown.std(0).tolist() == pytest.approx(expected, rel=0.03)


def test_normal_numbers_are_normal_and_come_line_by_line():
    whole = normal(3000, 41, torch.Generator().manual_seed(0))
    assert whole.shape == (3000, 41)
    assert float(whole.mean()) == pytest.approx(0, abs=0.01)
    assert float(whole.std()) == pytest.approx(1, abs=0.01)
    assert float((whole**4).mean()) == pytest.approx(3, abs=0.1)
    assert float((whole[:, :-1] * whole[:, 1:]).mean()) == pytest.approx(0, abs=0.01)
    generator = torch.Generator().manual_seed(0)
    parts = torch.cat([normal(n, 41, generator) for n in (1, 2, 7, 990, 2000)])
    assert torch.equal(parts, whole)


def test_noise_is_fresh_seeded_and_the_rows_own(tiny_softmax):
    def hear(key, calls, seed=0):
        """What one row hears, and the random numbers in it."""
        target = GaussianNoise(sigma=0.1, seed=seed).wrap(WhiteBox(tiny_softmax))
        drawn, numbers, heard = target._noise, [], []
        target._noise = lambda p: numbers.append(drawn(p)) or numbers[-1]
        for keys, n in calls:
            with target.asking(keys):
                x = images(1).expand(len(keys) * n, -1, -1, -1)
                heard.append(target.confidences(x))
        own = [(keys.index(key), len(keys), n) for keys, n in calls]
        return tuple(
            torch.cat([part.view(count, n, 4)[place] for part, (place, count, n) in zip(parts, own, strict=True)])
            for parts in (heard, numbers)
        )

    alone, numbers = hear(3, [([3], 6)])
    assert len({tuple(row) for row in alone.tolist()}) == 6  # fresh at each query
    beside, same = hear(3, [([1, 3, 2], 4), ([3], 2)])  # whoever asks beside it, in whatever batches
    assert torch.equal(same, numbers)
    # a product of another number of inputs may round otherwise in the last bit
    torch.testing.assert_close(beside, alone, atol=1e-5, rtol=0)
    assert not torch.equal(hear(3, [([3], 6)], seed=1)[1], numbers)
    assert not torch.equal(hear(2, [([2], 6)])[1], numbers)


def test_noise_starts_again_with_an_attack(tiny_softmax):
    target = defend(WhiteBox(tiny_softmax), [GaussianNoise(sigma=0.1), TopK(k=3)])
    first, second = target.confidences(images()), target.confidences(images())
    assert not torch.equal(first, second)
    target.restart()
    assert torch.equal(target.confidences(images()), first)


def test_noise_goes_on_from_a_run_state(tiny_softmax, tmp_path):
    def target():
        return defend(WhiteBox(tiny_softmax), [GaussianNoise(sigma=0.1), TopK(k=3), GaussianNoise(sigma=0.2, seed=5)])

    def hear(target):
        with target.asking([4, 6]):
            return torch.cat((target.confidences(images()), target.log_confidences(images())))

    first = target()
    hear(first)
    first.confidences(images(1))  # nobody's noise has a stream, too
    torch.save(first.run_state(), tmp_path / "state.pt")
    heard, asked = (hear(first), first.confidences(images(2))), first.ledger.asked([4, 6])
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for later in (first, target()):
        later.load_run_state(state)
        assert later.ledger.asked([4, 6]) == [6, 6]
        again = hear(later), later.confidences(images(2))
        assert all(torch.equal(*pair) for pair in zip(heard, again, strict=True))
        assert (later.ledger.asked([4, 6]), later.queries) == (asked, first.queries)


def test_run_states_of_other_targets(tiny_softmax):
    bare = WhiteBox(tiny_softmax)
    for target, other in (
        (bare, TopK(k=2).wrap(bare)),
        (TopK(k=2).wrap(bare), bare),
        (TopK(k=2).wrap(bare), GaussianNoise(sigma=0.1).wrap(bare)),
        (GaussianNoise(sigma=0.1).wrap(bare), TopK(k=2).wrap(bare)),
    ):
        with pytest.raises(InputError, match=rf"the run state of a {type(target).__name__} \(.*\), got .* \(state\)"):
            target.load_run_state(other.run_state())


# ------------------------------------------------------------------------------------------------ the others


def test_logits_pass_a_temperature_and_nothing_else(tiny_softmax):
    bare = WhiteBox(tiny_softmax)
    target = defend(bare, [Temperature(temperature=2.0), Temperature(temperature=4.0)])
    torch.testing.assert_close(target.logits(images()), bare.release_logits(images()) / 8)
    assert (bare.has_logits, target.has_logits, target.queries) == (True, True, 6)
    for defense in DEFENSES[:7]:
        hidden = defend(bare, [defense, Temperature(temperature=2.0)])
        assert not hidden.has_logits
        with pytest.raises(InputError, match=rf"that releases logits, got {type(defense).__name__}, which does not"):
            hidden.logits(images())
    assert bare.queries == 6  # what was refused is not counted


@pytest.mark.parametrize(("gradient", "factor"), [("true", 0.5), ("zero", 0.0), ("straight_through", 1.0)])
def test_gradients_of_tempered_logits(gradient, factor, tiny_softmax):
    bare, x = WhiteBox(tiny_softmax), images().requires_grad_()
    target = Temperature(temperature=2.0, gradient=gradient).wrap(bare)
    found, behind = (torch.autograd.grad(t.logits(x)[:, 1].sum(), x)[0] for t in (target, bare))
    torch.testing.assert_close(found, behind * factor)


def test_top_k_shows_the_greatest():
    p = torch.tensor([[0.1, 0.4, 0.3, 0.2], UNIFORM])
    assert TopK(k=2).defend(p).tolist() == [pytest.approx([0, 4 / 7, 3 / 7, 0]), [0.5, 0.5, 0, 0]]


def test_the_gradient_of_top_k_is_that_of_what_it_shows(tiny_softmax):
    target, x = TopK(k=2).wrap(WhiteBox(tiny_softmax.double())), images(1).double().requires_grad_()
    assert torch.autograd.gradcheck(target.release, (x,))


def test_temperature_is_that_of_the_logits(tiny_softmax):
    target = Temperature(temperature=2.5).wrap(WhiteBox(tiny_softmax))
    logits = tiny_softmax(images())
    torch.testing.assert_close(target.confidences(images()), (logits / 2.5).softmax(1))
    torch.testing.assert_close(target.log_confidences(images()), (logits / 2.5).log_softmax(1))
    assert torch.equal(Temperature(temperature=9.0).defend(torch.tensor([[0.0, 1.0]])), torch.tensor([[0.0, 1.0]]))


def test_a_defense_of_ones_own_needs_one_method(tiny_softmax):
    class Uniform(Defense):
        def defend(self, p):
            return torch.full_like(p, 1 / p.shape[1])

    x = images().requires_grad_()
    p = Uniform().wrap(WhiteBox(tiny_softmax)).confidences(x)
    assert p.tolist() == [UNIFORM] * 6
    (gradient,) = torch.autograd.grad(p.sum(), x)
    assert not gradient.any()
