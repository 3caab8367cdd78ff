"""What every kind of samples has to offer to pages, folders, tables and TensorBoard."""

from __future__ import annotations

import dataclasses
import io
import typing

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.data.base import AXES, Kind, modality_of
from mi_lightning.report.columns import COLUMNS, columns_of
from mi_lightning.report.media import MEDIA, Found, Media, media
from mi_lightning.report.results import read_results
from tests.report.conftest import make_judgement, make_result

SHAPES = {"picture": (3, 12, 10), "sound": (1, 3200), "other": (7,)}


def of(kind: Kind):
    """How a kind is shown, what samples of it are, and an attack on them."""
    return media(kind), modality_of(SHAPES[kind], (-1.0, 1.0), 8000), make_result(SHAPES[kind])


def heard(judgement, result):
    """A judgement of voices."""
    return dataclasses.replace(judgement, real=result.reconstruction.flip(-1), vocoded=result.reconstruction / 2)


def test_every_kind_is_shown():
    assert set(MEDIA) == set(AXES) == set(typing.get_args(Kind)) == set(SHAPES)
    assert all(media(kind).kind == kind for kind in MEDIA)


@pytest.mark.parametrize("kind", MEDIA)
def test_what_its_tables_name_is_a_column(kind):
    keys = {column.key for column in COLUMNS}
    assert set(media(kind).terminal) <= keys
    assert set(media(kind).measures) <= keys
    assert media(kind).caption.count("\n") == 2


def test_controls_have_names_of_their_kind():
    assert [media(kind).control("noise") for kind in ("picture", "sound")] == ["noise images", "noise"]
    assert media("picture").control("mean_face", short=True) == "mean face"
    assert media("sound").control("something else") == "something else"


@pytest.mark.parametrize(
    ("kind", "picture", "sheet"),
    [("picture", (4, 12, 10, 3), (26, 34, 3)), ("sound", (4, 96, 160, 3), (194, 322, 3)), ("other", None, None)],
)
def test_samples_as_pictures(kind, picture, sheet):
    shown, modality, result = of(kind)
    pixels, grid = (show(result.reconstruction, modality) for show in (shown.pixels, shown.grid))
    assert (None if pixels is None else pixels.shape) == picture
    assert (None if grid is None else grid.shape) == sheet
    assert shown.grid(result.reconstruction[:0], modality) is None
    assert (shown.thumbnails(result.reconstruction, modality) is None) == (kind != "picture")


def test_only_pictures_are_faint():
    for kind in MEDIA:
        shown, modality, result = of(kind)
        assert shown.faint(result.reconstruction * 0.01, modality) == (kind == "picture")
        assert not shown.faint((result.reconstruction * 2 - 1), modality)


@pytest.mark.parametrize("kind", MEDIA)
def test_only_voices_can_be_listened_to(kind, judgement):
    shown, _, result = of(kind)
    loud = dataclasses.replace(result, reconstruction=result.reconstruction * 3)
    players = shown.players(loud, heard(judgement, result))
    assert list(players) == (["found", "vocoder", "real"] if kind == "sound" else [])
    assert list(shown.players(loud, None)) == list(players)[:1]
    for wave in players.values():
        assert wave.shape == (4, 1, 3200)
        assert wave.abs().max() <= 1


def test_files_of_voices(judgement):
    shown, modality, result = of("sound")
    chosen = torch.tensor([1, 2])
    files = shown.files(Found(result, heard(judgement, result), chosen, modality))
    stems = ("audio/000_ann", "audio/002_cleo")
    expected = {f"{stem}{kind}.wav" for stem in stems for kind in ("", "_vocoder", "_real")}
    assert files.keys() == expected | {"spectrograms.png"}
    assert shown.files(Found(result, None, chosen, modality)).keys() == {f"{stem}.wav" for stem in stems} | {
        "spectrograms.png"
    }


def test_files_of_pictures_and_of_other_samples(judgement):
    for kind, names in (("picture", {"reconstructions.png"}), ("other", set())):
        shown, modality, result = of(kind)
        files = shown.files(Found(result, make_judgement(result), torch.tensor([1, 2]), modality))
        assert files.keys() == names
        for content in files.values():
            with Image.open(io.BytesIO(content)) as sheet:
                assert sheet.format == "PNG"


@pytest.mark.parametrize(("kind", "dtype"), [("picture", np.uint8), ("sound", np.float32), ("other", np.float32)])
def test_what_is_kept_of_a_judgement(kind, dtype):
    shown, modality, result = of(kind)
    judgement = dataclasses.replace(
        heard(make_judgement(make_result()), result),
        reference_mean=result.reconstruction,
        reference_best=None,
    )
    kept = shown.arrays(judgement, modality)
    assert kept.keys() == {"reference_mean"} | ({"real", "vocoded"} if kind == "sound" else set())
    assert kept["reference_mean"].dtype == dtype
    if kind == "sound":
        assert kept["real"].dtype == kept["vocoded"].dtype == np.int16


def test_a_card_shows_the_first_photograph_and_the_longest_recording():
    card = {"mean": None, "voice": None}
    shown, modality, _ = of("picture")
    first = {"reference_mean": np.zeros((1, 4, 4), np.uint8)}
    shown.introduce(card, first, 0, modality)
    mean = card["mean"]
    shown.introduce(card, {"reference_mean": np.full((1, 4, 4), 9, np.uint8)}, 0, modality)
    assert card["mean"] == mean != ""
    shown, modality, _ = of("sound")
    lengths = []
    for samples in (800, 1600, 400):
        shown.introduce(card, {"real": np.zeros((1, 1, samples), np.int16)}, 0, modality)
        lengths.append(len(card["voice"]["sound"]))
    assert lengths[0] < lengths[1] == lengths[2]
    shown.introduce(card, {}, 0, modality)
    assert len(card["voice"]["sound"]) == lengths[1]


def test_cells():
    for kind, keys in (
        ("picture", {"picture", "closest", "stretch", "film"}),
        ("sound", {"sounds", "film"}),
        ("other", set()),
    ):
        shown, modality, result = of(kind)
        cell = shown.cell({"reconstruction": result.reconstruction.numpy()}, 0, modality)
        assert cell.keys() == keys
        assert cell.get("film") is None
    shown, modality, result = of("sound")
    arrays = {"reconstruction": result.reconstruction.numpy(), "vocoded": np.zeros((4, 1, 3200), np.int16)}
    captions = [player["caption"] for player in shown.cell(arrays, 3, modality)["sounds"]]
    assert captions == ["as found", "after the vocoder"]


def test_columns_of_a_page_are_those_of_the_kinds_on_it(run_folder):
    runs = {
        kind: read_results(run_folder(kind, result=make_result(shape), judgement=None))
        for kind, shape in SHAPES.items()
    }
    assert {kind: run.media for kind, run in runs.items()} == {kind: MEDIA[kind] for kind in runs}
    pictures, voices = ({column.key for column in columns_of([runs[kind]])} for kind in ("picture", "sound"))
    assert "ssim_mean" in pictures - voices
    assert "dvector_cosine_mean" in voices - pictures
    assert {column.key for column in columns_of(list(runs.values()))} == pictures | voices


def test_nothing_is_shown_of_what_nobody_knows():
    shown, modality, result = of("other")
    assert type(shown) is Media
    assert shown.pixels(result.reconstruction, modality) is None


@pytest.mark.parametrize("kind", MEDIA)
def test_a_sheet_with_references_of_ones_own(kind):
    shown, modality, result = of(kind)
    chosen = torch.tensor([1, 2])
    bare, beside = (
        shown.sheet(Found(result, None, chosen, modality), references)
        for references in (None, result.reconstruction[chosen].flip(-1))
    )
    if kind == "other":
        assert bare is beside is None
        return
    with Image.open(io.BytesIO(bare)) as narrow, Image.open(io.BytesIO(beside)) as wide:
        assert (np.asarray(wide) != 255).sum() > (np.asarray(narrow) != 255).sum()  # more is drawn
