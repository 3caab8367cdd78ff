from __future__ import annotations

import pytest

from mi_lightning.attacks import literature
from mi_lightning.report import build_report, read_results
from mi_lightning.report.annex import CLAUSES, annex, attack_of, coverage, hashes, known_attacks
from mi_lightning.report.overview import entries
from tests.report.conftest import audit_of, recognise


def told(names, runs):
    return entries(None, names, runs)


def test_every_attack_of_the_library_is_known():
    known = known_attacks()
    assert known.keys() >= {"mi_face", "gradient_descent", "spsa", "gan", "sliding", "nes_speech"}
    assert all(callable(getattr(literature, name)) for name in known)
    assert "Attack" not in known  # what the module only imports
    assert known["mi_face"].startswith("MI-FACE to the letter")
    assert not any("`" in line or "\n" in line for line in known.values())


@pytest.mark.parametrize(
    ("name", "attack"),
    [
        ("att_softmax_mi_face", "mi_face"),
        ("att_mlp_gradient_descent_wide", "gradient_descent"),
        ("voices_sincnet_queries_spsa_speech", "spsa_speech"),
        ("olivetti_logistic_noise_adaptive_noise_olivetti", "adaptive"),
        ("att_dae_latent_momentum", "latent"),  # a variant of `latent`, not `momentum`
        ("att_dae_latent_descent", "latent_descent"),
        ("ours", None),
        ("spsaish", None),
    ],
)
def test_the_attack_is_told_by_the_name_of_the_run(name, attack):
    assert attack_of(name, known_attacks()) == attack


def test_attacks_that_were_not_run_are_listed(run_folder):
    runs = [read_results(run_folder())] * 3
    names = ["att_softmax_mi_face", "att_cnn_mi_face", "ours"]
    rows = coverage(told(names, runs), runs)
    assert rows[0] == {"attack": "mi_face", "what": known_attacks()["mi_face"], "runs": names[:2]}
    assert rows[1] == {
        "attack": "of its own",
        "what": "PixelSpace, OneMinusConfidence, Autograd, GradientStep",
        "runs": ["ours"],
    }
    not_run = {row["attack"] for row in rows if not row["runs"]}
    assert not_run == known_attacks().keys() - {"mi_face"}


def test_hashes_stand_once_with_the_runs_that_they_belong_to(run_folder):
    first = read_results(recognise(run_folder("first")))
    second = read_results(recognise(run_folder("second", target={"checkpoint_sha256": "99" * 32})))
    rows = {
        (row["what"], row["value"]): row["runs"] for row in hashes(told(["a", "b"], [first, second]), [first, second])
    }
    assert rows["model, checkpoint", "ab" * 32] == ["a"]
    assert rows["model, checkpoint", "99" * 32] == ["b"]
    assert [what for what, _ in rows].count("attack, configuration") == 1  # both attacked alike
    assert rows["inside evaluator, weights", "cd"] == ["all"]
    assert rows["recogniser, resnet.dat", "ef" * 32] == ["all"]
    assert rows["people (data)", "not recorded"] == ["all"]


def test_the_texts_are_named_and_every_place_is_on_the_page(run_folder, tmp_path):
    named = {(clause.source, clause.place) for clause in CLAUSES}
    assert {
        *(("EDPB Opinion 28/2024", place) for place in ("par. 43", "par. 46", "par. 55(iv)", "par. 58")),
        ("NIST AI 100-2", "NISTAML.032"),
        ("MITRE ATLAS", "AML.T0024.001"),
        ("OWASP Machine Learning Security Top 10", "ML03:2023"),
    } == named
    audit = audit_of(["run"]) | {"comparisons": [{"a": "run", "b": "run", "difference": 0.0, "p": 1.0}]}
    page = build_report([recognise(run_folder())], tmp_path / "report.html", audit=audit).read_text()
    for clause in CLAUSES:
        for anchor, _ in clause.sections:
            assert f' id="{anchor}"' in page


def test_the_release_context_is_what_the_user_states(run_folder):
    runs = [read_results(run_folder())]
    assert annex(None, told(["a"], runs), runs)["release_context"] is None
    stated = annex({"release_context": "inside the company"}, told(["a"], runs), runs)
    assert stated["release_context"] == "inside the company"
