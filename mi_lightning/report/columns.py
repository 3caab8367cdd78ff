"""Numbers that tables show: what they are called, and how they are printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mi_lightning.report.media import MEDIA
from mi_lightning.report.results import RunResults


@dataclass(frozen=True)
class Column:
    """A number of the summary table.

    Attributes:
        key: Its name in ``summary``.
        short: Heading in the terminal.
        title: Heading on the page.
        kind: How it is printed (:func:`~mi_lightning.report.formats.show`).
        help: What it says, in a sentence.
    """

    key: str
    short: str
    title: str
    kind: str
    help: str


COLUMNS = (
    Column("recognised_interval", "recognised", "recognised", "text", "Share that the recogniser names; 95% interval"),
    Column("ceiling", "ceil.", "ceiling", "share", "The same of the most that there is to be had"),
    Column("chance", "chance", "chance", "share", "What guessing would give"),
    Column("accepted_at_1_percent", "let in", "let in at 1%", "share", "Share let in where 1% of impostors get in"),
    Column("fools_model_only", "fools", "fools the model only", "share", "Named by target or inside evaluator only"),
    Column("evaluator_top1", "inside", "inside: named", "share", "Share whose person the inside evaluator names"),
    Column("evaluator_top5", "in. 5", "inside: in top 5", "share", "Share among the inside evaluator's five guesses"),
    Column("identification_top1", "ident.", "inside: identified", "share", "Share nearest in its feature space"),
    Column("confidence_mean", "conf.", "target sure", "share", "Mean confidence of the attacked classifier"),
    Column("ssim_mean", "SSIM", "SSIM", "number", "Structural similarity to the person's mean photograph"),
    Column(
        "ssim_best_mean", "best", "SSIM, closest", "number", "Structural similarity to the person's closest photograph"
    ),
    Column("nrmse_mean", "NRMSE", "NRMSE", "number", "Error over the norm of the mean photograph; less is closer"),
    Column("psnr_mean", "PSNR", "PSNR, dB", "decibel", "Peak signal-to-noise ratio against the mean photograph"),
    Column("target_top1", "target", "target names", "share", "Share that the attacked classifier itself names right"),
    Column("dvector_cosine_mean", "d-vec.", "d-vector cosine", "number", "Cosine to the speaker's real d-vector"),
    Column("dvector_euclidean_mean", "dist.", "d-vector distance", "number", "Distance to the speaker's real d-vector"),
    Column("sex_right", "sex", "sex right", "share", "Share whose sex is inferred right from the target's d-vector"),
    Column(
        "spectral_distance_mean", "dB", "spectrum off, dB", "decibel", "Distance of the long-term spectrum to speech's"
    ),
    Column("modulation_mean", "mod.", "like speech", "number", "Loudness that varies as that of speech does, 0 to 1"),
    Column(
        "vocoder_evaluator_top1", "voc.", "vocoder: named", "share", "Named right by the evaluator after the vocoder"
    ),
    Column(
        "vocoder_target_top1", "v.target", "vocoder: target", "share", "Named right by the target after the vocoder"
    ),
    Column("iterations_mean", "iter.", "iterations", "count", "Mean iterations of a row"),
    Column("queries_per_label", "queries", "queries each", "count", "Inputs shown to the target, per person"),
    Column("seconds", "s", "seconds", "seconds", "Time of the attack on all people"),
)


def columns_of(runs: Sequence[RunResults]) -> list[Column]:
    """Columns of the page: without those that only samples of another kind have."""
    kept = {key for run in runs for key in run.media.measures}
    left_out = {key for media in MEDIA.values() for key in media.measures} - kept
    return [column for column in COLUMNS if column.key not in left_out]
