"""Classifiers come back from their files whole, and nothing else does."""

from __future__ import annotations

import os
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from mi_lightning.checkpoint import class_path, file_digest, weights_digest
from mi_lightning.classifiers import Classifier, FaceCNN, SoftmaxRegression
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.data import AttFaces, SpeakerFolder
from mi_lightning.errors import InputError, MIError


def cnn() -> FaceCNN:
    return FaceCNN(
        input_shape=(1, 16, 16),
        num_classes=3,
        class_names=["a", "b", "c"],
        input_range=(-1.0, 1.0),
        width=2,
        hidden=4,
        noise=0.25,
    )


def change(path: Path, **entries) -> Path:
    """Rewrite a checkpoint with other entries."""
    torch.save(torch.load(path, weights_only=True) | entries, path)
    return path


@pytest.fixture
def saved(tmp_path: Path, tiny_softmax: SoftmaxRegression) -> Path:
    save_classifier(tiny_softmax, tmp_path / "deep" / "folder" / "tiny.ckpt")
    return tmp_path / "deep" / "folder" / "tiny.ckpt"


@pytest.mark.parametrize("name", ["softmax", "cnn"])
def test_what_was_saved_comes_back(name: str, tmp_path: Path, tiny_softmax: SoftmaxRegression) -> None:
    classifier: Classifier = tiny_softmax if name == "softmax" else cnn().train()
    classifier.training_info = {"test_accuracy": 0.975, "data": {"split_seed": 3}}
    save_classifier(classifier, str(tmp_path / "a.ckpt"))
    loaded = load_classifier(str(tmp_path / "a.ckpt"))
    assert type(loaded) is type(classifier)
    assert loaded.init_args == classifier.init_args
    assert loaded.class_names == classifier.class_names
    assert loaded.training_info == classifier.training_info
    assert not loaded.training
    assert weights_digest(loaded) == weights_digest(classifier)
    x = torch.rand(3, *classifier.input_shape)
    assert torch.equal(loaded(x), classifier.eval()(x))


def test_loading_leaves_the_global_random_state(tmp_path: Path) -> None:
    save_classifier(cnn(), tmp_path / "a.ckpt")
    before = torch.get_rng_state()
    load_classifier(tmp_path / "a.ckpt")
    assert torch.equal(before, torch.get_rng_state())


def test_lightning_checkpoint_loads_too(tmp_path: Path, faces: AttFaces) -> None:
    classifier = SoftmaxRegression(
        input_shape=faces.input_shape, num_classes=faces.num_classes, class_names=faces.class_names
    )
    keep = ModelCheckpoint(tmp_path / "kept", "kept", save_on_train_epoch_end=True)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        callbacks=[keep],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(classifier, datamodule=faces)
    loaded = load_classifier(tmp_path / "kept" / "kept.ckpt")
    assert weights_digest(loaded) == weights_digest(classifier)
    assert loaded.training_info["data"] == faces.describe()


def test_lightning_loads_ours(saved: Path, tiny_softmax: SoftmaxRegression) -> None:
    loaded = SoftmaxRegression.load_from_checkpoint(saved, map_location="cpu", weights_only=True)
    assert weights_digest(loaded) == weights_digest(tiny_softmax)


def test_saving_replaces_and_leaves_nothing_beside(saved: Path) -> None:
    other = SoftmaxRegression(input_shape=(1, 2, 2), num_classes=3)
    save_classifier(other, saved)
    assert load_classifier(saved).input_shape == (1, 2, 2)
    assert [file.name for file in saved.parent.iterdir()] == ["tiny.ckpt"]


def test_a_write_that_fails_keeps_the_old_file(
    saved: Path, tiny_softmax: SoftmaxRegression, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def full(checkpoint: object, file) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(MIError, match=r"cannot write the checkpoint \S+tiny\.ckpt: No space left on device"):
        save_classifier(tiny_softmax, saved)
    assert saved.read_bytes() == before
    assert [file.name for file in saved.parent.iterdir()] == ["tiny.ckpt"]


def test_unwritable_places(tmp_path: Path, tiny_softmax: SoftmaxRegression) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MIError, match=r"cannot write the checkpoint \S+/file/a\.ckpt: .*$"):
        save_classifier(tiny_softmax, tmp_path / "file" / "a.ckpt")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MIError, match="cannot write the checkpoint"):
        save_classifier(tiny_softmax, tmp_path / "folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MIError, match=r"^no checkpoint at \S+none\.ckpt: train the classifier first"):
        load_classifier(tmp_path / "none.ckpt")


@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file(saved: Path, part: float) -> None:
    data = saved.read_bytes()
    saved.write_bytes(data[: int(part * len(data))])
    with pytest.raises(MIError, match=r"tiny\.ckpt.*damaged") as caught:
        load_classifier(saved)
    assert "\n" not in str(caught.value)


def test_text_file(tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_text("seed_everything: 0\n")
    with pytest.raises(MIError, match=r"a\.ckpt.*damaged"):
        load_classifier(tmp_path / "a.ckpt")


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("writer", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_file_is_not_run(tmp_path: Path, writer) -> None:
    writer({"mi_lightning": _Payload(tmp_path / "ran")}, tmp_path / "a.ckpt")
    with pytest.raises(MIError, match="would run code when loaded"):
        load_classifier(tmp_path / "a.ckpt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [{"state_dict": {}}, [1, 2], torch.zeros(3), {"mi_lightning": {"format_version": 1}}]
)
def test_other_torch_files(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(MIError, match=r"a\.ckpt is no classifier checkpoint of mi_lightning$"):
        load_classifier(tmp_path / "a.ckpt")


def test_another_format_version(saved: Path) -> None:
    change(saved, mi_lightning={"format_version": 99, "class_path": "x.Y", "training": {}})
    with pytest.raises(MIError, match=r"expected checkpoint format 1, got 99 in \S+tiny\.ckpt"):
        load_classifier(saved)


@pytest.mark.parametrize(
    ("class_path", "words"),
    [
        ("mi_lightning.classifiers.Unheard", r"holds a mi_lightning\.classifiers\.Unheard, which is unknown"),
        ("mi_lightning.nowhere.Unheard", r"which is unknown: import its module first"),
        ("antigravity.fly", r"holds a antigravity\.fly, which is unknown"),
        ("", r"which is unknown"),
        ("os.system", r"holds a os\.system, which is no classifier"),
        ("mi_lightning.errors.InputError", r"which is no classifier"),
        ("mi_lightning.classifiers.Classifier", r"which is no classifier"),
    ],
)
def test_classes_that_are_not_loaded(saved: Path, class_path: str, words: str) -> None:
    change(saved, mi_lightning={"format_version": 1, "class_path": class_path, "training": {}})
    with pytest.raises(MIError, match=words):
        load_classifier(saved)
    assert os.sys.modules.get("antigravity") is None


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"state_dict": {}}, "does not fit SoftmaxRegression: .*Missing key"),
        ({"hyper_parameters": {"unknown": 1}}, "does not fit SoftmaxRegression: .*unexpected keyword argument"),
        ({"hyper_parameters": {"input_shape": [1, 8, 7], "num_classes": 4}}, "size mismatch"),
        ({"hyper_parameters": {"input_shape": [1, 8, 6], "num_classes": 1}}, "num_classes >= 2, got 1"),
        ({"hyper_parameters": None}, "does not fit SoftmaxRegression"),
    ],
)
def test_contents_that_do_not_fit(saved: Path, entries: dict, words: str) -> None:
    change(saved, **entries)
    with pytest.raises(MIError, match=words) as caught:
        load_classifier(saved)
    assert "\n" not in str(caught.value)
    assert "tiny.ckpt" in str(caught.value)


def test_digest_tells_weights_apart(tiny_softmax: SoftmaxRegression) -> None:
    before = weights_digest(tiny_softmax)
    assert before == weights_digest(tiny_softmax.train())
    with torch.no_grad():
        tiny_softmax.head.bias[0] += 1e-6
    assert weights_digest(tiny_softmax) != before


def test_digest_sees_names_and_shapes() -> None:
    def module(name: str, value: torch.Tensor) -> torch.nn.Module:
        made = torch.nn.Module()
        made.register_buffer(name, value)
        return made

    zeros = torch.zeros(2, 3)
    digests = {
        weights_digest(module(*case)) for case in [("a", zeros), ("b", zeros), ("a", zeros.T), ("a", zeros.int())]
    }
    assert len(digests) == 4
    assert weights_digest(module("a", zeros.T.contiguous().T)) == weights_digest(module("a", zeros))


def test_class_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    class Local:
        pass

    own = types.ModuleType("people"), types.ModuleType("people.data"), types.ModuleType("people.data.faces")
    for module in own:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    faces = type("Faces", (AttFaces,), {"__module__": "people.data.faces"})
    assert class_path(faces) == "people.data.faces.Faces"
    own[1].Faces = faces
    assert class_path(faces) == "people.data.Faces"
    own[0].Faces = faces  # a root may load its names late
    assert class_path(faces) == "people.data.Faces"
    own[1].Faces = AttFaces  # the same name for something else
    assert class_path(faces) == "people.data.faces.Faces"
    assert faces(root="nowhere").describe.__func__ is AttFaces.describe
    assert class_path(SpeakerFolder) == "mi_lightning.data.SpeakerFolder"  # past a package that does not export it
    assert class_path(InputError) == "mi_lightning.errors.InputError"
    assert class_path(torch.nn.Linear) == "torch.nn.Linear"
    assert class_path(Local) == f"{__name__}.test_class_paths.<locals>.Local"


def test_data_of_ones_own_are_described_by_their_class(face_folder: Path) -> None:
    class Own(AttFaces):
        pass

    described = Own(root=str(face_folder), test_per_person=2).describe()
    assert described["class_path"] == class_path(Own)
    assert not described["class_path"].startswith("mi_lightning")


def test_file_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_digest(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(MIError, match="cannot read"):
        file_digest(tmp_path / "b")
