"""Results, judgements, runs and audits as a notebook shows them."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

import mi_lightning as mi
from mi_lightning.errors import InputError, MIError
from mi_lightning.judging.verdicts import Verdict
from mi_lightning.report import read_results, write_results
from mi_lightning.report.audit.whole import assemble
from mi_lightning.report.notebook import show
from tests.report.conftest import ATTACK, TARGET, make_judgement, make_result, recognise


class Page(HTMLParser):
    """Every element of some HTML, its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def page(shown) -> Page:
    return Page(shown._repr_html_())


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("L"))


def test_a_result_shows_the_best_reconstruction_of_each_person():
    result = make_result()
    shown = show(result)
    found = page(shown)
    assert [image["title"] for image in found.all("img")] == ["reconstruction"] * 2
    for image, row in zip(found.all("img"), (1, 2), strict=True):  # the second restart of ann, the first of cleo
        expected = (result.reconstruction[row, 0] * 255).round().byte().numpy()
        np.testing.assert_array_equal(decoded(image["src"]), expected)
    assert "ann" in found.text
    assert "target 99% sure, target cost" in found.text
    assert repr(shown) == repr(result) == "InversionResult(4 rows of shape (1, 12, 10), mean confidence 0.768)"


def test_with_a_judgement_the_person_stands_beside_and_the_verdict_below():
    result = make_result()
    verdicts = tuple(Verdict("recognised", f"reason {row}") for row in range(4))
    judgement = replace(make_judgement(result), verdicts=verdicts)
    found = page(show(result, judgement))
    assert [image["title"] for image in found.all("img")] == ["mean photograph", "reconstruction"] * 2
    mean = (judgement.reference_mean[1, 0] * 255).round().byte().numpy()
    np.testing.assert_array_equal(decoded(found.all("img")[0]["src"]), mean)
    assert "recognised: reason 1" in found.text
    assert "reason 0" not in found.text  # of the restart that is not the best one
    assert "control: mean face" in found.text


def test_faint_pictures_are_shown_stretched_too_and_large_ones_small():
    result = make_result((3, 300, 200))
    faint = replace(result, reconstruction=result.reconstruction * 0.2 + 0.4)
    images = page(show(faint)).all("img")
    assert [image["title"] for image in images] == ["reconstruction", "contrast stretched"] * 2
    assert decoded(images[0]["src"]).shape == (128, 85)


def test_the_range_of_the_inputs_is_black_to_white():
    result = make_result()
    shifted = replace(result, reconstruction=result.reconstruction * 2 - 1)
    first, second = (
        page(show(each, input_range=limits)).all("img")[0]["src"]
        for each, limits in ((result, (0.0, 1.0)), (shifted, (-1.0, 1.0)))
    )
    assert abs(decoded(first).astype(int) - decoded(second)).max() <= 1


def test_sounds_get_players():
    result = make_result((1, 1600))
    found = page(show(result, sample_rate=8000))
    players = found.all("audio")
    assert len(players) == 2
    assert all(player["src"].startswith("data:audio/") for player in players)
    assert len(found.all("img")) == 2  # spectrograms


def test_what_can_neither_be_seen_nor_heard_is_told():
    found = page(show(make_result((7,))))
    assert not found.all("img")
    assert "cleo" in found.text


def test_nothing_found_is_shown_as_nothing():
    assert "0 rows" in page(show(mi.InversionResult.empty())).text


def test_only_so_many_people_are_shown():
    found = page(show(make_result(), most=1))
    assert "the first 1 of 2 people" in found.text
    assert "cleo" not in found.text


NASTY = "<script>alert(1)</script>' onload=\"x"


def test_names_are_text_and_never_markup():
    result = replace(make_result(), name=(NASTY, NASTY, "b & <i>", "b & <i>"))
    judgement = replace(
        make_judgement(result),
        controls={NASTY: {"evaluator_top1": 0.5}},
        verdicts=(Verdict("recognised", NASTY),) * 4,
        description={"recogniser_missing": NASTY},
    )
    found = page(show(result, judgement))
    assert {tag for tag, _ in found.found} <= {*("p", "b", "br", "div", "img")} | {
        *("table", "thead", "tbody", "tr", "th", "td")
    }
    assert not [attributes for _, attributes in found.found if "onload" in attributes]
    assert found.text.count("<script>") == 5  # name, two verdicts, control, what is missing


def test_a_judgement_says_the_figure_that_counts_with_its_interval():
    result = make_result()
    judgement = make_judgement(result)
    hits = torch.tensor([float("nan"), 1.0, 0.0, float("nan")])
    kinds = ("not_judged", "recognised", "fools_model_only", "not_judged")
    judged = replace(
        judgement,
        per_row={**judgement.per_row, "recognised": hits},
        summary={**judgement.summary, "recognised": 0.5},
        verdicts=tuple(Verdict(kind, "") for kind in kinds),
        ceiling={"class_mean": {"recognised": 0.875}},
    )
    text = page(show(judged)).text
    assert "names 1 of 2 (95%: 1% to 99%)" in text
    assert "1 recognised, 1 fools the model only." in text
    assert "87.5%" in text
    assert "Nobody who never met these people has judged." in page(show(judgement)).text


def test_a_run_and_an_audit_show_themselves_from_their_folders(tmp_path):
    result = make_result()
    for name in ("soft", "hard"):
        write_results(tmp_path / name, result, make_judgement(result), target=TARGET, attack=ATTACK)
        recognise(tmp_path / name)
    run = page(show(tmp_path / "soft"))
    assert [image["title"] for image in run.all("img")] == ["closest photograph", "reconstruction"] * 2
    assert "fools the model only" in run.text
    assert repr(read_results(tmp_path / "soft")) == f"RunResults({str(tmp_path / 'soft')!r}, 2 people)"
    audit = assemble(tmp_path, {"soft": tmp_path / "soft", "hard": tmp_path / "hard"}, title="Ours & theirs")
    audit.write()
    from_folder, from_object = show(str(tmp_path)), show(audit)
    assert from_folder.html == from_object.html
    assert from_folder.text == audit.document["headline"]["sentence"]
    assert "Ours & theirs" in page(from_folder).text
    assert len(page(from_folder).all("img")) == 8
    assert repr(audit) == f"Audit({str(tmp_path)!r}, runs: soft, hard)"


@pytest.mark.parametrize(
    ("status", "warns"), [("unverified", True), ("warned", True), ("verified", False), ("exempt", False)]
)
def test_a_target_that_was_not_seen_to_know_these_people_is_told(tmp_path, status, warns):
    write_results(tmp_path, make_result(), target=TARGET, attack=ATTACK)
    run = read_results(tmp_path)
    run.data["verification"] = {"status": status, "reason": "labels in another order"}
    assert ("labels in another order" in page(show(run)).text) == warns


def test_wrong_arguments(tmp_path):
    with pytest.raises(InputError, match=r"expected most >= 1, got 0 \(most\)"):
        show(make_result(), most=0)
    other = make_judgement(make_result().select(torch.tensor([0, 1])))
    with pytest.raises(InputError, match="a judgement of these 4 rows"):
        show(make_result(), other)
    with pytest.raises(MIError, match=r"neither results.json nor audit.json in .*: name the folder"):
        show(tmp_path)


# ------------------------------------------------------------------------------------------------------------ notebooks


class Formatter:
    """What a shell's formatter is told, without the shell."""

    def __init__(self) -> None:
        self.known: dict[str, object] = {}

    def for_type_by_name(self, module, name, function):
        self.known[f"{module}.{name}"] = function


class Shell:
    """A shell of IPython as far as it is asked for anything."""

    def __init__(self) -> None:
        self.html = Formatter()
        self.display_formatter = self
        self.formatters = {"text/html": self.html}


def test_a_notebook_is_told_what_shows_itself():
    shell = Shell()
    mi.load_ipython_extension(shell)
    result = make_result()
    for thing in (result, make_judgement(result)):
        kind = type(thing)
        assert shell.html.known[f"{kind.__module__}.{kind.__qualname__}"](thing) == show(thing).html
    kinds = (read_results, assemble)
    assert {name.rpartition(".")[0] for name in shell.html.known} >= {kind.__module__ for kind in kinds}


@pytest.mark.slow  # a process that loads everything
def test_the_import_in_a_notebook_is_enough():
    pytest.importorskip("IPython", reason="IPython is not installed (extra: docs)")
    program = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import sys
import mi_lightning as mi
assert "torch" not in sys.modules
data, _ = shell.display_formatter.format(mi.InversionResult.empty())
print(sorted(data), data["text/plain"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert re.search(r"\['text/html', 'text/plain'\] InversionResult\(0 rows", done.stdout), done.stderr
