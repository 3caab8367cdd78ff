"""What a sweep found: its numbers, its files, its page, and the table for the terminal."""

from __future__ import annotations

from mi_lightning.report.sweep.files import write_sweep
from mi_lightning.report.sweep.plan import SweepPlan, SweepRun, read_run, write_utility
from mi_lightning.report.sweep.points import series_of
from mi_lightning.report.sweep.table import sweep_table

__all__ = ["SweepPlan", "SweepRun", "read_run", "series_of", "sweep_table", "write_sweep", "write_utility"]
