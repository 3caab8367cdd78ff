"""``audit.json`` against its schema, and its figures against what is known by hand."""

from __future__ import annotations

import copy
import json
import re

import pytest
from scipy import stats

from mi_lightning.errors import InputError
from mi_lightning.report.audit.document import audit_document, audit_json
from mi_lightning.report.audit.figures import SHARES
from mi_lightning.report.audit.files import audit_files
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.results import RunResults
from mi_lightning.report.schema.audit import AUDIT_SCHEMA, AUDIT_SCHEMA_VERSION
from mi_lightning.report.schema.check import problem
from tests.report.audit.conftest import MISSING, hits_of, make_document, make_run


def one(folder, recognised, **facts):
    """The entry of an audit of one run."""
    document = audit_document("t", ["run"], [make_run(folder / "run", recognised, **facts)], folder=folder)
    return document["runs"][0]


def objects(schema):
    """A schema and all that stand within it."""
    yield schema
    for inner in schema.get("properties", {}).values():
        yield from objects(inner)
    for key in ("items", "additionalProperties"):
        if schema.get(key):
            yield from objects(schema[key])


# ------------------------------------------------------------------------------------------------------ the schema


def test_the_document_fits_its_schema(document):
    assert problem(document, AUDIT_SCHEMA) is None
    assert document["schema_version"] == AUDIT_SCHEMA_VERSION == 1


def test_other_programs_find_that_it_fits(document):
    jsonschema = pytest.importorskip("jsonschema", reason="the extra `test` brings it")
    validator = jsonschema.Draft202012Validator(AUDIT_SCHEMA)
    validator.check_schema(AUDIT_SCHEMA)
    assert not list(validator.iter_errors(document))
    broken = copy.deepcopy(document)
    broken["runs"][0]["kind"] = "grey box"
    del broken["runs"][1]["recognised"]
    assert len(list(validator.iter_errors(broken))) == 2


def test_the_schema_describes_every_key_and_only_those(document):
    for schema in objects(AUDIT_SCHEMA):
        for key, inner in schema.get("properties", {}).items():
            assert inner.get("description") or key == "runs", key
    assert set(AUDIT_SCHEMA["required"]) == document.keys()
    run = AUDIT_SCHEMA["properties"]["runs"]["items"]
    known = set(run["properties"])  # of which earlier versions know all but one
    assert known == document["runs"][0].keys()
    assert set(run["required"]) == known - {"verification"}


def test_a_missing_key_is_noticed(document):
    del document["runs"][1]["leak_low"]
    assert problem(document, AUDIT_SCHEMA) == "runs[1].leak_low is missing"


def test_its_text_is_json_without_constants_of_its_own(document):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(audit_json(document), parse_constant=refuse) == document


# ------------------------------------------------------------------------------------------------ figures of a run


def test_a_share_has_its_exact_interval(tmp_path):
    run = one(tmp_path, hits_of(28))
    exact = stats.binomtest(28, 40).proportion_ci(method="exact")
    assert run["recognised"] == 0.7
    assert (run["recognised_low"], run["recognised_high"]) == pytest.approx(exact)
    assert run["people"] == 40
    assert run["chance"] == 0.025
    assert run["test_error"] == 0.01
    assert run["refused"] is None


def test_figures_of_other_judges_and_verdicts(tmp_path):
    verdicts = ["recognised"] * 10 + ["fools_model_only"] * 6 + ["not_reconstructed"] * 3 + ["attack_failed"]
    run = one(tmp_path, hits_of(10, 20), inside=[1.0] * 14 + [0.0] * 6, verdicts=verdicts)
    assert run["inside_top1"] == 0.7
    assert run["inside_false_positive_rate"] == 0.4  # 4 of the 10 who are not recognised
    assert run["inside_false_positive_rate_high"] == pytest.approx(stats.beta.ppf(0.975, 5, 6))
    assert (run["fools_model_only"], run["not_reconstructed"], run["attack_failed"]) == (0.3, 0.15, 0.05)
    assert run["not_judged"] == 0
    assert run["wrongly_accepted_at_1_percent"] == pytest.approx(0.01 * (0 + 1 + 2) / 3, abs=1e-3)
    assert run["wrongly_accepted_at_1_percent_low"] < run["wrongly_accepted_at_1_percent"]


def test_the_row_that_the_attack_ranks_first_counts(tmp_path):
    run = make_run(tmp_path / "run", hits_of(5, 10))
    run.data["per_label"].insert(0, run.data["per_label"][9] | {"restart": 1, "best": False, "recognised": 1.0})
    found = audit_document("t", ["run"], [run], folder=tmp_path)["runs"][0]
    assert (found["recognised"], found["people"]) == (0.5, 10)


def test_people_whom_the_recogniser_could_not_judge_are_no_misses(tmp_path):
    run = one(tmp_path, [*hits_of(10, 20), None, None])
    assert (run["recognised"], run["people"], run["not_judged"]) == (0.5, 22, pytest.approx(2 / 22))


@pytest.mark.parametrize(
    ("ceiling", "expected"),
    [
        ({"real_test": 0.99, "class_mean": 0.875, "best_photograph": 1.0}, (0.875, "class_mean")),
        ({"real_test": 0.99, "real_speech": 0.97}, (0.97, "real_speech")),
        ({"real_test": 0.99}, (0.99, "real_test")),
    ],
)
def test_the_ceiling_is_the_most_that_a_class_can_give(tmp_path, ceiling, expected):
    run = one(tmp_path, hits_of(20), ceiling=ceiling)
    assert (run["ceiling"], run["ceiling_of"]) == expected


def test_who_could_not_be_judged_may_be_the_worst_off(tmp_path):
    all_of_them, some = hits_of(0), [*hits_of(0, 39), None]
    assert one(tmp_path, all_of_them)["judged"] == 40
    assert one(tmp_path, some)["judged"] == 39
    assert one(tmp_path, all_of_them)["worst_person"]["bound"] < one(tmp_path, some)["worst_person"]["bound"] == 1


def test_paths_are_relative_to_the_audit(document):
    assert [run["folder"] for run in document["runs"]] == ["softmax/version_0", "cnn/version_1", "voices/version_0"]
    assert "/root" not in audit_json(document)


def test_what_was_attacked_and_how_is_told(tmp_path):
    run = one(tmp_path, hits_of(9), access="label_only", defenses=[{"class": "Rounding"}, {"class": "TopK"}])
    assert run["kind"] == "label only"
    assert run["target"] == "SoftmaxRegression behind Rounding, TopK"
    assert run["target_class"] == "mi_lightning.classifiers.SoftmaxRegression"
    assert run["attack"] == "GradientStep (Autograd), OneMinusConfidence, PixelSpace"


# ---------------------------------------------------------------------------------------------------- controls


def test_the_leak_is_the_difference_to_the_best_control(tmp_path):
    run = one(tmp_path, hits_of(28), controls={"noise": 0.0, "shuffled": 0.05, "old": None, "real_speech": 1.0})
    assert run["controls"] == {"noise": 0.0, "shuffled": 0.05, "old": None}  # real speech should succeed: no control
    assert run["best_control"] == {"name": "shuffled", "recognised": 0.05}
    assert run["leak"] == pytest.approx(0.65)
    # who is meant in the control is not known: two shares of 40, 28 and 2, as in Newcombe's method of squares
    (low, high), (below, above) = (stats.binomtest(k, 40).proportion_ci(method="exact") for k in (28, 2))
    assert run["leak_low"] == pytest.approx(0.65 - ((0.7 - low) ** 2 + (above - 0.05) ** 2) ** 0.5)
    assert run["leak_high"] == pytest.approx(0.65 + ((high - 0.7) ** 2 + (0.05 - below) ** 2) ** 0.5)


def test_a_control_that_was_run_gives_the_leak_an_interval(tmp_path):
    # in two halves, as of targets that were trained without them
    names = [f"p{place:02d}" for place in range(40)]
    halves = [
        make_run(tmp_path / "half_0", hits_of(2, 20), names=names[:20]),
        make_run(tmp_path / "half_1", hits_of(0, 20), names=names[20:]),
    ]
    rows = [row for half in halves for row in half.best]
    controls = {"run": {"without_person": rows, "untrained": make_run(tmp_path / "u", hits_of(1)), "prior_alone": []}}
    run = make_run(tmp_path / "run", hits_of(28))
    found = audit_document("t", ["run"], [run], controls=controls, folder=tmp_path)["runs"][0]
    run_controls = {"without_person": 0.05, "untrained": 0.025, "prior_alone": None}
    assert found["controls"] == {"noise": 0.0, "mean_face": 0.025} | run_controls
    assert found["best_control"] == {"name": "without_person", "recognised": 0.05}
    assert found["leak"] == pytest.approx(0.65)
    # 26 of 40 differ: the normal approximation of their share
    assert found["leak_low"] == pytest.approx(0.65 - 1.96 * (0.65 * 0.35 / 40) ** 0.5, abs=0.03)
    assert found["leak_high"] == pytest.approx(0.65 + 1.96 * (0.65 * 0.35 / 40) ** 0.5, abs=0.03)


def test_a_control_on_other_people_makes_the_interval_wider(tmp_path):
    other = make_run(tmp_path / "half", hits_of(2, 20))
    run = make_run(tmp_path / "run", hits_of(28))
    found = audit_document("t", ["run"], [run], controls={"run": {"untrained": other}}, folder=tmp_path)["runs"][0]
    assert found["leak"] == pytest.approx(0.6)
    assert found["leak_low"] < 0.4  # a share of 20 people, of whom two are named


def test_no_control_is_no_leak(tmp_path):
    run = one(tmp_path, hits_of(28), controls={})
    assert run["best_control"] is run["leak"] is None


def test_the_worst_person_is_told_with_what_the_bound_rests_on(tmp_path):
    worst = one(tmp_path, hits_of(0))["worst_person"]
    assert worst == {"bound": pytest.approx(1 - 0.05 / 40), "runs": 1, "runs_needed": 64}
    assert one(tmp_path, hits_of(1))["worst_person"]["bound"] == 1


# ------------------------------------------------------------------------------------ what could not be measured


def test_few_people_have_no_shares(tmp_path):
    run = one(tmp_path, hits_of(5, 9))
    assert run["refused"] == "9 people are too few for a share of all: 10 or more are needed"
    assert all(run[f"{key}{end}"] is None for key in SHARES for end in ("", "_low", "_high"))
    assert run["leak"] is None
    assert one(tmp_path, hits_of(5, 10))["recognised"] == 0.5


def test_without_a_recogniser_only_the_inside_evaluator_is_told(tmp_path):
    run = one(tmp_path, [None] * 40, missing=MISSING)
    assert run["refused"] == MISSING
    assert run["inside_top1"] == run["not_judged"] == 1
    outside = ("recognised", "accepted_at_1_percent", "fools_model_only", "not_reconstructed", "leak", "detected")
    assert all(run[key] is None for key in (*outside, "inside_false_positive_rate", "test_error"))
    assert run["worst_person"] == {"bound": None, "runs": 0, "runs_needed": None}


def test_results_of_earlier_versions_are_told_with_null(tmp_path):
    run = make_run(tmp_path / "old", [None] * 12)
    new = ("recogniser", "recogniser_missing", "ceiling", "controls", "chance", "evaluator", "data")
    data = {key: value for key, value in run.data.items() if key not in new}
    kept = ("label", "name", "restart", "cost", "confidence", "iterations", "stop_reason", "queries", "seconds")
    data["per_label"] = [{key: row[key] for key in kept} for row in data["per_label"]]
    data["target"] = {"class": None, "checkpoint_sha256": None, "defenses": ["Rounding"], "test_accuracy": None}
    data["attack"] = dict.fromkeys(data["attack"])
    document = audit_document("t", ["old"], [RunResults(run.folder, data)], folder=tmp_path)
    assert problem(document, AUDIT_SCHEMA) is None
    [found] = document["runs"]
    assert all(found[key] is None for key in (*SHARES, "ceiling", "chance", "leak", "kind", "target_class"))
    assert found["target"].startswith("unknown")
    assert "pip install" in found["refused"]
    assert document["judges"] == []


# ------------------------------------------------------------------------------------------------------ comparisons


def test_runs_on_the_same_people_are_compared(tmp_path):
    document = make_document(tmp_path, a=hits_of(28), b=hits_of(20), c=hits_of(27))
    ab, ac, bc = document["comparisons"]
    assert (ab["a"], ab["b"], ab["people"]) == ("a", "b", 40)
    assert ab["difference"] == pytest.approx(0.2)
    assert ab["p_alone"] == pytest.approx(2 / 2**8)  # 8 people differ, all one way round
    assert ac["p_alone"] == 1
    assert bc["p_alone"] == pytest.approx(2 / 2**7)
    assert [entry["p"] for entry in (ab, bc, ac)] == pytest.approx([3 * 2 / 2**8, 2 * 2 / 2**7, 1])


def test_people_are_paired_by_name(tmp_path):
    names = [f"p{place:02d}" for place in range(40)]
    runs = [make_run("a", hits_of(8)), make_run("b", hits_of(8)[::-1], names=names[::-1])]
    [entry] = audit_document("t", ["a", "b"], runs, folder=tmp_path)["comparisons"]
    assert (entry["difference"], entry["p"]) == (0, 1)


def test_other_people_and_too_few_are_not_compared(tmp_path):
    names = [f"q{place:02d}" for place in range(40)]
    runs = [make_run("a", hits_of(8)), make_run("b", hits_of(8), names=names), make_run("c", hits_of(2, 5))]
    runs += [make_run("d", hits_of(2, 5))]
    assert audit_document("t", list("abcd"), runs, folder=tmp_path)["comparisons"] == []


# ------------------------------------------------------------------------------------------------- judges and hashes


def test_judges_are_told_once_with_their_runs(document):
    assert [(judge["role"], judge["runs"]) for judge in document["judges"]] == [
        ("recogniser", ["softmax", "cnn"]),
        ("inside evaluator", ["softmax", "cnn", "voices"]),
    ]
    assert document["judges"][0]["thresholds"]["0.01"]["impostor_pairs"] == 4680


def test_hashes_of_all_that_a_run_rests_on(document):
    attack = document["hashes"]["softmax"].pop("attack")
    assert re.fullmatch("[0-9a-f]{64}", attack)
    assert document["hashes"]["softmax"] == {
        "target": "cc" * 32,
        "data": "99" * 32,
        "evaluator": "ab" * 32,
        "recogniser": {"recogniser.dat": "ee" * 32},
    }
    assert document["hashes"]["voices"]["recogniser"] is None


def test_the_same_runs_give_the_same_document_wherever_they_lie(tmp_path):
    first, second = (make_document(tmp_path / place, a=hits_of(28), b=hits_of(20)) for place in ("x", "y"))
    assert {**first, "created": ""} == {**second, "created": ""}


def test_versions_that_differ_are_both_told(tmp_path):
    runs = [make_run("a", hits_of(8)), make_run("b", hits_of(8))]
    runs[1].data["package_versions"]["torch"] = "2.15"
    versions = audit_document("t", ["a", "b"], runs, folder=tmp_path)["package_versions"]
    assert versions == {"python": "3.11.7", "torch": "2.14.1, 2.15", "mi-lightning": None}


@pytest.mark.parametrize(
    ("names", "controls", "message"),
    [
        ([], {}, r"at least one run, got none \(runs\)"),
        (["a"], {}, r"2 names, one for each run, got 1 \(names\)"),
        (["a", "a"], {}, r"runs of different names, got a, a \(names\)"),
        (["a", "b"], {"c": {}}, r"controls of one of the runs \(a, b\), got c \(controls\)"),
    ],
)
def test_what_cannot_be_told(tmp_path, names, controls, message):
    runs = [make_run("a", hits_of(8)), make_run("b", hits_of(8))] if names else []
    with pytest.raises(InputError, match=message):
        audit_document("t", names, runs, controls=controls, folder=tmp_path)


def test_a_description_of_the_wrong_kind_is_an_error_of_ours(tmp_path):
    run = make_run("a", hits_of(12))
    run.data["recogniser"]["test_error"] = "little"
    with pytest.raises(TypeError, match=r"runs\[0\].test_error is a str, not number or null"):
        audit_document("t", ["a"], [run], folder=tmp_path)


def test_what_came_of_the_gates_is_kept(document):
    outcome = Outcome("recognised at most 20%", "softmax", "recognised", "above", passed=False)
    kept = json.loads(audit_files(document, [outcome])["audit.json"])
    assert problem(kept, AUDIT_SCHEMA) is None
    assert [Outcome(**gate) for gate in kept["gates"]] == [outcome]
    assert json.loads(audit_files(document)["audit.json"]) == document
