"""Any module of torch and the file of its weights, as a target."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mi_lightning.classifiers.untrained import draw_zeros
from mi_lightning.errors import InputError
from mi_lightning.targets.weights import Weights, open_program, read_weights_file, with_weights
from mi_lightning.targets.white_box import WhiteBox


class LoadedModule(WhiteBox):
    """A white box that says where its weights come from; base of the targets that are made of a file.

    Args:
        module: The classifier, with its weights.
        weights: What they were read from; None if they were not.
        untrained: Whether it is a control, whose weights are as the architecture draws them.
        **white_box: What :class:`~mi_lightning.targets.WhiteBox` takes.
    """

    def __init__(
        self, module: nn.Module, weights: Weights | None, *, untrained: bool = False, **white_box: Any
    ) -> None:
        """Copy and freeze the module, and look at what it answers."""
        if untrained:
            module, weights = _untrained(module), None
        # compared with the file while they were loaded: a white box would read it once more
        super().__init__(module, checkpoint="", checkpoint_sha256="", **white_box)
        if weights is not None:
            self.checkpoint, self.checkpoint_sha256 = weights.file, weights.sha256
        self.weights, self.untrained = None if weights is None else weights.describe(), untrained

    def describe(self) -> dict[str, Any]:
        """Return what a white box says, and where the weights come from; None where no file was given."""
        said = {**super().describe(), "weights": self.weights}
        if self.untrained:  # what is known of how the given one was trained is not true of it
            said |= {"training": {"untrained": True}, "test_accuracy": None}
        return said


def _untrained(module: nn.Module) -> nn.Module:
    """Return a copy of which no layer is zero: its answers would all be the same, and an attack would prove nothing."""
    fresh = copy.deepcopy(module)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # not torch.manual_seed, which seeds every device
        draw_zeros(fresh)
    return fresh


class TorchModule(LoadedModule):
    """Any ``nn.Module`` with the weights of a file: what most people have.

    The file may be a state dict, bare or under ``state_dict``, ``model_state_dict`` or ``model``, a Lightning
    checkpoint, or safetensors. Nothing in it is executed. Prefixes that DataParallel, ``torch.compile`` and wrapping
    modules put before every name are taken off; then every weight of the module must be there, in its shape, and no
    other: weights that were not loaded would look like a model that gives nothing away.

    A file of TorchScript or ``torch.export`` is a whole model and can run code when loaded: it is opened without
    ``module`` and with ``trust_file`` only. Whole pickled modules are never opened; the error says how to convert them.

    Args:
        module: The architecture, by class path: a class, or a function that returns a module and says so in its
            signature, such as ``torchvision.models.resnet18``. None for a file that is a whole model.
        weights: The file. None, which has to be said, attacks the module as it stands: trained in Python, or at random.
        trust_file: Whether code in the file may be run.
        ignore: Patterns such as ``loss.*`` of names in the file that do not belong to the model.
        untrained: Whether the weights are left as the architecture draws them, for a control; audits set it.
        **white_box: What :class:`~mi_lightning.targets.WhiteBox` takes: ``input_shape``, ``preprocessing``,
            ``class_names``, ``output``, ``select``, ``max_batch``, ...

    Attributes:
        weights: File, SHA-256 and kind of what was loaded; None if the module was taken as it stands.

    Raises:
        InputError: If the file does not fit the module or cannot be opened safely, or the module cannot be asked.
        MIError: If a package is missing.

    Example:
        ::

            model:
              target:
                class_path: mi_lightning.targets.TorchModule
                init_args:
                  module: {class_path: mynet.Net, init_args: {width: 64}}
                  weights: faces.pt
                  input_shape: [3, 64, 64]

        >>> TorchModule(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), None, input_shape=(3, 2, 2)).num_classes
        5
    """

    def __init__(
        self,
        module: nn.Module | None = None,
        weights: str | None = "",
        *,
        trust_file: bool = False,
        ignore: Sequence[str] = (),
        untrained: bool = False,
        **white_box: Any,
    ) -> None:
        """Load the weights into a copy of the module, and look at what it answers."""
        found: Weights | None = None
        if weights == "":
            raise InputError("a file of weights, or null to attack the module as it stands", "none", "weights")
        if weights is None:
            if module is None:
                raise InputError("a module, or a file that holds a whole one", "neither", "module")
        elif module is None:
            if untrained:
                raise InputError("an architecture, whose weights can be drawn anew", "a whole program", "untrained")
            module, found = open_program(weights, trust_file=trust_file)
        elif not isinstance(module, nn.Module):
            raise InputError("a torch.nn.Module", type(module).__name__, "module")
        else:
            found = read_weights_file(weights)
            module = module if untrained else with_weights(module, found, ignore=ignore)
        super().__init__(module, found, untrained=untrained, **white_box)
