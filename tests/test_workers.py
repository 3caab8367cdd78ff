"""Processes that do jobs: order, failures, deaths, and no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mi_lightning.errors import InputError
from mi_lightning.workers import Job, Workers, threads_each

ROOT = Path(__file__).parent.parent


@pytest.fixture
def jobs(tmp_path):
    def make(*calls):
        return [Job(function, argument, tmp_path / f"{place}.log") for place, (function, argument) in enumerate(calls)]

    return make


def test_jobs_run_in_order_and_failures_do_not_stop_them(jobs):
    done = jobs(
        ("math:factorial", 5),
        ("math:sqrt", -1),
        ("os:getpid", []),  # takes no argument
        ("os:_exit", 3),
        ("json:dumps", {"a": 1}),
        ("os:abort", 0),
        ("math:nothing", 0),
    )
    outcomes = list(Workers(count=1, threads=1).run(done))
    assert [outcome.place for outcome in outcomes] == list(range(7))
    assert [outcome.value for outcome in outcomes] == [120, None, None, None, '{"a": 1}', None, None]
    errors = [outcome.error for outcome in outcomes]
    assert errors[0] == errors[4] == ""
    assert errors[1].startswith("ValueError: ")
    assert errors[2].startswith("TypeError: ")
    assert errors[3] == "its process ended with status 3"
    assert errors[5].startswith(("TypeError", "its process was ended by SIGABRT"))
    assert errors[6].startswith("AttributeError: ")
    assert "Traceback" in done[1].log.read_text()


def test_what_a_job_prints_goes_to_its_log(jobs):
    done = jobs(("builtins:print", {"hello": 1}), ("os:system", "echo from below; echo and here >&2"))
    assert [outcome.value for outcome in Workers(count=1, threads=1).run(done)] == [None, 0]
    assert done[0].log.read_text() == "{'hello': 1}\n"
    assert done[1].log.read_text() == "from below\nand here\n"


def test_threads_are_limited_and_modules_are_found(jobs, monkeypatch, tmp_path):
    (tmp_path / "mine.py").write_text("import os\ndef threads(name): return os.environ[name]\n")
    monkeypatch.syspath_prepend(tmp_path)
    done = jobs(*[("mine:threads", name) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")])
    assert [outcome.value for outcome in Workers(count=1, threads=3).run(done)] == ["3", "3"]


def test_several_at_once(jobs):
    start = time.perf_counter()
    assert len(list(Workers(count=3, threads=1).run(jobs(*[("time:sleep", 1.5)] * 3)))) == 3
    assert time.perf_counter() - start < 4.4  # one after the other: at least 4.5


def test_leaving_early_stops_the_processes(jobs):
    running = Workers(count=2, threads=1).run(jobs(("builtins:abs", -1), ("time:sleep", 600), ("time:sleep", 600)))
    assert next(running).value == 1
    start = time.perf_counter()
    running.close()
    assert time.perf_counter() - start < 30


def test_no_process_outlives_a_killed_parent(tmp_path):
    script = f"""
from pathlib import Path
from mi_lightning.workers import Job, Workers
run = Workers(count=1, threads=1).run(
    [Job("os:getpgid", 0, Path({str(tmp_path / "a")!r})), Job("time:sleep", 600, Path({str(tmp_path / "b")!r}))])
print(next(run).value, flush=True)
next(run)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    worker = int(parent.stdout.readline())  # the leader of its own group
    os.kill(worker, 0)  # it is there
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    deadline = time.monotonic() + 30
    while (there := _runs(worker)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not there


def _runs(process):
    """Whether a process is there, and has not ended and waits for somebody to ask."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")
    return not (stat.exists() and ") Z " in stat.read_text())


def test_threads_share_the_cores(monkeypatch):
    monkeypatch.setattr("mi_lightning.workers.cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [threads_each(count) for count in (1, 2, 3, 8, 20)] == [8, 4, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [threads_each(count) for count in (1, 2, 8)] == [2, 2, 1]


@pytest.mark.parametrize(("numbers", "message"), [((0, 1), "jobs >= 1, got 0"), ((1, 0), "threads >= 1, got 0")])
def test_numbers_below_one(numbers, message):
    with pytest.raises(InputError, match=message):
        Workers(count=numbers[0], threads=numbers[1])
