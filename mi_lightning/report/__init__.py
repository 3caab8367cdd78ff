"""What is left of an attack: its files, the page for people, and the table for the terminal."""

from __future__ import annotations

from mi_lightning.report.page import build_report
from mi_lightning.report.results import RunResults, read_results
from mi_lightning.report.table import summary_table
from mi_lightning.report.writing import write_part, write_results

__all__ = ["RunResults", "build_report", "read_results", "summary_table", "write_part", "write_results"]
