"""Attacks by name: each file of ``configs/attack`` is the function of its name, with the arguments listed here."""

from __future__ import annotations

import inspect
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser

from mi_lightning import attacks
from mi_lightning.attacks import literature
from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.filters import FilterChain, GaussianBlur, UnitRMS
from mi_lightning.data import LibriSpeech, SyntheticVoices, Timit

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = {path.stem: path for path in sorted((CONFIGS / "attack").glob("*.yaml"))}

#: Attacks whose weights come with an optional package; tests/test_configs.py runs both on a stand-in.
_PUBLIC_FACES = {"gan", "public_faces"}


@pytest.fixture(autouse=True)
def _public_faces(request):
    """Skip what cannot be made without the package."""
    given = set(map(str, request.node.callspec.params.values())) if hasattr(request.node, "callspec") else set()
    if given & _PUBLIC_FACES and find_spec("gan_face_generate") is None:
        pytest.skip("needs the package gan-face-generate (pip install 'mi-lightning[priors]')")


#: Public functions of the module.
FUNCTIONS = {
    name: function
    for name, function in inspect.getmembers(literature, inspect.isfunction)
    if function.__module__ == literature.__name__ and not name.startswith("_")
}

_OLIVETTI_SPSA = {"delta": 0.05, "gamma": 0.001, "report_every": 50}

#: Name of a file -> what it gives to the function that its name begins with.
VARIANTS: dict[str, dict[str, Any]] = {
    "adaptive_noise": {"floor": 0.02, "repeats": 8, "initial_candidates": 500},
    "adaptive_noise_olivetti": {"floor": 0.02, "repeats": 8, "initial_candidates": 500, "blur": 2.5},
    "adaptive_rounding": {"floor": 0.005},
    "adaptive_rounding_olivetti": {"floor": 0.005, "blur": 2.5},
    "disguise": {},
    "dvector": {"references": SyntheticVoices()},
    "dvector_euclidean": {"references": SyntheticVoices(), "distance": "euclidean"},
    "finite_differences": {},
    "gan": {},
    "gradient_descent": {},
    "gradient_descent_wide": {"blur": 2.0},
    "latent": {},
    "latent_descent": {},
    "latent_momentum": {"max_iterations": 50000, "beta": 1000, "gamma": 1e-4, "lr": 0.05, "momentum": 0.95},
    "mi_face": {},
    "momentum": {},
    "nes": {},
    "nes_speech": {},
    "process_dae": {},
    "public_faces": {},
    "public_speech": {},
    "blurred_spsa": {},
    "blurred_spsa_olivetti": {
        "gradient_filter": FilterChain(filters=[GaussianBlur(sigma=2.0), UnitRMS()]),
        "lr": 3e-4,
        "max_iterations": 60,
    },
    "sliding": {},
    "sliding_3s": {"duration": 3.0},
    "smoothgrad": {},
    "spsa": {},
    "spsa_olivetti": {"pairs": 16, "lr": 0.1} | _OLIVETTI_SPSA,
    "spsa_refined": {"pairs": 64, "lr": 0.05, "max_iterations": 5000, "beta": 100, "stagnation_rule": "patience"}
    | _OLIVETTI_SPSA,
    "spsa_speech": {},
    "standard": {},
    "waveform": {},
    "waveform_trials": {"restarts": 10, "rows_at_once": 200},
}


def function_of(stem: str) -> str:
    """The function that a file's name begins with: the longest that fits."""
    fitting = [name for name in FUNCTIONS if stem == name or stem.startswith(f"{name}_")]
    assert fitting, f"{stem}.yaml: no function of that name"
    return max(fitting, key=len)


@cache
def parser() -> ArgumentParser:
    """Reads the key ``model:``."""
    made = ArgumentParser(exit_on_error=False)
    made.add_argument("--config", action="config")
    made.add_class_arguments(Attack, "model", sub_configs=True)
    return made


def read(*files: Path) -> Attack:
    """The attack that files make, one over the other, as the command line reads them."""
    found = parser().parse_args([f"--config={path}" for path in files])
    return parser().instantiate_classes(found).model


@pytest.fixture
def corpora(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Say where corpora of speech lie; nothing is read of them here."""
    monkeypatch.setenv("LIBRISPEECH", str(tmp_path))
    monkeypatch.setenv("TIMIT", str(tmp_path))


def test_every_file_is_listed_and_every_function_has_a_file():
    assert set(VARIANTS) == set(FILES)
    assert {function_of(stem) for stem in FILES} == set(FUNCTIONS)
    named = FUNCTIONS.keys() & FILES.keys()
    assert FUNCTIONS.keys() - named == {"adaptive"}  # which cannot do without a floor


def test_the_package_gives_every_function():
    assert set(attacks.__all__) == {"Attack", *FUNCTIONS}
    assert attacks.Attack is Attack
    assert all(getattr(attacks, name) is function for name, function in FUNCTIONS.items())
    assert set(attacks.__all__) <= set(dir(attacks))
    with pytest.raises(AttributeError, match="nonsense"):
        attacks.nonsense  # noqa: B018


def test_files_are_few_and_short():
    assert len(FILES) <= 40
    assert sum(len(path.read_text().splitlines()) for path in FILES.values()) < 900


@pytest.mark.parametrize("stem", FILES)
def test_file_is_the_function(stem):
    attack = read(FILES[stem])
    expected = FUNCTIONS[function_of(stem)](**VARIANTS[stem])
    assert attack.describe() == expected.describe()


@pytest.mark.parametrize("stem", FILES)
def test_file_holds_the_attack_alone(stem):
    lines = [line for line in FILES[stem].read_text().splitlines() if line and line[0] not in "# "]
    assert lines == ["model:"]


@pytest.mark.parametrize(("prior", "kind"), [("dvectors_librispeech", LibriSpeech), ("dvectors_timit", Timit)])
def test_d_vectors_of_other_speakers(corpora, prior, kind):
    attack = read(FILES["dvector"], CONFIGS / "prior" / f"{prior}.yaml")
    plain = read(FILES["dvector"])
    assert isinstance(plain.cost.references, SyntheticVoices)
    assert isinstance(attack.cost.references, kind)
    said, otherwise = attack.describe(), plain.describe()
    assert said["cost"].pop("references") != otherwise["cost"].pop("references")
    assert said == otherwise  # but for the recordings all is as it was


@pytest.mark.parametrize("stem", ["public_speech", "disguise"])
def test_public_speech_of_real_people(corpora, stem):
    attack = read(FILES[stem], CONFIGS / "prior" / "public_librispeech.yaml")
    assert read(FILES[stem]).space.initializer.references is None
    references = attack.space.initializer.references
    assert (type(references), references.subset) == (LibriSpeech, "train-clean-100")


def make(name: str, **settings: Any) -> Attack:
    """The attack of a function, which is given what it cannot do without."""
    required = {"adaptive": {"floor": 0.1}, "dvector": {"references": SyntheticVoices()}}
    return FUNCTIONS[name](**required.get(name, {}), **settings)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_caller_sets_takes_the_place_of_what_the_function_sets(name):
    attack = make(name, max_iterations=7, gamma=0.5, beta=3, seed=2)
    assert (attack.max_iterations, attack.gamma, attack.beta, attack.seed) == (7, 0.5, 3, 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_argument_that_nobody_has(name):
    with pytest.raises(TypeError, match="nonsense"):
        make(name, nonsense=1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_optimizer_is_made_of_tensors_alone(name):
    attack = make(name, lr=0.25)
    (group,) = attack.step.make_optimizer([torch.nn.Parameter(torch.zeros(2))]).param_groups
    assert group["lr"] == 0.25


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring_says_what_it_needs_of_the_target(name):
    first = FUNCTIONS[name].__doc__.splitlines()[0]
    assert "the whole model" in first or "confidences" in first
