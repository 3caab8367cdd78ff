"""A model behind a server on this machine."""

from __future__ import annotations

import pytest
import torch

from tests.targets.asking import CLASSES
from tests.targets.endpoint import predictions, serving


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, CLASSES), torch.nn.Softmax(1)).eval()


@pytest.fixture
def endpoint(model):
    with serving(predictions(model)) as running:
        yield running
