"""A neural vocoder for tests: tiny, its weights drawn, not trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml


def vocos_folder(folder: Path) -> Path:
    """A tiny random Vocos, as its package saves one."""
    vocos = pytest.importorskip("vocos")
    part = "vocos.{}.{}".format
    config = {
        "feature_extractor": {
            "class_path": part("feature_extractors", "MelSpectrogramFeatures"),
            "init_args": {"sample_rate": 24000, "n_fft": 256, "hop_length": 64, "n_mels": 20, "padding": "center"},
        },
        "backbone": {
            "class_path": part("models", "VocosBackbone"),
            "init_args": {"input_channels": 20, "dim": 16, "intermediate_dim": 24, "num_layers": 1},
        },
        "head": {
            "class_path": part("heads", "ISTFTHead"),
            "init_args": {"dim": 16, "n_fft": 256, "hop_length": 64, "padding": "center"},
        },
    }
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = vocos.Vocos.from_hparams(str(folder / "config.yaml"))
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return folder
