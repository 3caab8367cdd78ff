"""Grids: axes as a YAML file holds them, what they change, and the identity of a run."""

from __future__ import annotations

import sys

import pytest
import yaml

from mi_lightning.commands.sweep import grid
from mi_lightning.commands.sweep.grid import Axis, change, combinations, fill_in, read_axes, run_digest
from mi_lightning.errors import InputError
from mi_lightning.imports import import_named
from mi_lightning.recognisers import MissingRecogniserError

CONFIG = {
    "model": {"gamma": None, "defenses": [{"class_path": "Rounding", "init_args": {"r": 0.1}}], "max_iterations": 9},
    "trainer": {"logger": False, "max_epochs": 1},
}


def axis(text: str) -> Axis:
    (found,) = read_axes(yaml.safe_load(text))
    return found


def test_an_axis_that_is_a_key():
    found = axis("model.max_iterations: [10, 20]")
    assert (found.labels, found.values) == (("10", "20"), (10, 20))
    assert found.changes == {"model.max_iterations": "$model.max_iterations"}
    changed = change(CONFIG, fill_in(found.changes, {found.name: 20}, ""), "")
    assert changed["model"]["max_iterations"] == 20
    assert CONFIG["model"]["max_iterations"] == 9


def test_none_is_null_under_a_key_and_zero_in_what_is_set():
    assert axis("model.gamma: [none, 0.1]").values == (None, 0.1)
    assert axis("model.gamma: [null, 0.1]").labels == ("none", "0.1")
    found = axis("r: {title: step, values: [none, 1e-5, 0.01], set: {model.x: $r}}")
    assert found.values == (0, 1e-5, 0.01)
    assert found.labels == ("none", "1e-05", "0.01")
    assert (found.title, found.reference) == ("step", "none")
    assert [found.strength(label) for label in found.labels] == [0.0, 1e-5, 0.01]


def test_whole_subtrees_have_labels():
    found = axis("model.defenses: {values: {open: [], coarse: [{class_path: Rounding, init_args: {r: 0.5}}]}}")
    assert found.labels == ("open", "coarse")
    assert found.reference == "open"
    assert found.strength("coarse") is None
    assert found.rising == ("open", "coarse")
    changed = change(CONFIG, fill_in(found.changes, {found.name: found.values[1]}, ""), "")
    assert changed["model"]["defenses"] == [{"class_path": "Rounding", "init_args": {"r": 0.5}}]


@pytest.mark.parametrize(
    ("text", "reference", "rising"),
    [
        ("r: {values: [0.2, none, 0.1], set: {model.x: $r}}", "none", ("none", "0.1", "0.2")),
        ("model.gamma: [10, none, 9]", "none", ("none", "9", "10")),
        ("model.gamma: [0.1, 0.01, 0]", "0", ("0", "0.01", "0.1")),
        ("k: {values: [9, 10, 4], set: {model.x: $k}}", None, ("4", "9", "10")),
        ("model.cost: [b, a]", None, ("b", "a")),
        ("model.defenses: {values: {coarse: [1], fine: [2]}}", None, ("coarse", "fine")),
        ("k: {values: {ten left: 10, one left: 1}, set: {model.x: $k}}", None, ("ten left", "one left")),
    ],
)
def test_what_is_nothing_and_the_order_of_strength(text, reference, rising):
    found = axis(text)
    assert (found.reference, found.rising) == (reference, rising)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"a grid of one axis or more, got none \(grid\)"),
        ("{model.gamma: []}", r"one value or more, got none \(grid.model.gamma\)"),
        ("{model.gamma: 0.1}", "a list of values, got 0.1"),
        ("{model.gamma: [0.01, 1e-2]}", "different values, got 0.01 twice"),
        ("{model.gamma: [none, null]}", "different values, got none twice"),
        ("{r: {values: {a: 0.1, b: 0.1}, set: {model.x: $r}}}", "different values, got a and b, which are equal"),
        ("{r: {values: [none, 0], set: {model.x: $r}}}", "different values, got none and 0, which are equal"),
        ("{model.defenses: [[], [1]]}", "a label before each value"),
        ("{r: {values: [1], sets: {}}}", r"title, values and set, got sets \(grid.r\)"),
        ("{r: {values: [1], set: {}}}", r"dotted keys and what they are set to, got {} \(grid.r.set\)"),
    ],
)
def test_grids_that_make_no_sense(text, message):
    with pytest.raises(InputError, match=message):
        read_axes(yaml.safe_load(text))


def test_values_are_put_in_at_any_depth():
    filled = fill_in({"a": ["$r", {"b": "$r * 0.5"}], "c": "$k / 2", "d": "dollar", "e": 7}, {"r": 0.02, "k": 3}, "")
    assert filled == {"a": [0.02, {"b": 0.01}], "c": 1.5, "d": "dollar", "e": 7}


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("$s", r"\$r or \$word, perhaps times or by a number, got \$s \(--flag\)"),
        ("$r + 1", r"got \$r \+ 1"),
        ("$word * 2", r"numbers to compute with, got \$word \* 2 where \$word is abc"),
        ("$r / 0", "numbers to compute with"),
        ("$r * e", "numbers to compute with"),
    ],
)
def test_values_that_cannot_be_put_in(template, message):
    with pytest.raises(InputError, match=message):
        fill_in(template, {"r": 0.1, "word": "abc"}, "--flag")


def test_the_last_axis_runs_fastest():
    axes = read_axes({"a": [1, 2], "b": ["x", "y"]})
    assert [tuple(point.values()) for point in combinations(axes)] == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]


def test_a_key_of_a_list():
    changed = change(CONFIG, {"model.defenses.0.init_args.r": 0.7}, "")
    assert changed["model"]["defenses"][0]["init_args"]["r"] == 0.7
    assert CONFIG["model"]["defenses"][0]["init_args"]["r"] == 0.1


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("model.max_iteration", "model.max_iterations"),
        ("modle.gamma", "model.gamma"),
        ("defenses.0.init_args.r", r"model.defenses.0.init_args.r"),
        ("model.defenses.1.init_args.r", "model.defenses.0.init_args.r"),
        ("model.gamma.x", "model.gamma"),
    ],
)
def test_a_key_that_does_not_exist_and_those_near_it(key, near):
    with pytest.raises(InputError, match=rf"a key that exists, got {key}; near it are .*{near}.* \(grid.r\)"):
        change(CONFIG, {key: 1}, "grid.r")
    with pytest.raises(InputError, match=r"got zzz \(grid.r\)"):
        change(CONFIG, {"zzz": 1}, "grid.r")


def test_identity_is_of_settings_and_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(b"1")
    config = CONFIG | {"ckpt": "weights", "long": "x" * 5000}
    first = run_digest(config, "1")
    assert run_digest(dict(reversed(config.items())), "1") == first  # the order of keys is not a setting
    assert run_digest(config | {"trainer": {"logger": True, "max_epochs": 1}}, "1") == first
    others = [
        run_digest(config, "2"),
        run_digest(config | {"trainer": {"logger": False, "max_epochs": 2}}, "1"),
        run_digest(change(config, {"model.defenses.0.init_args.r": 0.2}, ""), "1"),
    ]
    (tmp_path / "weights").write_bytes(b"2")
    others.append(run_digest(config, "1"))
    assert len({first, *others}) == 5


class Installed:
    """Says which weights it has, or that it is not installed."""

    def __init__(self, weights):
        self.weights = weights

    def describe(self):
        if self.weights is None:
            raise MissingRecogniserError("no package dlib")
        return {"weights": self.weights}


def test_code_that_was_imported_is_part_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy_of_the_grid.py").write_text("x = 1\n")
    config = {"model": {"labels": "all"}}
    try:
        import_named("toy_of_the_grid")
        plain, named = run_digest(config, "1"), run_digest(config | {"imports": ["toy_of_the_grid"]}, "1")
        assert run_digest(config | {"imports": []}, "1") == plain != named
        (tmp_path / "toy_of_the_grid.py").write_text("x = 2\n")
        assert run_digest(config | {"imports": ["toy_of_the_grid"]}, "1") not in (plain, named)
    finally:
        sys.modules.pop("toy_of_the_grid", None)


def test_a_run_that_was_judged_without_a_recogniser_is_another_run(monkeypatch):
    def digest(weights, recogniser="auto"):
        monkeypatch.setattr(grid, "default_recogniser", lambda kind: Installed(weights))
        return run_digest(CONFIG | {"recogniser": recogniser}, "1")

    missing, one = digest(None), digest({"a": "1"})
    assert digest(None) == missing
    assert len({missing, one, digest({"a": "2"})}) == 3
    assert digest(None, recogniser=None) == digest({"a": "1"}, recogniser=None)
    own = {"class_path": "mi_lightning.recognisers.Embedder"}
    assert digest(None, recogniser=own) == digest({"a": "1"}, recogniser=own)
