"""The right judge for what was attacked, and the refusal of judges whose word would be worth nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import nn

from mi_lightning.attacks.result import InversionResult
from mi_lightning.checkpoint import weights_digest
from mi_lightning.classifiers.base import Classifier
from mi_lightning.data.base import Kind, Modality, PersonDataModule, modality_of
from mi_lightning.errors import InputError
from mi_lightning.judging.inside import takes
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.judgement import Judgement
from mi_lightning.judging.sanity import check_evaluator
from mi_lightning.judging.speech_judge import SpeechJudge
from mi_lightning.recognisers import MissingRecogniserError, Recogniser, default_recogniser
from mi_lightning.targets.base import Target

Attacked = Target | Classifier | None


def _of_inputs(of: Judges) -> Judge:
    return Judge(
        of.evaluator,
        of.references,
        recogniser=of.recogniser,
        recogniser_missing=of.missing,
        input_shape=of.input_shape,
        input_range=of.input_range,
    )


def _of_voices(of: Judges) -> Judge:
    return SpeechJudge(
        of.evaluator,
        of.references,
        recogniser=of.recogniser,
        recogniser_missing=of.missing,
        target=of.attacked,
        vocoder=of.vocoder,
    )


@dataclass(frozen=True)
class Judges:
    """What a judge is made of.

    Evaluator, references, recogniser or why there is none, what was attacked, vocoder; shape and range of what is
    judged where there are no references, as far as they are known.
    """

    evaluator: Classifier | None
    references: PersonDataModule | None
    recogniser: Recogniser | None
    missing: str | None
    attacked: Attacked = None
    vocoder: nn.Module | None = None
    input_shape: tuple[int, ...] | None = None
    input_range: tuple[float, float] | None = None


#: Who judges inputs of each kind; a judge's class says by which measures of likeness (`Judge.likeness`).
JUDGES: Mapping[Kind, Callable[[Judges], Judge]] = {
    "picture": _of_inputs,
    "sound": _of_voices,
    "other": _of_inputs,
}

#: Which recogniser is asked: this one; the one that serves this kind of inputs, if it is installed; none.
Choice = Recogniser | Literal["auto"] | None


def choose_recogniser(choice: Choice, kind: Kind) -> tuple[Recogniser | None, str | None]:
    """Return the recogniser to ask, and if there is none why.

    Args:
        choice: ``"auto"`` takes the one that serves these inputs, and does without where its package is not installed.
        kind: Kind of the inputs.

    Raises:
        InputError: If it does not take such inputs.
        MissingRecogniserError: If the one that was named is not installed.
        MIError: If its weights are not those that are known.
    """
    if choice is None:
        return None, "no recogniser was wanted"
    if choice != "auto":
        if choice.kind not in (None, kind):
            raise InputError(f"a recogniser of a {kind}", f"{type(choice).__name__}, of a {choice.kind}", "recogniser")
        choice.check()
        return choice, None
    found = default_recogniser(kind)
    if found is None:
        return None, f"no recogniser comes for inputs that are neither pictures nor sounds: name an Embedder ({kind})"
    try:
        found.check()
    except MissingRecogniserError as missing:
        return None, str(missing)
    return found, None


def make_judge(
    target: Target,
    *,
    datamodule: PersonDataModule | None = None,
    evaluator: Classifier | None = None,
    evaluator_name: str = "",
    recogniser: Choice = "auto",
    vocoder: nn.Module | None = None,
    open_classifier: Classifier | None = None,
) -> Judge | None:
    """Set up the references, and refuse what would make the judgement worthless.

    Args:
        target: What is attacked.
        datamodule: Data that the target was trained on: the references.
        evaluator: Inside evaluator, a classifier of the same people.
        evaluator_name: What to call it in errors: its checkpoint.
        recogniser: Outside judge, trained on other people; see :func:`choose_recogniser`.
        vocoder: What voices pass through before they are judged once more; Griffin-Lim if None.
        open_classifier: The classifier behind a target that hides it: the attacker is kept from it, the judge of
            voices need not be.

    Returns:
        The judge; None if there is nothing to judge by.

    Raises:
        InputError: If the evaluator has the target's weights, or evaluator or references have another shape, other
            people or another split than the target was trained with, or the evaluator was trained on what the target
            answered. Its field is ``"evaluator_ckpt"``, ``"data"`` or ``"recogniser"``.
        MIError: If the recogniser cannot be used.
    """
    if datamodule is None and evaluator is None:
        return None
    trained = target.describe().get("training", {}).get("data")
    if evaluator is not None:
        refuse_relative(evaluator, target.fingerprint(), "evaluator_ckpt", name=evaluator_name)
        _same_people(target, evaluator, "evaluator_ckpt")
        _same_rate(target, getattr(evaluator, "sample_rate", None), "evaluator_ckpt")
        same_split(trained, evaluator.training_info.get("data"), "evaluator_ckpt")
    if datamodule is not None:
        datamodule.prepare_data()
        datamodule.setup("fit")
        datamodule.check_size()  # judges ask for all samples, after the attack
        _same_people(target, datamodule, "data")
        _same("input range", _numbers(target.input_range), _numbers(datamodule.input_range), "data")
        _same_rate(target, datamodule.modality.sample_rate, "data.sample_rate")
        same_split(trained, datamodule.describe(), "data")
    attacked = target if open_classifier is None else open_classifier
    kind = _modality(datamodule, target).kind
    chosen, missing = (None, None) if datamodule is None else choose_recogniser(recogniser, kind)
    try:
        shape, value_range = target.input_shape, target.input_range
        return JUDGES[kind](Judges(evaluator, datamodule, chosen, missing, attacked, vocoder, shape, value_range))
    except InputError as error:  # the judge knows its own arguments, the caller these
        field = {"evaluator": "evaluator_ckpt", "references": "data"}.get(error.field, error.field)
        raise InputError(error.expected, error.got, field) from error


def refuse_relative(evaluator: Classifier, target_sha256: str | None, field: str, *, name: str = "") -> None:
    """Refuse an evaluator that is the target, or that was trained on what the target answered.

    Args:
        evaluator: Inside evaluator. One that was distilled from a model names the digest of its weights as
            ``training_info["teacher_sha256"]``.
        target_sha256: Digest of the target's weights, as ``Target.fingerprint`` gives it; nothing is refused without.
        field: Argument that gave the evaluator.
        name: What to call it in the error.

    Raises:
        InputError: If it is one of these.
    """
    if not target_sha256:
        return
    who = name or type(evaluator).__name__
    expected = "an evaluator that is independent of the target"
    if weights_digest(evaluator) == target_sha256:
        raise InputError(expected, f"{who}, which has the target's weights", field)
    if evaluator.training_info.get("teacher_sha256") == target_sha256:
        raise InputError(expected, f"{who}, which was trained on the target's answers", field)


def judge(
    result: InversionResult,
    references: PersonDataModule | None = None,
    evaluator: Classifier | None = None,
    recogniser: Choice = "auto",
) -> Judgement:
    """Judge what an attack found.

    Args:
        result: What it found.
        references: Data that the target was trained on; set up if they are not yet.
        evaluator: Inside evaluator, a classifier of the same people.
        recogniser: Outside judge, trained on other people; asked where there are references
            (:func:`choose_recogniser`).

    Returns:
        Numbers for each row, for the whole attack, and for the controls; see `Judgement`.

    Raises:
        InputError: If neither is given, or evaluator, references and result do not fit each other: other people,
            another shape, an evaluator that was trained on another split, whose training images it would know, one
            that is the target or was trained on its answers, or one that does not know the people.
        MIError: If the recogniser cannot be used.
    """
    if evaluator is not None:
        refuse_relative(evaluator, result.target_sha256, "evaluator")
    if references is not None:
        references.prepare_data()
        references.setup("fit")
        if evaluator is not None:
            same_split(references.describe(), evaluator.training_info.get("data"), "evaluator", whose="references'")
    by = references if references is not None else evaluator
    if by is None:
        raise InputError("references or an evaluator to judge by", None, "references")
    kind = _modality(references, by).kind
    chosen, missing = (None, None) if references is None else choose_recogniser(recogniser, kind)
    shape = None if references is not None or kind != "picture" else tuple(result.reconstruction.shape[1:])
    made = JUDGES[kind](Judges(evaluator, references, chosen, missing, input_shape=shape))
    if references is not None and made.evaluator is not None:
        check_evaluator(made.evaluator, references, field="evaluator")
    return made.judge(result)


def _modality(datamodule: PersonDataModule | None, known: Target | Classifier | PersonDataModule) -> Modality:
    """Modality by the data, or by what is known of the inputs where there are none."""
    return modality_of(known.input_shape, known.input_range) if datamodule is None else datamodule.modality


def _same_people(target: Target, given: Classifier | PersonDataModule, field: str) -> None:
    """Refuse an evaluator or data of other inputs or other people than the target's."""
    if not isinstance(given, Classifier) or not takes(given, target.input_shape):
        _same("input shape", tuple(target.input_shape), tuple(given.input_shape), field)
    _same("number of classes", target.num_classes, given.num_classes, field)
    _same("people", tuple(target.class_names), tuple(given.class_names), field)


def _numbers(given: tuple[float, float]) -> tuple[float, ...]:
    """A range as numbers that compare, however it was written."""
    return tuple(map(float, given))


def _same_rate(target: Target, rate: int | None, field: str) -> None:
    """Refuse an evaluator or data at another sample rate than the target's, where both are known."""
    if target.sample_rate is not None and rate is not None:
        _same("sample rate (Hz)", target.sample_rate, rate, field)


def same_split(trained: object, given: object, field: str, *, whose: str = "target's") -> None:
    """Refuse samples that were divided in another way: test samples would be taken for training samples.

    Args:
        trained: What the target was trained on, as its checkpoint describes it; anything else is not looked at.
        given: What is to be compared, described likewise.
        field: Argument that gave it. What differs of ``"data"`` is added, as in ``"data.split_seed"``.
        whose: Whose samples `trained` describes, for the error.

    Raises:
        InputError: If the samples or their split differ.
    """
    if not isinstance(trained, dict) or not isinstance(given, dict):
        return
    keys = ["sha256", "split", "test_per_person", "test_fraction"]
    if trained.get("split") == "random":
        keys.append("split_seed")
    for key in keys:
        if key in trained and key in given:
            name = "samples (sha256)" if key == "sha256" else f"training {key}"
            at = f"{field}.{key}" if field == "data" and key != "sha256" else field
            _same(name, trained[key], given[key], at, whose=whose)


def _same(what: str, expected: object, got: object, field: str, *, whose: str = "target's") -> None:
    """Refuse what differs."""
    if expected != got:
        raise InputError(f"the {whose} {what}, {_short(expected)}", _short(got), field)


def _short(value: object) -> str:
    """Render a value, long tuples by their ends."""
    if isinstance(value, tuple) and len(value) > 6:
        return f"{value[0]}..{value[-1]} ({len(value)})"
    return str(value)
