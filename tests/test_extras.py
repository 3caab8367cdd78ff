"""Packages that only some parts need."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import mi_lightning
from mi_lightning.errors import MIError
from mi_lightning.extras import (
    load_dlib,
    load_espeakng,
    load_httpx,
    load_onnxruntime,
    load_safetensors,
    load_skops,
    load_soundfile,
    load_timm,
    load_torchaudio,
    load_torchvision,
    load_transformers,
    package_file,
)


@pytest.mark.parametrize(
    ("load", "name", "words"),
    [
        (load_dlib, "dlib", r"found by the package dlib-bin.*pip install \"mi-lightning\[judges\]\""),
        (load_onnxruntime, "onnxruntime", r"run by the package onnxruntime.*\"mi-lightning\[onnx\]\""),
        (load_httpx, "httpx", r"a server is asked by the package httpx.*pip install \"mi-lightning\[http\]\""),
        (load_skops, "skops.io", r"read from a file by the package skops.*pip install \"mi-lightning\[skops\]\""),
        (load_safetensors, "safetensors", r"read by the package safetensors.*pip install \"mi-lightning\[models\]\""),
        (load_timm, "timm", r"one of the package timm, which is not installed.*\"mi-lightning\[models\]\""),
        (load_torchvision, "torchvision", r"one of the package torchvision.*\"mi-lightning\[models\]\""),
        (load_transformers, "transformers", r"opened by the package transformers.*\"mi-lightning\[models\]\""),
        (load_soundfile, "soundfile", r"read by the package soundfile.*pip install \"mi-lightning\[speech\]\""),
        (load_espeakng, "espeakng_loader", r"spoken by the package espeakng-loader.*or use recordings"),
        (load_torchaudio, "torchaudio", r"torchaudio 2\.11, .* goes with torch 2\.11 to 2\.14 .*here: torch \d"),
    ],
)
def test_missing_package_is_one_line(monkeypatch, load, name, words):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MIError, match=words) as caught:
        load()
    assert "\n" not in str(caught.value)


def test_package_that_fails_to_load_says_why(monkeypatch, tmp_path):
    """As torchaudio does beside another torch: its shared library finds no CUDA."""
    (tmp_path / "torchaudio.py").write_text("raise OSError('libc10_cuda.so: cannot open\\nshared object file')")
    monkeypatch.delitem(sys.modules, "torchaudio", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MIError, match=r"which fails: libc10_cuda\.so: cannot open shared object file; torchaudio"):
        load_torchaudio()


def test_file_of_a_package_is_found_without_importing_it(monkeypatch, tmp_path):
    (tmp_path / "never_imported").mkdir()
    (tmp_path / "never_imported" / "__init__.py").write_text("raise ImportError")
    (tmp_path / "never_imported" / "some.dat").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package_file("never_imported", "some.dat") == tmp_path / "never_imported" / "some.dat"
    assert package_file("never_imported", "other.dat") is None
    assert package_file("no_such_package_here", "some.dat") is None


def test_no_module_needs_the_extra_to_be_imported():
    """The rest of the program works without the extra speech: its packages are imported inside functions only."""
    extra = {"dlib", "httpx", "onnxruntime", "skops", "soundfile", "torchaudio", "espeakng_loader", "vocos"}
    paths = sorted(Path(mi_lightning.__file__).parent.rglob("*.py"))
    assert len(paths) > 50
    for path in paths:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not extra & {name.split(".")[0] for name in names}, path
