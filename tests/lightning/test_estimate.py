"""What an attack will take is said before it starts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mi_lightning.attacks.costs import NegativeLogit
from mi_lightning.attacks.estimators import SPSA
from mi_lightning.attacks.initializers import Noise
from mi_lightning.attacks.spaces import LatentSpace, PixelSpace
from mi_lightning.lightning.callbacks import WholeProgress
from mi_lightning.lightning.estimate import Estimate, estimate
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import BlackBox, WhiteBox
from tests.attacks.conftest import PEOPLE, SHAPE, quiet_trainer
from tests.attacks.test_in_parts import Network, target_of


class Decoder(nn.Module):
    """Makes pictures of codes by a convolution, whose shapes do not tell what memory it takes."""

    def __init__(self):
        super().__init__()
        self.linear, self.conv = nn.Linear(3, math.prod(SHAPE)), nn.Conv2d(SHAPE[0], SHAPE[0], 3, padding=1)

    def forward(self, z):
        return self.conv(self.linear(z).unflatten(1, SHAPE)).sigmoid()


CASES = {
    "gradients": {},
    "two at once": {"rows_at_once": 2, "restarts": 2},
    "initial candidates": {"initial_candidates": 4, "space": PixelSpace(initializer=Noise(std=0.3))},
    "queries": {"estimator": SPSA(pairs=3)},
    "a cost that does not tell": {"cost": NegativeLogit()},
    "a budget": {"estimator": SPSA(pairs=3), "query_budget": 24},
}


@pytest.mark.parametrize("name", CASES)
def test_queries_are_those_of_an_attack_that_nothing_stops(classifier, name):
    inversion = Inversion(target=WhiteBox(classifier), max_iterations=5, labels="0-4", **CASES[name])
    told = estimate(inversion)
    assert inversion.target.queries == 0
    found = quiet_trainer().invert(inversion)
    assert told.rows == len(found)
    spare = 2 * told.rows if name == "a budget" else 0  # 1 + 3 x 7 of 24
    assert told.queries - int(found.queries.sum()) == spare


def test_time_and_memory_are_of_the_right_size():
    inversion = Inversion(target=target_of(Network(width=16), size=96), max_iterations=30, labels="0-5")
    told = estimate(inversion)
    assert 6 * 2 * 4 * 16 * 96 * 96 < told.memory_bytes < 6 * 8 * 4 * 16 * 96 * 96
    found = quiet_trainer().invert(inversion)
    assert 0.2 * told.seconds < float(found.seconds.sum()) < 5 * told.seconds
    assert told.disk_bytes > 6 * 2 * 4 * 96 * 96


@pytest.mark.parametrize("space", [None, "decoder"])
def test_a_target_that_only_answers_is_not_asked(space):
    asked = []
    function = lambda x: (asked.append(len(x)), torch.full((len(x), PEOPLE), 1 / PEOPLE))[1]  # noqa: E731
    target = BlackBox(function, input_shape=SHAPE, num_classes=PEOPLE)
    target.price_per_query = 0.002
    settings = {"space": LatentSpace(decoder=Decoder(), code_size=3, look_at="image")} if space else {}
    inversion = Inversion(target=target, estimator=SPSA(pairs=5), max_iterations=10, labels="0-1", **settings)
    told = estimate(inversion)
    assert asked == []
    assert (told.seconds, told.queries, told.price) == (None, 2 * (1 + 10 * 11), pytest.approx(0.444))
    assert "2 rows x 10 iterations: time as the target answers, at most 222 queries (price 0.44)" in str(told)
    found = quiet_trainer().invert(inversion)  # nor when the attack finds out how many rows fit
    assert sum(asked) == int(found.queries.sum()) == target.queries


def test_it_is_said_in_one_line():
    told = Estimate(500, 1000, 50, 500_500, 9000.0, 3_000_000_000, 600_000_000)
    assert str(told) == (
        "500 rows x 1000 iterations, 50 rows at once: about 2.5 h, at most 500,500 queries, "
        "3.0 GB of memory, 600 MB on disk"
    )


def test_the_progress_bar_says_it_before_the_attack(classifier, capsys):
    trainer = InversionTrainer(
        accelerator="cpu", logger=False, callbacks=[WholeProgress()], enable_checkpointing=False,
        enable_model_summary=False,
    )  # fmt: skip
    inversion = Inversion(target=WhiteBox(classifier), max_iterations=5, labels="0-1")
    found = trainer.invert(inversion)
    said = capsys.readouterr().out
    assert said.index("2 rows x 5 iterations: about 1 s, at most 12 queries") < said.index("invert")
    assert found.queries.tolist() == [6, 6]
    assert inversion.target.queries == 12
