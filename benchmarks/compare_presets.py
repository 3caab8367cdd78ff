"""Compare what two checkouts find with the same presets: their reconstructions, row by row.

    python benchmarks/compare_presets.py FOLDER=FOLDER ...   # each pair: a run folder of the one, and of the other

A run folder is what ``mi-lightning invert`` writes. Prints for each pair how many rows agree in iterations and in the
reason for which they stopped, and the greatest difference of two reconstructions; ends with status 1 if one is above
the limit.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

LIMIT = 1e-5


def compare(one: Path, other: Path) -> tuple[int, int, int, float]:
    """Return rows, rows that took as many iterations, rows that stopped alike, and the greatest difference."""
    arrays = [np.load(folder / "reconstructions.npz", allow_pickle=False) for folder in (one, other)]
    labels = [list(zip(each["label"].tolist(), each["restart"].tolist(), strict=True)) for each in arrays]
    if labels[0] != labels[1]:
        raise ValueError(f"other rows in {one} than in {other}")
    found = [each["reconstruction"] for each in arrays]
    rows = [json.loads((folder / "results.json").read_text(encoding="utf-8"))["per_label"] for folder in (one, other)]
    same = [sum(a[key] == b[key] for a, b in zip(*rows, strict=True)) for key in ("iterations", "stop_reason")]
    return len(labels[0]), same[0], same[1], float(np.abs(found[0] - found[1]).max())


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pairs", nargs="+", help="FOLDER=FOLDER")
    parser.add_argument("--limit", type=float, default=LIMIT, help="greatest difference that passes")
    args = parser.parse_args()
    table = Table("preset", "rows", "same iterations", "same reason", "greatest difference")
    worst = 0.0
    for pair in args.pairs:
        one, other = (Path(part) for part in pair.split("="))
        rows, iterations, reasons, difference = compare(one, other)
        worst = max(worst, difference)
        table.add_row(other.parent.name, str(rows), str(iterations), str(reasons), f"{difference:.2g}")
    Console(width=140).print(table)
    sys.exit(int(not worst <= args.limit))


if __name__ == "__main__":
    main()
