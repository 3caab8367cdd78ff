"""Measures how much of a person a trained classifier gives away.

>>> import mi_lightning as mi
>>> "attacks" in dir(mi)
True

Names are loaded when they are first asked for, so that the import costs nothing and changes nothing.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mi_lightning import attacks, classifiers, data
    from mi_lightning.attacks.attack import Attack
    from mi_lightning.attacks.result import InversionResult
    from mi_lightning.classifiers.loading import load_classifier as load
    from mi_lightning.judging import Judge
    from mi_lightning.judging.make import judge
    from mi_lightning.lightning.fit import fit
    from mi_lightning.report.notebook import show
    from mi_lightning.report.plot import plot
    from mi_lightning.targets import (
        BlackBox,
        HttpModel,
        LabelOnly,
        NumpyFunction,
        OnnxModel,
        Preprocessing,
        SklearnModel,
        TorchModule,
        WhiteBox,
        defenses,
    )

__version__ = "0.1.0"

#: Where each public name comes from: a module, or an attribute of one.
_HOMES = {
    "Attack": "mi_lightning.attacks.attack:Attack",
    "BlackBox": "mi_lightning.targets:BlackBox",
    "HttpModel": "mi_lightning.targets:HttpModel",
    "InversionResult": "mi_lightning.attacks.result:InversionResult",
    "Judge": "mi_lightning.judging:Judge",
    "LabelOnly": "mi_lightning.targets:LabelOnly",
    "NumpyFunction": "mi_lightning.targets:NumpyFunction",
    "OnnxModel": "mi_lightning.targets:OnnxModel",
    "Preprocessing": "mi_lightning.targets:Preprocessing",
    "SklearnModel": "mi_lightning.targets:SklearnModel",
    "TorchModule": "mi_lightning.targets:TorchModule",
    "WhiteBox": "mi_lightning.targets:WhiteBox",
    "attacks": "mi_lightning.attacks",
    "classifiers": "mi_lightning.classifiers",
    "data": "mi_lightning.data",
    "defenses": "mi_lightning.targets.defenses",
    "fit": "mi_lightning.lightning.fit:fit",
    "judge": "mi_lightning.judging.make:judge",
    "load": "mi_lightning.classifiers.loading:load_classifier",
    "plot": "mi_lightning.report.plot:plot",
    "show": "mi_lightning.report.notebook:show",
}

#: What a notebook shows by pictures and tables.
_RICH = (
    ("mi_lightning.attacks.result", "InversionResult"),
    ("mi_lightning.judging.judgement", "Judgement"),
    ("mi_lightning.report.audit.whole", "Audit"),
    ("mi_lightning.report.results", "RunResults"),
)

__all__ = [
    "Attack",
    "BlackBox",
    "HttpModel",
    "InversionResult",
    "Judge",
    "LabelOnly",
    "NumpyFunction",
    "OnnxModel",
    "Preprocessing",
    "SklearnModel",
    "TorchModule",
    "WhiteBox",
    "__version__",
    "attacks",
    "classifiers",
    "data",
    "defenses",
    "fit",
    "judge",
    "load",
    "plot",
    "show",
]


def __getattr__(name: str) -> Any:
    """Load a public name."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    found = import_module(module)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    """Name what there is."""
    return sorted({*globals(), *__all__})


def load_ipython_extension(shell: Any) -> None:
    """Let a notebook show results, judgements, runs and audits by pictures and tables.

    Done by the import in a notebook. What they are shown by is loaded when there is something to show.

    Args:
        shell: The running IPython shell.
    """
    for module, name in _RICH:
        shell.display_formatter.formatters["text/html"].for_type_by_name(module, name, _rich)


def _rich(thing: Any) -> str:
    """What a notebook shows of something."""
    html: str = import_module("mi_lightning.report.notebook").show(thing)._repr_html_()
    return html


_SHELL = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
if _SHELL is not None:
    load_ipython_extension(_SHELL)
