"""People as judges: a page that asks them, and what their answers say."""

from __future__ import annotations

from mi_lightning.report.study.answers import Answers, Key, read_answers, read_key
from mi_lightning.report.study.judgement import human_judgement, judge_by_people
from mi_lightning.report.study.page import Study, build_study, runs_below
from mi_lightning.report.study.plan import Plan
from mi_lightning.report.study.table import human_table

__all__ = [
    "Answers",
    "Key",
    "Plan",
    "Study",
    "build_study",
    "human_judgement",
    "human_table",
    "judge_by_people",
    "read_answers",
    "read_key",
    "runs_below",
]
