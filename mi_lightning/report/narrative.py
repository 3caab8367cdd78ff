"""What the numbers of a run show and do not show, in plain sentences."""

from __future__ import annotations

import math

from mi_lightning.report.formats import show
from mi_lightning.report.results import RunResults

_CEILING = "real_speech"  # the one control that should succeed
_SURE = 0.001  # a control this unlikely to come from guessing is reported as a failure of the measurement
_DOUBT = 0.01  # an outcome more likely than this under guessing is reported as no finding


def reading(run: RunResults) -> list[str]:
    """Say in plain sentences what the numbers of a run do and do not show."""
    summary, chance = run.summary, run.data.get("chance", {})
    people = int(summary["labels"])
    said: list[str] = []
    top1, guessing = summary.get("evaluator_top1"), chance.get("evaluator_top1")
    if top1 is not None and guessing:
        hits = round(top1 * people)
        said.append(
            f"An inside evaluator, which took no part in the attack, names {hits} of {people} people right "
            f"({show(top1, 'share')}; guessing would give {show(guessing, 'share')}). "
            + _finding(hits, people, guessing)
        )
        accuracy = (run.data.get("evaluator") or {}).get("test_accuracy")
        if accuracy is not None:
            said.append(
                f"On {run.media.unseen} that it has not seen, the evaluator is right in {show(accuracy, 'share')}."
            )
        if (identified := summary.get("identification_top1")) is not None:
            said.append(
                f"By its features alone, {round(identified * people)} of {people} reconstructions are nearest to their "
                "own person."
            )
    else:
        said.append(
            f"{people} people were reconstructed. No inside evaluator judged the reconstructions: look at the "
            "pictures, and name an evaluator for a number."
        )
    if (confidence := summary.get("confidence_mean")) is not None:
        said.append(
            f"The attacked classifier itself is {show(confidence, 'share')} sure on average, which proves little: "
            "it is what the attack maximises."
        )
    if (after := summary.get("vocoder_evaluator_top1")) is not None and chance.get("vocoder_evaluator_top1"):
        target = summary.get("vocoder_target_top1")
        said.append(
            f"After a vocoder, which leaves only what a spectrogram can say, it names {round(after * people)} of "
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


def warnings(run: RunResults) -> list[str]:
    """Say what a reader has to know before the numbers of a run are believed."""
    people, chance = int(run.summary["labels"]), run.data.get("chance", {})
    found = []
    for control, numbers in run.data.get("controls", {}).items():
        if control == _CEILING:
            continue
        for key in ("evaluator_top1", "identification_top1"):
            share, guessing = numbers.get(key), chance.get(key)
            if share is None or not guessing:
                continue
            if _tail(round(share * people), people, guessing) < _SURE:
                found.append(
                    f"The control “{run.media.control(control)}” reaches {show(share, 'share')} where guessing "
                    f"gives {show(guessing, 'share')}: the evaluator sees people where there are none, so do not "
                    "trust this run's figures."
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
    if _tail(hits, people, guessing) > _DOUBT:
        return "That cannot be told from guessing: this attack shows no leak, which does not prove that there is none."
    known = round(1 / guessing)  # people whom the classifier was trained on
    who = "whom it was trained on" if people >= known else f"of the {people} attacked, out of {known} that it knows"
    if hits >= 0.9 * people:
        return f"By that measure the attacked classifier gives away nearly everybody {who}."
    if hits >= 0.5 * people:
        people_who = f"the people {who}" if people >= known else who.removeprefix("of ")
        return f"By that measure the attacked classifier gives away most of {people_who}."
    return "That is more than guessing gives: the attacked classifier gives away some of the people."


def _tail(hits: int, count: int, chance: float) -> float:
    """Probability that guessing gives this many hits or more (binomial).

    Example:
        >>> _tail(1, 2, 0.5)
        0.75
    """
    return math.fsum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))
