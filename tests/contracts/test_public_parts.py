"""Parts of an attack that know other people say so: what an untrained target leaves of the score is their knowledge."""

from __future__ import annotations

import inspect
import sys

import pytest
from torch import nn

import mi_lightning.public_models
from mi_lightning.attacks.attack import describe_part
from mi_lightning.attacks.spaces import LatentSpace
from mi_lightning.data import PublicVoices
from mi_lightning.report.control_runs import uses_public_knowledge
from tests.contracts.attack_examples import ROLES, exported

#: Names and modules by which a part gets to know other people.
_SOURCES = ("mi_lightning.public_models",)
_NAMES = {"FittedDecoder"}  # takes one that it is given, as any other decoder


def reaches_for_other_people(part: type) -> bool:
    """Whether the module of a part uses a public model or public voices."""
    names = vars(sys.modules[part.__module__])
    return any(
        value is PublicVoices or getattr(value, "__module__", "").startswith(_SOURCES)
        for name, value in names.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and name not in _NAMES
    )


@pytest.mark.parametrize(("role", "part"), [(role, part) for role in ROLES for part in exported(role)])
def test_parts_made_of_public_models_declare_it(role, part):
    public = inspect.getattr_static(part, "public", False)
    assert isinstance(public, bool | property)
    if reaches_for_other_people(part):
        assert public is True, f"{part.__name__} knows other people: give it `public: ClassVar[bool] = True`"


@pytest.mark.parametrize(
    "part",
    [
        part
        for name in mi_lightning.public_models.__all__
        if inspect.isclass(part := getattr(mi_lightning.public_models, name))
    ],
)
def test_every_public_model_is_public(part):
    if issubclass(part, nn.Module):
        assert part.public is True


#: Of the exported parts, those whose examples bring knowledge of other people, themselves or by a part of theirs.
KNOWING = {
    "DisguisedSpeech",
    "GivenImage",
    "NeuralVocoder",
    "PublicFaces",
    "PublicMean",
    "PublicSpeech",
    "SpectralEnvelope",
    "SpeechNoise",
}


@pytest.mark.parametrize("role", list(ROLES))
def test_the_description_of_an_attack_says_it(role, materials):
    for part, examples in ROLES[role].items():
        for make, _ in examples:
            if part.__name__ == "NeuralVocoder":
                pytest.importorskip("vocos", reason="Vocos is in the extra vocoder")
            made = make(materials)
            said = uses_public_knowledge({"parts": [describe_part(made)]})
            own_decoder = isinstance(made, LatentSpace) and made.decoder is not None
            if part.__name__ in KNOWING or own_decoder:
                assert said, part
            elif part.__name__ in {"PowerLaw", "GaussianBlur", "Zeros", "MidGrey", "Noise", "NaturalNoise", "L2"}:
                assert not said, part


def test_a_decoder_of_the_target_is_no_public_knowledge():
    assert not uses_public_knowledge(describe_part(LatentSpace()))
    assert uses_public_knowledge(describe_part(LatentSpace(decoder=nn.Linear(2, 3), code_size=2)))
    assert not uses_public_knowledge({"public": None, "parts": [3, "public", {"class": "Noise"}]})
