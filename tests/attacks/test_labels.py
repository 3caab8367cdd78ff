"""Which people are meant: integers are indices, names are names, and what can be read in two ways is refused."""

from __future__ import annotations

import numpy as np
import pytest

from mi_lightning.attacks.labels import parse_labels
from mi_lightning.cli.runner import CommandLine
from mi_lightning.errors import InputError
from tests.study import write

NAMES = [f"s{k}" for k in range(1, 13)]
FROM_ONE = [str(k) for k in range(1, 13)]  # people called by numbers that are not their indices


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("all", list(range(12))),
        (3, [3]),
        (np.int64(3), [3]),
        ("s1", [0]),
        ("2-4", [2, 3, 4]),
        ("s2-s4", [1, 2, 3]),
        ("s2 - s4", [1, 2, 3]),
        ([5, "s1", "7-8"], [5, 0, 7, 8]),
        ("3, 3, 1", [3, 1]),
        (["3"], [3]),  # nobody is called that
        (" s3 ", [2]),
    ],
)
def test_labels(labels, expected):
    assert parse_labels(labels, NAMES) == expected


@pytest.mark.parametrize(
    "labels",
    [
        12,
        "s13",
        "0-12",
        -1,
        "x",
        "",
        [],
        "4-2",
        True,
        [False],
        1.0,
        [None],
        "s1-3",
        "²",
        "-",
        "s1-",
        ["s1,s2"],
        "1-2-3",
    ],
)
def test_unknown_labels(labels):
    with pytest.raises(InputError, match=r"expected .*, got .* \(\S*labels\)"):
        parse_labels(labels, NAMES)


@pytest.mark.parametrize("labels", ["4-2", "s4-s2", ["4-2"]])
def test_ranges_go_up(labels):
    with pytest.raises(InputError, match=r"a range that goes up, got s?4-s?2 \(labels\)"):
        parse_labels(labels, NAMES)


@pytest.mark.parametrize(
    ("labels", "names", "expected"),
    [
        ("ann-lee", ["ann-lee", "bob"], [0]),
        ("ann-lee-bob", ["ann-lee", "eve", "bob"], [0, 1, 2]),
        ("2-1", ["a", "b", "c", "2-1"], [3]),
        ("Doe, Jane", ["Doe, Jane", "Roe"], [0]),
        (["Doe, Jane", "Roe"], ["Doe, Jane", "Roe"], [0, 1]),
        ("Roe, Doe", ["Doe", "Roe"], [1, 0]),
        ([1, "1"], FROM_ONE, [1, 0]),  # the index, the person
        (1, FROM_ONE, [1]),
        ("0", FROM_ONE, [0]),  # nobody is called 0
        ("12", FROM_ONE, [11]),  # no index 12
        ("3", [str(k) for k in range(5)], [3]),  # both readings are the same
        ("1-3", [str(k) for k in range(5)], [1, 2, 3]),
        (" x", [" x", "y"], [0]),
        (["007"], ["006", "007"], [1]),
    ],
)
def test_names_are_names(labels, names, expected):
    assert parse_labels(labels, names) == expected


@pytest.mark.parametrize(
    ("labels", "names", "both"),
    [
        ("1", FROM_ONE, r"got '1': the person 1 \(index 0\) or the index 1 \(the person 2\); in a list an integer is"),
        ("11,s", [*FROM_ONE, "s"], r"the person 11 \(index 10\) or the index 11 \(the person 12\)"),
        ("2-4", FROM_ONE, r"the people 2 to 4 \(indices 1 to 3\) or the indices 2 to 4 \(the people 3 to 5\)"),
        (["2-4"], FROM_ONE, r"the people 2 to 4 .* or the indices 2 to 4"),
        ("1-2", ["a", "1-2", "b"], r"got '1-2': the person 1-2 \(index 1\) or the indices 1 to 2"),
        (["1-2"], ["a", "1-2", "b"], r"the person 1-2 \(index 1\) or the indices 1 to 2"),
        ("all", ["a", "all"], r"the person all \(index 1\) or all people"),
        ("a,b", ["a", "b", "a,b"], r"the person a,b \(index 2\) or 2 labels with commas between them"),
        ("a", ["a", "b", "a"], r"the person a \(index 0\) or the person a \(index 2\)"),
        ("a-b-c", ["a", "b-c", "a-b", "c"], r"the people a to b-c .* or the people a-b to c"),
    ],
)
def test_doubt_is_refused_with_both_readings(labels, names, both):
    with pytest.raises(InputError, match=both) as caught:
        parse_labels(labels, names)
    assert "\n" not in str(caught.value)


def test_what_yaml_and_the_command_line_make_of_them(tmp_path):
    def read(value):
        write(tmp_path / "a.yaml", {"model": {"labels": value}})
        return CommandLine().complete("invert", [str(tmp_path / "a.yaml")])["model"]["labels"]

    values = [7, "7", "0-9", [7, "7", "Doe, Jane"], "all", "2020-01-01"]
    assert [read(value) for value in values] == values
    assert [type(item) for item in read([7, "7"])] == [int, str]
