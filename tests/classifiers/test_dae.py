"""The stacked autoencoder: each phase trains its own layer, the decoders fit the encoders, and one file holds all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn.functional import mse_loss

from mi_lightning.classifiers import StackedDAE
from mi_lightning.classifiers.dae import Phase
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.data import AttFaces
from mi_lightning.errors import InputError

QUIET = {"accelerator": "cpu", "enable_checkpointing": False, "enable_progress_bar": False}


def adam(rate: float):
    return lambda parameters: torch.optim.Adam(parameters, lr=rate)


def make(data: AttFaces, epochs: tuple[int, ...] = (3, 2, 4, 2), **arguments) -> StackedDAE:
    """A small one; epochs of layer 1, layer 2, softmax layer and fine-tuning."""
    seed_everything(0, verbose=False)
    first, second, softmax, finetune = (Phase(number, adam(0.01)) for number in epochs)
    settings = {
        "hidden": (12, 6),
        "corruption": 0.1,
        "pretraining": [first, second],
        "softmax": softmax,
        "finetune": finetune,
    }
    return StackedDAE(
        input_shape=data.input_shape,
        num_classes=data.num_classes,
        class_names=data.class_names,
        input_range=data.input_range,
        **(settings | arguments),
    )


def fit(classifier: StackedDAE, data: AttFaces, *, test: bool = False, **arguments) -> Trainer:
    settings = {**QUIET, "logger": False, "max_epochs": -1, "enable_model_summary": False, "log_every_n_steps": 1}
    trainer = Trainer(**(settings | arguments))
    trainer.fit(classifier, datamodule=data)
    if test:
        trainer.test(classifier, datamodule=data, verbose=False)
    return trainer


def weights(classifier: StackedDAE) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in classifier.named_parameters()}


class History(Callback):
    """Keeps the weights and the metrics after every epoch."""

    def on_train_start(self, trainer: Trainer, pl_module: StackedDAE) -> None:
        self.states, self.metrics = [weights(pl_module)], []

    def on_train_batch_end(self, trainer: Trainer, pl_module: StackedDAE, *_) -> None:
        if trainer.is_last_batch:
            self.states.append(weights(pl_module))

    def on_train_end(self, trainer: Trainer, pl_module: StackedDAE) -> None:
        self.metrics.append({key: float(value) for key, value in trainer.callback_metrics.items()})

    def changed(self, first: int, last: int) -> set[str]:
        """Weights that differ between the ends of two epochs, by the module that they belong to."""
        names = {name for name, value in self.states[first].items() if not torch.equal(value, self.states[last][name])}
        return {name.removeprefix("autoencoder.layers.").rpartition(".")[0] for name in names}


def test_each_phase_trains_its_own_layer_and_leaves_the_others_bit_for_bit(faces: AttFaces) -> None:
    history = History()
    fit(make(faces), faces, callbacks=[history])
    assert history.changed(0, 3) == {"0.encoder", "0.decoder"}
    assert history.changed(3, 5) == {"1.encoder", "1.decoder"}
    assert history.changed(5, 9) == {"head"}
    assert history.changed(9, 11) == {"0.encoder", "0.decoder", "1.encoder", "1.decoder", "head"}


def test_fine_tuning_without_reconstruction_leaves_the_decoders(faces: AttFaces) -> None:
    history = History()
    fit(make(faces, reconstruction_weight=0.0), faces, callbacks=[history])
    assert history.changed(9, 11) == {"0.encoder", "1.encoder", "head"}


def test_without_fine_tuning_the_encoders_stay_as_pretrained(faces: AttFaces) -> None:
    history = History()
    classifier = make(faces, finetune=None)
    fit(classifier, faces, callbacks=[history])
    assert history.changed(5, -1) == {"head"}
    assert [stage.name for stage in classifier.stages] == ["layer1", "layer2", "softmax"]


def test_reconstruction_weight_keeps_the_decoders_in_step(faces: AttFaces) -> None:
    """After a fine-tuning that moves the encoders far, only jointly trained decoders still give the face back."""
    errors = []
    for weight in (0.0, 10.0):
        classifier = make(faces, (30, 20, 10, 40), reconstruction_weight=weight)
        fit(classifier, faces)
        x = faces.train_x
        with torch.no_grad():
            errors.append(float(mse_loss(classifier.decode(classifier.encode(x)), x)))
    assert errors[1] < 0.5 * errors[0]


def test_decoded_code_beats_the_mean_image_on_held_out_faces(faces: AttFaces) -> None:
    classifier = make(faces, (60, 40, 20, 10))
    fit(classifier, faces, test=True)
    x = faces.test_x
    mean = mse_loss(faces.train_x.mean(0).expand_as(x), x)
    with torch.no_grad():
        twice = mse_loss(classifier.decode(classifier.encode(x)), x)
    assert twice < 0.5 * mean
    assert classifier.training_info["test_mse_layer1"] < 0.5 * mean
    assert classifier.training_info["test_mse_layer2"] == pytest.approx(float(twice), rel=1e-4)
    assert classifier.training_info["test_accuracy"] == 1.0


def test_logits_are_the_head_on_the_code(faces: AttFaces) -> None:
    classifier, x = make(faces), faces.test_x
    code = classifier.encode(x)
    assert code.shape == (8, 6)
    torch.testing.assert_close(classifier(x), classifier.head(code))
    assert torch.equal(classifier.features(x), code)
    assert classifier.decode(code).shape == x.shape
    assert code.abs().max() < 1


def test_one_file_holds_encoders_decoders_and_head(faces: AttFaces, tmp_path: Path) -> None:
    classifier = make(faces, corruption=(0.1, 0.2))
    fit(classifier, faces, test=True)
    save_classifier(classifier, tmp_path / "dae.ckpt")
    loaded = load_classifier(tmp_path / "dae.ckpt")
    x = faces.test_x
    assert isinstance(loaded, StackedDAE)
    assert torch.equal(loaded(x), classifier.eval()(x))
    assert torch.equal(loaded.decode(loaded.encode(x)), classifier.decode(classifier.encode(x)))
    assert loaded.init_args == classifier.init_args
    assert (loaded.hidden, loaded.corruption, loaded.offset) == ((12, 6), (0.1, 0.2), 0.5)
    assert loaded.training_info == classifier.training_info


def test_the_run_ends_with_the_last_phase_and_tells_what_it_did(faces: AttFaces) -> None:
    classifier = make(faces)
    trainer = fit(classifier, faces, max_epochs=500)
    assert trainer.current_epoch == classifier.total_epochs == 11
    phases = classifier.training_info["phases"]
    assert {name: phase["epochs"] for name, phase in phases.items()} == {
        "layer1": 3,
        "layer2": 2,
        "softmax": 4,
        "finetune": 2,
    }
    assert all(phase["seconds"] > 0 for phase in phases.values())


def test_too_few_epochs_for_the_phases(faces: AttFaces) -> None:
    words = "expected max_epochs >= 11 (3 layer1 + 2 layer2 + 4 softmax + 2 finetune), got 10 (max_epochs)"
    with pytest.raises(InputError, match=re.escape(words)):
        fit(make(faces), faces, max_epochs=10)
    fit(make(faces), faces, max_epochs=11)


def test_fast_dev_run_needs_no_epochs(faces: AttFaces) -> None:
    assert fit(make(faces), faces, fast_dev_run=True).global_step == 1


def test_a_phase_without_epochs_is_left_out(faces: AttFaces) -> None:
    history = History()
    fit(make(faces, (2, 0, 1, 0)), faces, callbacks=[history])
    assert history.changed(0, -1) == {"0.encoder", "0.decoder", "head"}


def test_phase_optimizer_and_schedule_are_the_ones_given(faces: AttFaces) -> None:
    """One step of gradient descent on the first layer, then a rate of zero."""
    made = []

    def descent(parameters):
        made.append(torch.optim.SGD(parameters, lr=0.5, momentum=0.9))
        return made[-1]

    def stop(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0 if epoch == 0 else 0.0)

    classifier = make(faces, pretraining=[Phase(3, descent, stop), Phase(1)], corruption=0.0)
    before, history = weights(classifier), History()
    data = AttFaces(root=faces.root, test_per_person=2, batch_size=12)
    fit(classifier, data, callbacks=[history])
    assert history.changed(1, 3) == set()
    data.setup()
    twin = make(faces, corruption=0.0)
    layer = twin.autoencoder.layer(0)
    layer.loss(data.train_x.flatten(1)).backward()
    name = "autoencoder.layers.0.decoder.weight"
    torch.testing.assert_close(history.states[1][name], before[name] - 0.5 * layer.decoder.weight.grad)
    assert made[0].state == {}  # no memory is held for a phase that is over
    assert all(parameter.grad is None for parameter in made[0].param_groups[0]["params"])


def test_a_fit_that_is_resumed_goes_on_in_its_phase(faces: AttFaces, tmp_path: Path) -> None:
    class Stop(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: StackedDAE) -> None:
            trainer.should_stop = trainer.current_epoch == 3

    first = make(faces)
    fit(first, faces, callbacks=[Stop()]).save_checkpoint(tmp_path / "stopped.ckpt")
    second, history = make(faces), History()
    trainer = Trainer(**QUIET, logger=False, max_epochs=-1, enable_model_summary=False, callbacks=[history])
    trainer.fit(second, datamodule=faces, ckpt_path=str(tmp_path / "stopped.ckpt"), weights_only=True)
    assert trainer.current_epoch == 11
    assert all(torch.equal(value, history.states[0][name]) for name, value in weights(first).items())
    assert history.changed(0, 1) == {"1.encoder", "1.decoder"}
    assert history.changed(1, 5) == {"head"}


def test_phases_show_in_the_log(faces: AttFaces, tmp_path: Path) -> None:
    classifier = make(faces)
    fit(classifier, faces, test=True, logger=TensorBoardLogger(tmp_path, name="", version=""))
    events = EventAccumulator(str(tmp_path)).Reload()
    scalars = events.Tags()["scalars"]
    counts = {name: len(events.Scalars(f"train/{name}")) for name in ("mse_layer1", "mse_layer2", "loss", "phase")}
    assert counts == {"mse_layer1": 3, "mse_layer2": 2, "loss": 6, "phase": 11}
    assert [event.value for event in events.Scalars("train/phase")] == [1] * 3 + [2] * 2 + [3] * 4 + [4] * 2
    assert {"train/mse_finetune", "test/mse_layer1", "test/mse_layer2"} <= set(scalars)
    assert len(events.Images("train/reconstructions")) == 4
    picture = events.Images("test/reconstructions")[0]
    # original, once and twice encoded and decoded, one above the other; 8 test images side by side
    assert (picture.height, picture.width) == (3 * 8, 8 * 6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"corruption": 1.0}, r"corruption in \[0, 1\), got 1.0 \(corruption\)"),
        ({"corruption": (0.1, 0.2, 0.3)}, "one corruption for each of 2 layers, got 3"),
        ({"hidden": ()}, r"at least one layer, got .*\(hidden\)"),
        ({"hidden": (4, 0)}, "hidden >= 1, got 0"),
        ({"reconstruction_weight": -1.0}, "reconstruction_weight >= 0, got -1.0"),
        ({"pretraining": [Phase()]}, r"one phase of pretraining for each of 2 layers, got 1 \(pretraining\)"),
        ({"softmax": Phase(-1)}, r"epochs >= 0, got -1 \(softmax\)"),
        ({"pretraining": [Phase(0), Phase(0)], "softmax": Phase(0)}, "at least one epoch in one phase, got 0"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        StackedDAE(**({"input_shape": (1, 4, 4), "num_classes": 3, "hidden": (6, 4)} | arguments))
