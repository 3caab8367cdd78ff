"""How the tests of the target behind HTTP ask, and the same model in process."""

from __future__ import annotations

import numpy as np
import torch

from mi_lightning.targets import BlackBox, HttpModel

SHAPE, CLASSES = (1, 4, 3), 5
FACTS = {"input_shape": SHAPE, "num_classes": CLASSES}
QUICK = {"backoff": 0.001, "timeout": 5.0}


def http(endpoint, **settings):
    return HttpModel(endpoint.url, **{**FACTS, **QUICK, "canary": "off", **settings})


def inputs(n=7):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1))


def rows_of(x):
    """A server's arithmetic, for a batch of a body."""
    return torch.tensor(np.asarray(x), dtype=torch.float32)


def in_process(model):
    return BlackBox(lambda x: torch.cat([model(one) for one in x.split(1)]), **FACTS)
