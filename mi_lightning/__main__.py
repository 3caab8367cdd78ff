"""``python -m mi_lightning``: the command line."""

from __future__ import annotations

from mi_lightning.cli.main import main

if __name__ == "__main__":
    main()
