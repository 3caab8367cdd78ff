"""Gates: what passes, what falls, and that nothing passes for want of a judge."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from mi_lightning.cli.main import main
from mi_lightning.commands.gates import FIGURES, parse_gates, raise_breaches, read_baseline
from mi_lightning.errors import GateError, InputError
from mi_lightning.report.audit import audit_document, write_audit
from mi_lightning.report.audit.figures import SHARES
from tests.report.audit.conftest import MISSING, hits_of, make_run
from tests.study import write


def audited(folder, **runs):
    """Write an audit and its runs; give its document and its runs."""
    for name, run in runs.items():
        home = folder / name / "version_0"
        home.mkdir(parents=True, exist_ok=True)
        (home / "results.json").write_text(json.dumps(complete(run.data)))
    found = [make_run(folder / name / "version_0", []) for name in runs]
    found = [type(empty)(empty.folder, run.data) for empty, run in zip(found, runs.values(), strict=True)]
    document = audit_document("t", list(runs), found, folder=folder)
    write_audit(folder, document)
    return document, found


def complete(data):
    """Add what is required of a ``results.json`` and does not matter here."""
    summary = ("iterations_mean", "queries_per_label", "confidence_mean", "evaluator_top1", "evaluator_top5")
    metrics = ("evaluator_top5", "identification_top1", "mse", "nrmse", "psnr", "ssim")
    more = ("identification_top1", "mse_mean", "nrmse_mean", "psnr_mean", "ssim_mean")
    rows = [dict.fromkeys(metrics) | row for row in data["per_label"]]
    return data | {
        "summary": dict.fromkeys((*summary, *more)) | {"queries_total": 1} | data["summary"],
        "per_label": rows,
    }


def outcomes_of(folder, fail_above=None, baseline=None, **runs):
    document, found = audited(folder, **runs)
    return parse_gates(fail_above, baseline, names=list(runs)).check(document, found)


def of(*hits, people=40, **facts):
    """A run in which these people are recognised."""
    return make_run("run", [float(place in hits) for place in range(people)], **facts)


# --------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    ("bound", "passed"),
    [(0.7, False), (0.83, False), (0.84, True), (1, True)],  # 28 of 40: the interval goes up to 83.4%
)
def test_the_upper_end_of_the_interval_counts(tmp_path, bound, passed):
    [outcome] = outcomes_of(tmp_path, f"recognised={bound}", soft=make_run("run", hits_of(28)))
    assert (outcome.passed, outcome.measured) == (passed, True)


def test_a_line_says_what_was_found_and_what_was_asked_for(tmp_path):
    [outcome] = outcomes_of(tmp_path, ["recognised=0.2"], soft=make_run("run", hits_of(28)))
    assert outcome.line == "soft: recognised is 70%, 95% interval up to 83.4%: above 20%"
    assert outcome.gate == "recognised at most 20%"


def test_several_gates_each_for_all_runs_or_one(tmp_path):
    gates = ["recognised=0.5", "b:inside_top1=0.5,seconds=30"]
    outcomes = outcomes_of(tmp_path, gates, a=make_run("a", hits_of(30)), b=make_run("b", hits_of(3)))
    assert [(each.run, each.figure, each.passed) for each in outcomes] == [
        ("a", "recognised", False),
        ("b", "recognised", True),
        ("b", "inside_top1", False),
        ("a", "seconds", True),
        ("b", "seconds", True),
    ]


def test_a_figure_without_an_interval_counts_itself(tmp_path):
    gates = ["test_error=0.01", "worst_person=0.9", "best_control=0.025"]
    outcomes = outcomes_of(tmp_path, gates, a=make_run("a", hits_of(3)))
    assert [each.passed for each in outcomes] == [True, False, True]


def test_the_upper_end_of_a_leak_counts_whatever_its_control(tmp_path):
    outcomes = outcomes_of(tmp_path, ["leak=0.05", "leak=0.25"], a=make_run("a", hits_of(3)))
    assert [each.passed for each in outcomes] == [False, True]  # 5%, but nobody can say that of other people


def test_what_needs_no_recogniser_is_missing_for_a_reason_of_its_own(tmp_path):
    few = make_run("a", [None] * 3, missing="nobody is there")
    recognised, inside = outcomes_of(tmp_path, ["recognised=1", "inside_top1=1"], a=few)
    assert "(nobody is there)" in recognised.line
    assert "(3 people are too few for a share of all: 10 or more are needed)" in inside.line


@pytest.mark.parametrize("figure", ["recognised", "not_reconstructed", "leak", "worst_person"])
def test_nothing_passes_while_some_could_not_be_judged(tmp_path, figure):
    some = make_run("a", hits_of(0, 12) + [None] * 28)
    outcomes = outcomes_of(tmp_path, [f"{figure}=1", "inside_top1=1"], a=some)
    assert [(each.passed, each.measured) for each in outcomes] == [(False, False), (True, True)]
    assert "(the recogniser could not judge 28 of 40 people)" in outcomes[0].line


@pytest.mark.parametrize("figure", SHARES)
def test_few_people_pass_no_gate(tmp_path, figure):
    [outcome] = outcomes_of(tmp_path, f"{figure}=1", a=make_run("a", hits_of(0, 5)))
    assert not outcome.passed
    assert not outcome.measured
    assert "could not be measured (5 people are too few" in outcome.line


@pytest.mark.parametrize("figure", ["recognised", "fools_model_only", "leak", "worst_person", "test_error", "detected"])
def test_nothing_passes_for_want_of_a_judge(tmp_path, figure):
    [outcome] = outcomes_of(tmp_path, f"{figure}=1", a=make_run("a", [None] * 40, missing=MISSING))
    assert (outcome.passed, outcome.measured) == (False, False)
    assert outcome.line == f"a: {figure} could not be measured ({MISSING})"


def test_nothing_passes_for_want_of_an_attack(tmp_path):
    run = make_run("a", hits_of(0), verdicts=["attack_failed"] * 40)
    recognised, failed = outcomes_of(tmp_path, ["recognised=0.5", "attack_failed=1"], a=run)
    assert recognised.line == "a: recognised could not be measured (the attack failed for every person)"
    assert failed.passed


def test_an_attack_that_failed_for_many_passes_no_gate_by_that(tmp_path):
    # 2 of 40 were recognised, 30 attacks failed: had these worked, up to 32 could have been
    run = make_run("a", hits_of(2), verdicts=["recognised"] * 2 + ["attack_failed"] * 30 + ["not_reconstructed"] * 8)
    [outcome] = outcomes_of(tmp_path, "recognised=0.3", a=run)
    assert (outcome.passed, outcome.measured) == (False, False)
    assert "the attack failed for 30 of 40 people, with whom its interval could reach 90.9%" in outcome.line
    # one that failed changes nothing where there is room
    run = make_run("a", hits_of(2), verdicts=["recognised"] * 2 + ["attack_failed"] + ["not_reconstructed"] * 37)
    [outcome] = outcomes_of(tmp_path, "recognised=0.3", a=run)
    assert outcome.passed


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ("recognized=0.2", r"one of the figures .*\brecognised\b.*\bworst_person\b.*, got recognized \(fail_above\)"),
        ("=0.2", "one of the figures .*, got none"),
        ("recognised", r"FIGURE=BOUND or RUN:FIGURE=BOUND, such as recognised=0.2, got recognised \(fail_above\)"),
        ("", "FIGURE=BOUND .*, got nothing"),
        ("recognised=20%", "FIGURE=BOUND .*, got recognised=20%"),
        ("recognised=nan", "FIGURE=BOUND .*, got recognised=nan"),
        ("recognised=20", "a share as the bound of recognised, such as 0.2, got 20"),
        ("c:recognised=0.2", "one of the runs a, b, got c"),
        (["recognised=0.2", "name=1"], "one of the figures .*, got name"),
    ],
)
def test_a_wrong_gate_is_told_before_anything_runs(gate, message):
    with pytest.raises(InputError, match=message) as error:
        parse_gates(gate, names=["a", "b"])
    assert "recognised_high" not in str(error.value)
    assert "\n" not in str(error.value)


def test_every_number_of_a_run_has_a_gate(tmp_path):
    document, _ = audited(tmp_path, a=of(1))
    numbers = {key for key, value in document["runs"][0].items() if isinstance(value, int | float)}
    assert len(numbers) > 2 * len(SHARES)
    assert numbers <= set(FIGURES)
    assert len(set(FIGURES)) == len(FIGURES)


# -------------------------------------------------------------------------------------------------------- baseline


@pytest.fixture
def before(tmp_path):
    """Write an earlier audit of one run."""

    def write_audit_of(run, **others):
        audited(tmp_path / "before", soft=run, **others)
        return str(tmp_path / "before")

    return write_audit_of


def test_the_same_is_no_worse(tmp_path, before):
    [outcome] = outcomes_of(tmp_path / "now", None, before(of(*range(9))), soft=of(*range(9)))
    assert outcome.passed
    assert outcome.line == "soft: recognised is 22.5%, it was 22.5%: no worse"


def test_people_are_paired(tmp_path, before):
    # five more people and none fewer: 1 / 2^5
    [outcome] = outcomes_of(tmp_path / "now", None, before(of(*range(9))), soft=of(*range(14)))
    assert not outcome.passed
    assert outcome.line == "soft: recognised is 35%, it was 22.5%: worse (paired test over 40 people, p = 0.031)"


def test_four_people_more_could_be_chance(tmp_path, before):
    [outcome] = outcomes_of(tmp_path / "now", None, before(of(*range(9))), soft=of(*range(13)))
    assert outcome.passed
    assert outcome.line.endswith("not clearly worse (paired test over 40 people, p = 0.062)")


def test_others_more_and_others_fewer_could_be_chance(tmp_path, before):
    [outcome] = outcomes_of(tmp_path / "now", None, before(of(*range(9))), soft=of(*range(5, 19)))
    assert outcome.passed


def test_a_file_alone_is_compared_by_its_figures(tmp_path, before):
    file = shutil.move(f"{before(of(*range(9)))}/audit.json", tmp_path / "kept.json")
    [few] = outcomes_of(tmp_path / "few", None, str(file), soft=of(*range(13)))
    [many] = outcomes_of(tmp_path / "many", None, str(file), soft=of(*range(15)))
    assert (few.passed, many.passed) == (True, False)  # of 40: P(X >= 13) = 0.097, P(X >= 15) = 0.024
    assert "one-sided 95% interval from" in many.line


def test_where_file_and_runs_differ_the_file_counts(tmp_path, before):
    folder = before(of(*range(30)))
    document = json.loads((tmp_path / "before/audit.json").read_text())
    document["runs"][0]["recognised"] = 0.2
    (tmp_path / "before/audit.json").write_text(json.dumps(document))
    [outcome] = outcomes_of(tmp_path / "now", None, folder, soft=of(*range(30)))
    assert not outcome.passed


def test_one_person_by_guessing_is_no_worse_than_nobody(tmp_path, before):
    file = shutil.move(f"{before(of())}/audit.json", tmp_path / "kept.json")
    [one] = outcomes_of(tmp_path / "one", None, str(file), soft=of(1))
    [four] = outcomes_of(tmp_path / "four", None, str(file), soft=of(1, 2, 3, 4))
    assert (one.passed, four.passed) == (True, False)


def test_figures_with_a_bound_are_compared_as_well(tmp_path, before):
    outcomes = outcomes_of(tmp_path / "now", "leak=1", before(of(*range(4))), soft=of(*range(8)))
    assert [(each.gate, each.passed) for each in outcomes] == [
        ("leak at most 100%", True),
        ("recognised no worse than before", True),
        ("leak no worse than before", True),  # 17.5% where it was 7.5%: the interval begins below
    ]


def test_a_run_that_is_gone_is_a_breach_and_a_new_one_is_not(tmp_path, before):
    outcomes = outcomes_of(tmp_path / "now", None, before(of(), mlp=of()), soft=of(), cnn=of(*range(40)))
    assert [(each.run, each.passed, each.measured) for each in outcomes] == [
        ("soft", True, True),
        ("mlp", False, False),
    ]
    assert outcomes[1].line == (
        "mlp: recognised could not be measured (the baseline has this run, and the audit has not)"
    )


def test_a_judge_that_is_gone_is_a_breach(tmp_path, before):
    unjudged = make_run("run", [None] * 40, missing=MISSING)
    [gone] = outcomes_of(tmp_path / "now", None, before(of()), soft=unjudged)
    assert (gone.passed, gone.line) == (False, f"soft: recognised could not be measured ({MISSING})")
    [never] = outcomes_of(tmp_path / "now", None, before(unjudged), soft=of())
    assert (never.passed, never.line) == (False, f"soft: recognised could not be measured in the baseline ({MISSING})")


def test_a_baseline_is_read_at_once(tmp_path, before):
    gates = parse_gates(None, before(of()))
    shutil.rmtree(tmp_path / "before")
    document, runs = audited(tmp_path / "now", soft=of(*range(20)))
    assert not gates.check(document, runs)[0].passed


@pytest.mark.parametrize("content", [None, "{", "[]", '{"schema_version": 1}'])
def test_a_baseline_that_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / "audit.json").write_text(content)
    with pytest.raises(InputError, match=r"the folder of an earlier audit, or its audit.json, got .*\(baseline\)"):
        read_baseline(str(tmp_path))


# -------------------------------------------------------------------------------------------------- the exit status


def test_breaches_are_one_line_each(tmp_path):
    gates = ["recognised=0.5", "inside_top1=0.5"]
    outcomes = outcomes_of(tmp_path, gates, a=make_run("a", hits_of(30)), b=make_run("b", hits_of(3)))
    with pytest.raises(GateError) as error:
        raise_breaches(outcomes)
    assert str(error.value).splitlines() == [
        "gate: a: recognised is 75%, 95% interval up to 87.3%: above 50%",
        "gate: a: inside_top1 is 100%, 95% interval up to 100%: above 50%",
        "gate: b: inside_top1 is 100%, 95% interval up to 100%: above 50%",
    ]
    raise_breaches([outcome for outcome in outcomes if outcome.passed])


@pytest.fixture
def audit(study):
    """A small audit, of four people."""
    write(
        study / "audit.yaml",
        {
            "output": "out",
            "classifiers": ["classifier/victim.yaml", "classifier/evaluator.yaml"],
            "targets": ["target/soft.yaml"],
            "attacks": ["attack/steps.yaml"],
        },
    )
    return study


def test_everything_is_written_before_a_gate_falls(audit, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["audit", "--config", "audit.yaml", "--fail-above", "recognised=1", "--fail-above=inside_top1=1"])
    assert stop.value.code == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line[:66] for line in lines] == [
        f"mi-lightning: gate: soft_steps: {figure} could not be measured ("[:66]
        for figure in ("recognised", "inside_top1")
    ]
    assert {path.name for path in (audit / "out").iterdir() if path.is_file()} >= {
        *("audit.json", "junit.xml", "audit.sarif", "model_card.md", "report.html")
    }
    assert json.loads((audit / "out/audit.json").read_text())["runs"][0]["name"] == "soft_steps"


def test_gates_that_hold_end_with_status_0(audit):
    main(["audit", "--config", "audit.yaml", "--fail-above", "seconds=1000", "--fail_above=people=4"])
    gates = json.loads((audit / "out/audit.json").read_text())["gates"]
    assert [(gate["figure"], gate["passed"], gate["measured"]) for gate in gates] == [
        ("seconds", True, True),
        ("people", True, True),
    ]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fail-above", "recognized=0.2"], r"one of the figures .*, got recognized \(--fail_above\)"),
        (["--fail-above", "mlp:recognised=0.2"], "one of the runs soft_steps, got mlp"),
        (["--fail-above"], "FIGURE=BOUND"),
        (["--baseline", "nowhere"], r"audit.json, got cannot read nowhere: .* \(--baseline\)"),
    ],
)
def test_bad_gates_are_told_in_a_line_before_anything_is_trained(audit, capsys, flags, message):
    shutil.rmtree(audit / "checkpoints")
    with pytest.raises(SystemExit) as stop:
        main(["audit", "--config", "audit.yaml", *flags])
    assert stop.value.code == 2
    [line] = capsys.readouterr().err.splitlines()
    assert re.search(message, line)
    assert not (audit / "checkpoints").exists()
    assert not (audit / "out").exists()
