"""Pages without faces or names: whatever a run says of its people, nothing of it is on the page."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import yaml

from mi_lightning.errors import InputError
from mi_lightning.report import build_report, read_results
from mi_lightning.report.withholding import names_in, people_behind, pseudonyms, refuse_names, replacing
from tests.report.conftest import NAMES, VERIFIED, audit_of, recognise


def named(folder):
    """A run whose people are named wherever a run can name them."""
    path = folder / "results.json"
    data = json.loads(path.read_text())
    data["config"] = "config.yaml"
    data["data"] |= {"root": "/people/ann", "others": ["bob", "Cleo"]}
    data["recogniser_missing"] = "cleo is not enrolled"
    data["target"]["checkpoint"] = "checkpoints/Ann.ckpt"
    path.write_text(json.dumps(data))
    (folder / "config.yaml").write_text("model:\n  labels: [ann, CLEO]\n  start: pictures/bob_1.png\n  keeper: anna\n")
    return folder


def named_people(text):
    """Names of the people that stand in a text as words."""
    return [name for name in NAMES if re.search(rf"(?<![^\W_]){name}(?![^\W_])", text, re.IGNORECASE)]


@pytest.mark.parametrize("judged", [True, False])
def test_nobody_is_named(run_folder, tmp_path, judged):
    run = named(run_folder("ann_run"))
    if judged:
        recognise(run)
    page = build_report([run], tmp_path / "page.html", title="Bob's model").read_text()
    assert named_people(page) == list(NAMES)  # what there is to hide
    hidden = build_report([run], tmp_path / "page.html", title="Bob's model", withheld=("names",)).read_text()
    assert named_people(hidden) == []
    assert "anna" in hidden  # another word
    assert "person 01" in hidden
    assert "The people have pseudonyms" in hidden
    assert "data:image" in hidden  # the pictures are another matter


def test_people_who_were_not_attacked_are_not_named(run_folder, tmp_path):
    run = named(run_folder())
    path = run / "results.json"
    data = json.loads(path.read_text())
    data["verification"] = VERIFIED | {"status": "unverified"}
    data["verification"]["hint"] = "it says Dora of 100% of them: check that the weights are loaded"
    data["data"] = {"init_args": {"people": ["ann", "Emil Ö.", "index:1", "0-9", 4]}}
    path.write_text(json.dumps(data))
    (run / "config.yaml").write_text(
        yaml.safe_dump({"model": {"class_names": ["ann", "Zoë", "x"], "labels": ["name:Fay"]}})
    )
    page = build_report([run], tmp_path / "page.html").read_text()
    assert all(name in page for name in ("Emil", "Zo\\xEB", "Fay"))
    page = build_report([run], tmp_path / "page.html", withheld=("names",)).read_text()
    assert not any(name in page for name in ("Dora", "Emil", "Zo\\xEB", "Zoë", "Fay"))
    assert "0-9" in page


def test_the_audit_on_the_page_names_nobody(run_folder, tmp_path):
    run = recognise(named(run_folder()))
    audit = audit_of(["run"], refused="ann could not be judged")
    page = build_report([run], tmp_path / "p.html", audit=audit, names=["run"], withheld=("names", "pictures"))
    assert named_people(page.read_text()) == []


def test_nobody_is_seen(run_folder, tmp_path):
    run = recognise(run_folder())
    page = build_report([run], tmp_path / "page.html", withheld=("pictures",)).read_text()
    assert not re.search(r"data:(image|audio)/", page)
    assert "<img" not in page
    assert "cleo" in page
    assert "Pictures and sounds are left out" in page
    assert "stretch the contrast" not in page


def test_pseudonyms_are_of_the_runs_and_not_of_the_names(run_folder, result, judgement):
    runs = [read_results(run_folder("a")), read_results(run_folder("b"))]
    found = pseudonyms(runs)
    assert sorted(found.values()) == ["person 01", "person 02", "person 03"]  # bob is named by a judge
    assert found == pseudonyms(runs[::-1])
    assert people_behind(runs) == {pseudonym: name for name, pseudonym in found.items()}
    orders = set()
    for shift in range(12):
        other = read_results(run_folder(f"other{shift}", result=shifted(result, shift)))
        orders.add(tuple(sorted(pseudonyms([other]), key=pseudonyms([other]).get)))
    assert len(orders) > 2  # neither by name nor by label


def shifted(result, shift):
    """What another attack found."""
    return replace(result, reconstruction=result.reconstruction / (2 + shift))


def test_labels_do_not_give_the_order_away(run_folder, tmp_path):
    run = run_folder()
    before = {row["label"] for row in read_results(run).data["per_label"]}
    page = build_report([run], tmp_path / "page.html", withheld=("names",)).read_text()
    numbers = [int(number) for number in re.findall(r"<h3 id=\"person-\d+\">person (\d+)</h3>", page)]
    labels = [float(number) for number in re.findall(r'data-label="([\d.]+)"', page)]
    assert len(numbers) == len(before)
    assert sorted(zip(labels, numbers, strict=True)) == list(enumerate(sorted(numbers)))


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        ({"Ann Lee": "X"}, "ann_lee.png, ANN  LEE, Ann-Lee; annlee Ann", "X.png, X, X; annlee Ann"),
        ({"s1": "X", "s10": "Y"}, "s1 s10 s100 /s1/ as1", "X Y s100 /X/ as1"),
        ({"7": "X"}, "7 of 17", "7 of 17"),
        ({"7": "X"}, "7", "X"),
        ({"1688": "X"}, "speaker 1688, not 16880", "speaker X, not 16880"),
        ({"a.b": "X"}, "a.b and axb", "X and axb"),
        ({"Zoë": "X"}, "Zoë, ZOË", "X, X"),
        ({"***": "X"}, "***", "X"),
        ({"***": "X"}, "a *** b", "a *** b"),
    ],
)
def test_names_are_words(names, text, expected):
    assert replacing(names)(text) == expected


def test_a_file_that_names_somebody_is_refused(run_folder):
    run = read_results(run_folder())
    assert names_in(run) == sorted(NAMES)
    with pytest.raises(InputError, match=r"name none of the people, got ann_page.html \(output\)"):
        refuse_names(["page.html", "ann_page.html"], [run], "output")
    refuse_names(["page.html", "anna.html"], [run], "output")
