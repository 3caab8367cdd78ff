"""What the released layout called by other names: old name, and what to write instead.

A name is looked up here when something cannot be found; what has no old name costs nothing.
"""

from __future__ import annotations

from typing import Final

_OLD_FITS = (
    "att_cnn att_cnn_paper att_dae att_dae_frozen att_dae_paper att_face_cnn att_mlp att_mlp_paper att_softmax "
    "librispeech100_mel librispeech100_sincnet librispeech_mel librispeech_sincnet librispeech_sincnet_paper "
    "olivetti_face_cnn olivetti_logistic timit_mel timit_sincnet timit_sincnet_paper voices_mel voices_sincnet "
    "voices_sincnet_paper"
)

#: Old name of an attack -> target, attack and what lies over it.
_OLD_INVERSIONS = {
    "att_cnn": "target/att_cnn attack/smoothgrad",
    "att_cnn_fredrikson": "target/att_cnn attack/mi_face",
    "att_cnn_gan": "target/att_cnn attack/gan",
    "att_cnn_momentum": "target/att_cnn attack/momentum",
    "att_cnn_priors": "target/att_cnn attack/public_faces",
    "att_dae": "target/att_dae attack/latent_descent",
    "att_dae_fredrikson": "target/att_dae attack/process_dae",
    "att_dae_latent": "target/att_dae attack/latent",
    "att_dae_momentum": "target/att_dae attack/latent_momentum",
    "att_mlp": "target/att_mlp attack/gradient_descent_wide",
    "att_mlp_fredrikson": "target/att_mlp attack/mi_face",
    "att_mlp_momentum": "target/att_mlp attack/momentum",
    "att_softmax": "target/att_softmax attack/gradient_descent",
    "att_softmax_adaptive_noise": "target/att_softmax_noise attack/adaptive_noise",
    "att_softmax_adaptive_rounding": "target/att_softmax_rounding attack/adaptive_rounding",
    "att_softmax_black_box": "target/att_softmax_queries attack/blurred_spsa",
    "att_softmax_fd": "target/att_softmax_queries attack/finite_differences",
    "att_softmax_fredrikson": "target/att_softmax attack/mi_face",
    "att_softmax_momentum": "target/att_softmax attack/momentum",
    "att_softmax_nes": "target/att_softmax_queries attack/nes",
    "att_softmax_spsa": "target/att_softmax_queries attack/spsa",
    "librispeech_sincnet": "target/librispeech_sincnet attack/waveform_trials",
    "librispeech_sincnet_best": "target/librispeech_sincnet attack/public_speech prior/public_librispeech",
    "librispeech_sincnet_disguise": "target/librispeech_sincnet attack/disguise prior/public_librispeech",
    "librispeech_sincnet_dvector": "target/librispeech_sincnet attack/dvector prior/dvectors_librispeech",
    "librispeech_sincnet_dvector_euclidean": (
        "target/librispeech_sincnet attack/dvector_euclidean prior/dvectors_librispeech"
    ),
    "librispeech_sincnet_nes": "target/librispeech_sincnet_queries attack/nes_speech",
    "librispeech_sincnet_sliding": "target/librispeech_sincnet attack/sliding",
    "librispeech_sincnet_sliding_3s": "target/librispeech_sincnet attack/sliding_3s",
    "librispeech_sincnet_spsa": "target/librispeech_sincnet_queries attack/spsa_speech",
    "librispeech_sincnet_standard": "target/librispeech_sincnet attack/standard",
    "olivetti_logistic_adaptive_noise": "target/olivetti_logistic_noise attack/adaptive_noise_olivetti",
    "olivetti_logistic_adaptive_rounding": "target/olivetti_logistic_rounding attack/adaptive_rounding_olivetti",
    "olivetti_logistic_black_box": "target/olivetti_logistic_queries attack/blurred_spsa_olivetti",
    "olivetti_logistic_spsa": "target/olivetti_logistic_queries attack/spsa_olivetti",
    "olivetti_logistic_spsa_refined": "target/olivetti_logistic_queries attack/spsa_refined",
    "timit_sincnet": "target/timit_sincnet attack/waveform",
    "timit_sincnet_best": "target/timit_sincnet attack/public_speech",
    "timit_sincnet_disguise": "target/timit_sincnet attack/disguise",
    "timit_sincnet_dvector": "target/timit_sincnet attack/dvector prior/dvectors_timit",
    "timit_sincnet_dvector_euclidean": "target/timit_sincnet attack/dvector_euclidean prior/dvectors_timit",
    "timit_sincnet_nes": "target/timit_sincnet_queries attack/nes_speech",
    "timit_sincnet_sliding": "target/timit_sincnet attack/sliding",
    "timit_sincnet_sliding_3s": "target/timit_sincnet attack/sliding_3s",
    "timit_sincnet_spsa": "target/timit_sincnet_queries attack/spsa_speech",
    "timit_sincnet_standard": "target/timit_sincnet attack/standard",
    "voices_sincnet": "target/voices_sincnet attack/waveform_trials",
    "voices_sincnet_best": "target/voices_sincnet attack/public_speech",
    "voices_sincnet_disguise": "target/voices_sincnet attack/disguise",
    "voices_sincnet_dvector": "target/voices_sincnet attack/dvector",
    "voices_sincnet_dvector_euclidean": "target/voices_sincnet attack/dvector_euclidean",
    "voices_sincnet_nes": "target/voices_sincnet_queries attack/nes_speech",
    "voices_sincnet_sliding": "target/voices_sincnet attack/sliding",
    "voices_sincnet_sliding_3s": "target/voices_sincnet attack/sliding_3s",
    "voices_sincnet_spsa": "target/voices_sincnet_queries attack/spsa_speech",
    "voices_sincnet_standard": "target/voices_sincnet attack/standard",
}

#: Configurations, by their path below `configs/` -> the new path of a classifier, the flags that do the same attack.
OLD_CONFIGS: Final[dict[str, str]] = {f"fit/{name}.yaml": f"classifier/{name}.yaml" for name in _OLD_FITS.split()} | {
    f"invert/{old}.yaml": " ".join(f"--config {name}.yaml" for name in new.split())
    for old, new in _OLD_INVERSIONS.items()
}

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
