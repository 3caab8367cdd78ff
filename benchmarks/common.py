"""What the races share: the classifier that is attacked, the description of the machine, tables."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch.nn import functional

from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.data import AttFaces

RESULTS = Path(__file__).parent / "RESULTS.md"
CHECKPOINT = Path(__file__).parents[1] / "checkpoints" / "att_softmax.ckpt"


def trained_softmax(checkpoint: Path) -> tuple[SoftmaxRegression, str]:
    """Return the softmax classifier of a checkpoint, or one that is trained here and now, and where it is from."""
    if checkpoint.is_file():
        loaded = load_classifier(checkpoint)
        if not isinstance(loaded, SoftmaxRegression):
            raise SystemExit(f"expected a checkpoint of SoftmaxRegression, got {type(loaded).__name__}: {checkpoint}")
        return loaded, checkpoint.name
    data = AttFaces()
    data.prepare_data()
    data.setup("fit")
    torch.manual_seed(0)
    classifier = SoftmaxRegression(input_shape=data.input_shape, num_classes=data.num_classes)
    optimizer = torch.optim.SGD(classifier.parameters(), lr=0.01)
    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        for index in torch.randperm(len(data.train_x), generator=generator).split(10):
            optimizer.zero_grad()
            functional.cross_entropy(classifier(data.train_x[index]), data.train_y[index]).backward()
            optimizer.step()
    return classifier.eval(), "trained for the race: SGD, rate 0.01, batch 10, 100 epochs"


def show(console: Console, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*header, title=title, title_justify="left")
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*row)
    console.print(table)


def markdown(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"**{title}**", "", "| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def machine(threads: int) -> str:
    """Describe machine and versions."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    packages = ["torch", "lightning"]
    if importlib.util.find_spec("art") is not None:
        packages.append("adversarial-robustness-toolbox")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    return (
        f"{cpu}, {os.cpu_count()} cores, {threads} threads; Python {platform.python_version()}, {versions}; "
        f"load before the race {os.getloadavg()[0]:.1f}"
    )


def verdict(name: str, value: float, limit: float, *, at_most: bool) -> str:
    """Say whether a limit holds."""
    good = value <= limit if at_most else value >= limit
    shown = f"{value:.1e}" if value < 1e-3 else f"{value:.3g}"
    return f"{name}: {shown}, limit {'at most' if at_most else 'at least'} {limit:g}: {'holds' if good else 'MISSED'}"


def append_results(
    heading: str,
    about: str,
    tables: Iterable[tuple[str, Sequence[str], Iterable[Sequence[str]]]],
    verdicts: Iterable[str],
) -> None:
    """Append a section to RESULTS.md.

    Args:
        heading: Title of the section; date and time are added.
        about: What ran where.
        tables: Title, header and rows of each table.
        verdicts: Which limits hold.
    """
    parts = [f"## {heading}, {datetime.now().astimezone():%Y-%m-%d %H:%M}", about]
    parts += [markdown(title, header, rows) for title, header, rows in tables]
    parts.append("\n".join(f"- {line}" for line in verdicts))
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write("\n" + "\n\n".join(parts) + "\n")
