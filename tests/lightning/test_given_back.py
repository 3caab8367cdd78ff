"""A model is given back as it was: fit, attack, fit again is fit, fit, to the same bits."""

from __future__ import annotations

import copy
import random

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.estimators import SPSA
from mi_lightning.attacks.initializers import Noise
from mi_lightning.attacks.spaces import LatentSpace, PixelSpace
from mi_lightning.classifiers import CNN, FaceCNN, SincNet, StackedDAE
from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.dae import Phase
from mi_lightning.data.base import PersonDataModule
from mi_lightning.judging.judge import Judge
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import BlackBox, WhiteBox
from tests.attacks.conftest import quiet_trainer
from tests.contracts.attack_examples import CODE, Decoder, softmax

PEOPLE = 4
PICTURE, CHUNK = (1, 16, 18), (1, 800)


class Drawn(PersonDataModule):
    """Random samples of a shape, three to learn from and one to test with for each of four people."""

    def __init__(self, shape):
        super().__init__(batch_size=4)
        self.shape = shape

    @property
    def input_shape(self):
        return self.shape

    @property
    def input_range(self):
        return (0.0, 1.0) if len(self.shape) == 3 else (-1.0, 1.0)

    @property
    def class_names(self):
        return tuple(map(str, range(PEOPLE)))

    def load(self):
        x = torch.rand(4 * PEOPLE, *self.shape, generator=torch.Generator().manual_seed(1))
        x = x * (self.input_range[1] - self.input_range[0]) + self.input_range[0]
        y = torch.arange(PEOPLE)
        return (x[: 3 * PEOPLE], y.repeat(3)), (x[3 * PEOPLE :], y)


class Mixed(Classifier):
    """Batch normalisation, dropout, a frozen layer, a part that is always in evaluation mode, and a tied weight."""

    def __init__(self, **classifier):
        super().__init__(**classifier)
        self.frozen = nn.Linear(16 * 18, 8)
        self.frozen.requires_grad_(False)
        self.norm, self.always = nn.BatchNorm1d(8), nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.3)
        self.mixed = nn.Linear(8, 8)
        self.again = nn.Linear(8, 8)
        self.again.weight = self.mixed.weight
        self.head = nn.Linear(8, self.num_classes)
        self.remember()

    def train(self, mode=True):
        super().train(mode)
        self.always.eval()
        return self

    def features(self, x):
        x = self.norm(self.frozen(x.flatten(1)))
        return self.always(self.again(self.drop(self.mixed(x).relu())))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.01)


SMALL = {"input_shape": PICTURE, "num_classes": PEOPLE, "optimizer": adam}
SOUND = {"input_shape": CHUNK, "num_classes": PEOPLE, "input_range": (-1.0, 1.0), "optimizer": adam}
MODELS = {
    "cnn": lambda: CNN(**SMALL, channels=(3, 4)),
    "batch norm": lambda: FaceCNN(**SMALL),
    "mixed": lambda: Mixed(**SMALL),
    "dae": lambda: StackedDAE(
        input_shape=PICTURE, num_classes=PEOPLE, hidden=(9, 5),
        pretraining=[Phase(epochs=0), Phase(epochs=0)], softmax=Phase(epochs=1), finetune=Phase(epochs=3),
    ),
    "sincnet": lambda: SincNet(**SOUND, filters=5, taps=21, channels=(4,), kernels=(3,), hidden=(8,)),
}  # fmt: skip


def attacks(model):
    """Everything that can be done to it."""
    data = Drawn(model.input_shape)
    space = PixelSpace(initializer=Noise(std=0.1)) if len(model.input_shape) == 3 else None
    settings = {"max_iterations": 3, "restarts": 2}
    if space is not None:
        Attack(space=space, **settings).run(WhiteBox(model))
        Attack(estimator=SPSA(pairs=2), **settings).run(BlackBox.of(model))
        quiet_trainer().invert(Inversion(target=WhiteBox(model), space=space, **settings))
    if isinstance(model, StackedDAE):
        Attack(space=LatentSpace(), **settings).run(WhiteBox(model))
    model_as_evaluator(model, data)


def model_as_evaluator(model, data):
    """Let it judge what was found on another."""
    with torch.random.fork_rng():  # its weights are drawn before they are filled
        other = softmax(model.input_shape, model.input_range)
    if len(model.input_shape) == 3:
        found = Attack(max_iterations=2).run(WhiteBox(other))
        Judge(model, data).judge(found)  # not `judge`, which refuses an evaluator that knows nobody


def everything(model):
    """All that an attack must leave alone."""
    tensors = {name: (value, value.clone(), value.requires_grad) for name, value in model.named_parameters()}
    tensors |= {name: (value, value.clone(), value.requires_grad) for name, value in model.named_buffers()}
    modes = {name: part.training for name, part in model.named_modules()}
    hooks = {
        name: [dict(value) for key, value in vars(part).items() if "hooks" in key and isinstance(value, dict)]
        for name, part in model.named_modules()
    }
    attributes = {name: set(vars(part)) for name, part in model.named_modules()}
    return tensors, modes, hooks, attributes


def check_as_it_was(model, before):
    tensors, modes, hooks, attributes = everything(model)
    assert (modes, hooks, attributes) == before[1:]
    assert tensors.keys() == before[0].keys()
    for name, (now, value, grad) in tensors.items():
        same, was, needed = before[0][name]
        assert now is same, name
        assert grad == needed, name
        assert (value.dtype, value.device) == (was.dtype, was.device), name
        assert torch.equal(value, was), name


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_left_as_it_was(name, training):
    torch.manual_seed(0)
    model = MODELS[name]().train(training)
    calls = []
    handle = model.head.register_forward_hook(lambda *_: calls.append(1))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    grads = {key: value.grad for key, value in model.named_parameters()}
    states = torch.get_rng_state(), random.getstate()
    before = everything(model)
    attacks(model)
    check_as_it_was(model, before)
    for key, value in model.named_parameters():
        assert value.grad is grads[key], key
        assert value.grad is None or bool((value.grad == 1).all()), key
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert handle.id in model.head._forward_hooks


def fitted(model, times, between):
    """Fit so many times, and do something in between."""
    for turn in range(times):
        if turn:
            between(model)
        data = Drawn(model.input_shape)
        trainer = Trainer(
            accelerator="cpu", max_epochs=-1 if isinstance(model, StackedDAE) else 2, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        torch.manual_seed(turn)
        trainer.fit(model, data)
    return model.state_dict()


@pytest.mark.parametrize("name", MODELS)
def test_fit_attack_fit_is_fit_fit_to_the_same_bits(name):
    torch.manual_seed(0)
    model = MODELS[name]()
    untouched = copy.deepcopy(model)
    plain = fitted(untouched, 2, lambda model: None)
    attacked = fitted(model, 2, attacks)
    assert plain.keys() == attacked.keys()
    for key, value in plain.items():
        assert torch.equal(value, attacked[key]), key


def test_one_trainer_fits_attacks_and_fits_again():
    torch.manual_seed(0)
    model, data = MODELS["cnn"](), Drawn(PICTURE)
    settings = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = InversionTrainer(max_epochs=2, enable_model_summary=False, **settings)
    trainer.fit(model, data)
    found = trainer.invert(Inversion(target=WhiteBox(model), max_iterations=4, labels=[1, 2]))
    assert found.iterations.tolist() == [4, 4]
    assert trainer.max_epochs == 2
    assert trainer.current_epoch == 2
    again = trainer.invert(Inversion(target=WhiteBox(model), max_iterations=4, labels=[1, 2]))
    assert torch.equal(again.reconstruction, found.reconstruction)
    before = copy.deepcopy(model.state_dict())
    trainer.fit_loop.max_epochs = 3
    trainer.fit(model, data)
    assert trainer.current_epoch == 3
    assert any(not torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_decoder_is_left_as_it_was(tmp_path):
    decoder = Decoder().train()
    trained = Decoder()
    with torch.no_grad():
        trained.layer.weight.mul_(2)
    torch.save(trained.state_dict(), tmp_path / "decoder.pt")
    before = everything(decoder)
    for weights in (None, str(tmp_path / "decoder.pt")):
        space = LatentSpace(decoder=decoder, weights=weights, code_size=CODE, look_at="image")
        Attack(space=space, max_iterations=3).run(WhiteBox(softmax()))
        quiet_trainer().invert(Inversion(target=WhiteBox(softmax()), space=space, max_iterations=2))
        check_as_it_was(decoder, before)
        wanted = trained if weights else decoder
        torch.testing.assert_close(space.decoder.layer.weight, wanted.layer.weight)
    assert decoder.training
