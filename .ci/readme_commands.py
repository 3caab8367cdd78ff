"""Reads commands and the example out of README.md, and runs commands as they are printed.

In README.md a block of code that something depends on is named by a comment on the line above it:

    <!-- block: main -->
    ```bash
    ...
    ```

Used by .ci/run and by tests/test_readme.py, so that neither can drift from what a reader is told to type.

    python .ci/readme_commands.py main          # runs the block, then says how long it took and how much memory
    python .ci/readme_commands.py main --print  # prints it
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
BLOCK = re.compile(r"<!-- block: (?P<name>[\w-]+) -->\n```(?P<language>\w+)\n(?P<code>.*?)\n```", re.DOTALL)


def blocks(readme: Path = README) -> dict[str, tuple[str, str]]:
    """Return language and code of each named block.

    Args:
        readme: Markdown file to read.
    """
    text = readme.read_text(encoding="utf-8")
    return {match["name"]: (match["language"], match["code"]) for match in BLOCK.finditer(text)}


def main() -> int:
    """Run or print one block; return the exit status of what ran."""
    parser = argparse.ArgumentParser(description="Run a block of commands of README.md as it is printed.")
    parser.add_argument("name", help="name of the block")
    parser.add_argument("--print", action="store_true", dest="show", help="print the block, run nothing")
    args = parser.parse_args()
    found = blocks()
    if args.name not in found or found[args.name][0] != "bash":
        known = ", ".join(name for name, (language, _) in found.items() if language == "bash")
        print(f"expected one of the blocks {known} in {README.name}, got {args.name}", file=sys.stderr)
        return 2
    command = found[args.name][1]
    if args.show:
        print(command)
        return 0
    print(f"$ {command}", flush=True)
    start = time.perf_counter()
    status = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=README.parent, check=False).returncode
    seconds = time.perf_counter() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    scale = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    gigabytes = usage.ru_maxrss * scale / 1e9
    # on stderr: the last lines on stdout stay those of the command
    print(
        f"{args.name}: status {status}, {seconds:.0f} s ({usage.ru_utime + usage.ru_stime:.0f} s of CPU), "
        f"largest process {gigabytes:.2f} GB",
        file=sys.stderr,
        flush=True,
    )
    return status


if __name__ == "__main__":
    sys.exit(main())
