"""What the numbers of a run show and do not show, in plain sentences."""

from __future__ import annotations

from mi_lightning.report.formats import show
from mi_lightning.report.results import RunResults
from mi_lightning.stats import tail_of_guessing

_CEILING = "real_speech"  # the one control that should succeed
_EXPECTED = ("without_person", "prior_alone")  # these measure what is no leak, and may well be above guessing
_JUDGES = (
    ("recognised", "recogniser"),
    ("evaluator_top1", "inside evaluator"),
    ("identification_top1", "inside evaluator"),
)
_SURE = 0.001  # a control this unlikely to come from guessing is reported as a failure of the measurement
_DOUBT = 0.01  # an outcome more likely than this under guessing is reported as no finding


def reading(run: RunResults) -> list[str]:
    """Say in plain sentences what the numbers of a run do and do not show."""
    summary, chance = run.summary, run.data.get("chance") or {}
    people = int(summary["labels"])
    said = [*_outside(run, people), *_inside(run, people)]
    if (confidence := summary.get("confidence_mean")) is not None:
        said.append(
            f"The attacked classifier itself is {show(confidence, 'share')} sure on average, which proves little: "
            "it is what the attack maximises."
        )
    if (after := summary.get("vocoder_evaluator_top1")) is not None and chance.get("vocoder_evaluator_top1"):
        target = summary.get("vocoder_target_top1")
        said.append(
            f"After a vocoder, which leaves only what a spectrogram can say, it still names {round(after * people)} of "
            f"{people}" + ("." if target is None else f", and the attacked classifier {round(target * people)}.")
        )
    real = run.data.get("controls", {}).get(_CEILING, {}).get("modulation_mean")
    if (varies := summary.get("modulation_mean")) is not None and real:
        said.append(
            f"Their loudness varies {varies / real:.0%} as much like speech as that of recordings: "
            + (
                "they have the rhythm of speech."
                if varies > 0.6 * real
                else "they have some of the rhythm of speech."
                if varies > 0.3 * real
                else "they are steady noise rather than speech."
            )
        )
    mean_face = run.data.get("controls", {}).get("mean_face", {}).get("ssim_mean")
    if (alike := summary.get("ssim_mean")) is not None and mean_face is not None:
        said.append(
            f"As pictures they are {'closer' if alike > mean_face else 'no closer'} to the person's mean photograph "
            f"(SSIM {alike:.2f}) than the mean of all faces is, which shows nobody ({mean_face:.2f})"
            + ("." if alike > mean_face else ": look at the pictures, too.")
        )
    return said


def _outside(run: RunResults, people: int) -> list[str]:
    """What the recogniser says, which never met these people."""
    summary, chance = run.summary, run.data.get("chance") or {}
    share = summary.get("recognised")
    if share is None:
        why = run.data.get("recogniser_missing")
        return [
            f"{people} people were reconstructed. No recogniser judged the reconstructions"
            + (f" ({why})" if why else "")
            + ": who would be recognised is not known."
        ]
    hits, guessing = round(share * people), chance.get("recognised")
    said = [f"A recogniser that was trained on other people names {hits} of {people} right ({show(share, 'share')})."]
    if guessing:
        said[0] = f"{said[0][:-2]}; guessing would give {show(guessing, 'share')}). {_finding(hits, people, guessing)}"
    tops = {key: numbers.get("recognised") for key, numbers in (run.data.get("ceiling") or {}).items()}
    if (top := tops.get("class_mean")) is not None:
        said.append(f"Of the mean of a person's training {run.media.unseen} it names {show(top, 'share')} right.")
    error = (run.data.get("recogniser") or {}).get("test_error")
    if error is not None:
        said.append(f"On real {run.media.unseen} that nobody trained on it is wrong in {show(error, 'share')}.")
    if (accepted := summary.get("accepted_at_1_percent")) is not None:
        said.append(
            f"At a threshold that lets 1% of strangers in, {show(accepted, 'share')} would be let in as the person."
        )
    return said


def _inside(run: RunResults, people: int) -> list[str]:
    """What the inside evaluator says, and how much that is worth."""
    summary, chance = run.summary, run.data.get("chance") or {}
    top1, guessing = summary.get("evaluator_top1"), chance.get("evaluator_top1")
    if top1 is None or not guessing:
        return []
    figure = f"{round(top1 * people)} of {people} right ({show(top1, 'share')}; guessing: {show(guessing, 'share')})"
    said = [f"The inside evaluator, trained on the same people as the target, names {figure}; it is fooled easily."]
    if (wrong := summary.get("inside_false_positive_rate")) is not None:
        said.append(f"Of those whom the recogniser does not know it names {show(wrong, 'share')} all the same.")
    if (accuracy := (run.data.get("evaluator") or {}).get("test_accuracy")) is not None:
        said.append(f"On {run.media.unseen} that it has not seen it is right in {show(accuracy, 'share')}.")
    return said


def warnings(run: RunResults) -> list[str]:
    """Say what a reader has to know before the numbers of a run are believed."""
    people, chance = int(run.summary["labels"]), run.data.get("chance") or {}
    found = []
    for control, numbers in (run.data.get("controls") or {}).items():
        if control == _CEILING or control in _EXPECTED:
            continue
        for key, judge in _JUDGES:
            share, guessing = numbers.get(key), chance.get(key)
            if share is None or not guessing:
                continue
            if tail_of_guessing(round(share * people), people, guessing) < _SURE:
                found.append(
                    f"The control “{run.media.control(control)}” reaches {show(share, 'share')} where guessing "
                    f"gives {show(guessing, 'share')}: the {judge} sees people where there are none, so do not "
                    "trust its figures of this run."
                )
                break
    if interrupted := run.summary.get("stop_reasons", {}).get("interrupted"):
        found.append(
            f"The attack was interrupted: {interrupted} of {run.summary['rows']} rows had not stopped by themselves."
        )
    if diverged := run.summary.get("stop_reasons", {}).get("diverged"):
        found.append(f"{diverged} of {run.summary['rows']} rows diverged (their cost was no longer a number).")
    if (outside := run.summary.get("outside_range")) and outside > 0:
        low, high = run.modality.value_range
        found.append(
            f"{show(outside, 'share')} of the values lie outside [{low:g}, {high:g}], since the attack has no clamp. "
            "Such a reconstruction is shifted and stretched into that range before it is judged, and shown so."
        )
    return found


def _finding(hits: int, people: int, guessing: float) -> str:
    """What a number of hits means, in a sentence."""
    if tail_of_guessing(hits, people, guessing) > _DOUBT:
        return "That cannot be told from guessing: this attack shows no leak, which does not prove that there is none."
    known = round(1 / guessing)  # people whom the classifier was trained on
    who = "whom it was trained on" if people >= known else f"of the {people} attacked, out of {known} that it knows"
    if hits >= 0.9 * people:
        return f"By that measure the attacked classifier gives away nearly everybody {who}."
    if hits >= 0.5 * people:
        people_who = f"the people {who}" if people >= known else who.removeprefix("of ")
        return f"By that measure the attacked classifier gives away most of {people_who}."
    return "That is more than guessing gives: the attacked classifier gives away some of the people."
