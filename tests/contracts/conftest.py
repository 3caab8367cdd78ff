from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.nn.dcgan import STATE_KEY, FaceGenerator
from tests.contracts.attack_examples import PICTURE, Materials, filled


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Materials:
    """Files for the examples."""
    folder: Path = tmp_path_factory.mktemp("materials")
    torch.save({STATE_KEY: filled(FaceGenerator(code_size=7, widths=(12, 8, 6)), 1.0).state_dict()}, folder / "gan.tar")
    levels = np.random.default_rng(0).integers(0, 256, PICTURE[1:], dtype=np.uint8)
    Image.fromarray(levels).save(folder / "picture.png")
    return Materials(
        generator=str(folder / "gan.tar"),
        picture=str(folder / "picture.png"),
        folder=folder,
        cache=str(folder / "cache"),
    )
