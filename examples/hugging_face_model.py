"""A local folder of Hugging Face: mi-lightning invert --config hugging_face_model.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import ViTConfig, ViTForImageClassification

import mi_lightning as mi
from mi_lightning.targets import HuggingFaceModel


def make() -> None:
    """Write the folder that a training would have left."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    names = {index: f"person {index}" for index in range(6)}
    config = ViTConfig(**sizes, image_size=32, patch_size=8, id2label=names)
    ViTForImageClassification(config).save_pretrained("hugging_face_model")
    processor = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2}
    Path("hugging_face_model/preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")


def main() -> None:
    """Attack two of the people, by the names of the folder; its processor is applied within the target."""
    target = HuggingFaceModel("hugging_face_model", input_shape=(3, 48, 40))
    result = mi.attacks.gradient_descent(max_iterations=10).run(target, labels=["person 0", "person 5"])
    print(result.reconstruction.shape, result.confidence)


if __name__ == "__main__":
    make()
    main()
