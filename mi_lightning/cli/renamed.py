"""What the released layout called by other names: old name, and what to write instead.

A name is looked up here when something cannot be found; what has no old name costs nothing.
"""

from __future__ import annotations

from typing import Final

#: Configurations, by their path below `configs/`: ``"invert/<x>.yaml"`` -> the flags that say the same.
OLD_CONFIGS: Final[dict[str, str]] = {}

#: Keys of the configurations of each command (a star stands for any part of a dotted key).
OLD_KEYS: Final[dict[str, dict[str, str]]] = {
    "invert": {
        "model.starts": "model.initial_candidates",
        "model.block": "model.report_every",
        "model.chunk_size": "model.rows_at_once",
        "model.space*.initial": "initializer",
    },
    "audit": {"fit": "classifiers", "invert": "targets and attacks, or pairs"},
    "sweep": {"fit": "classifiers"},
}

_ATTACKS = "mi_lightning.attacks"

#: Parts, by their old class path.
OLD_CLASSES: Final[dict[str, str]] = {
    "mi_lightning.inversion.Initial": f"{_ATTACKS}.initializers.Initializer",
    "mi_lightning.inversion.estimators.CMAES": f"{_ATTACKS}.steps.CMAESStep (as model.step)",
    f"{_ATTACKS}.estimators.CMAES": f"{_ATTACKS}.steps.CMAESStep (as model.step)",
    "mi_lightning.inversion.FaceDecoder": "mi_lightning.public_models.FaceDecoder",
    "mi_lightning.inversion.Inversion": "mi_lightning.lightning.Inversion",
    "mi_lightning.inversion.InversionResult": f"{_ATTACKS}.result.InversionResult",
    "mi_lightning.inversion.PublicVoices": "mi_lightning.data.speech.public_voices.PublicVoices",
    "mi_lightning.inversion.Rows": f"{_ATTACKS}.rows.Rows",
    "mi_lightning.trainer.InversionTrainer": "mi_lightning.lightning.InversionTrainer",
    **{
        f"mi_lightning.inversion.{name}": f"{_ATTACKS}.{folder}.{name}"
        for folder, names in {
            "spaces": "DisguisedSpeech LatentSpace PixelSpace SlidingWindows Space WaveformSpace",
            "costs": "Cost DVectorDistance NegativeLogConfidence NegativeLogOdds OneMinusConfidence",
            "priors": "CodeNorm L2 Prior TotalVariation",
            "filters": (
                "BandPass FilterChain GaussianBlur GradientFilter PowerLaw PublicFaces SpectralEnvelope UnitRMS"
            ),
            "initializers": "GivenImage MidGrey NaturalNoise Noise PublicMean PublicSpeech SpeechNoise Zeros",
            "estimators": "AugmentedAutograd Autograd GradientEstimator SmoothedAutograd",
        }.items()
        for name in names.split()
    },
    **{
        f"mi_lightning.inversion.estimators.{name}": f"{_ATTACKS}.estimators.{name}"
        for name in ("FiniteDifference", "NES", "QueryEstimator", "SPSA")
    },
    **{
        f"mi_lightning.callbacks.{name}": f"mi_lightning.lightning.callbacks.{name}"
        for name in (
            "Dashboard",
            "GriffinLim",
            "InversionCallback",
            "NeuralVocoder",
            "ProcessDAE",
            "ResultsWriter",
            "StagnationStop",
            "TargetCostStop",
        )
    },
    **{
        f"mi_lightning.metrics.{name}": f"mi_lightning.judging.{name}"
        for name in (
            "EvaluatorAccuracy",
            "Identification",
            "Judge",
            "Judgement",
            "ReconstructionMSE",
            "ReconstructionNRMSE",
            "ReconstructionPSNR",
            "ReconstructionSSIM",
        )
    },
}
