"""Several jobs at once, each in a process of its own that goes on to the next: packages are imported once a process."""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from mi_lightning.errors import InputError, root_error

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def threads_each(count: int) -> int:
    """Threads for each of so many processes: together no more than cores, and no more than ``OMP_NUM_THREADS`` says."""
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(cores() // count, int(limit) if limit.isdecimal() else cores()))


@dataclass(frozen=True)
class Job:
    """A call.

    Attributes:
        function: ``module:name`` of a function of one JSON object that returns one.
        argument: What it is given.
        log: File that takes what it prints.
    """

    function: str
    argument: Mapping[str, Any]
    log: Path


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        place: Its place among the jobs.
        value: What the function returned; None if it failed.
        error: What went wrong, in one line; empty if nothing did.
    """

    place: int
    value: Any = None
    error: str = ""


class Workers:
    """Processes that do jobs.

    A job that fails, or takes its process down with it, is reported and does not stop the others. When this process
    ends, however it ends, the others do.

    Args:
        count: Processes at once.
        threads: Threads of each, for the arithmetic.
    """

    def __init__(self, *, count: int, threads: int) -> None:
        """Check the numbers; processes are started when there is something to do."""
        if count < 1:
            raise InputError("jobs >= 1", count, "jobs")
        if threads < 1:
            raise InputError("threads >= 1", threads, "threads")
        self.count, self.threads = count, threads
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._closed = False

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Do jobs, begun in their order; outcomes come as they are there. Closing the iterator stops the processes."""
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        for place in range(len(jobs)):
            waiting.put(place)
        minders = [
            threading.Thread(target=self._mind, args=(jobs, waiting, outcomes), daemon=True)
            for _ in range(min(self.count, len(jobs)))
        ]
        try:
            for minder in minders:
                minder.start()
            for _ in jobs:
                yield self._next(outcomes)
        finally:
            self.close()
            for minder in minders:
                minder.join()

    def close(self) -> None:
        """Stop the processes at once, and whatever they have started."""
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        for process in processes:
            _kill(process)

    @staticmethod
    def _next(outcomes: queue.SimpleQueue[Outcome]) -> Outcome:
        """Wait for an outcome; in pieces, since a wait without end keeps some systems from seeing Ctrl-C."""
        while True:
            with suppress(queue.Empty):
                return outcomes.get(timeout=0.5)

    def _mind(self, jobs: Sequence[Job], waiting: queue.SimpleQueue[int], outcomes: queue.SimpleQueue[Outcome]) -> None:
        """Give one job after the other to a process; to a new one if it has died."""
        process: subprocess.Popen[str] | None = None
        while not self._closed:
            try:
                place = waiting.get_nowait()
            except queue.Empty:
                break
            if process is None:
                process = self._start()
            if process is None:
                break  # closed in the meantime
            answer = _ask(process, jobs[place])
            if answer is None:
                ended = process.wait()
                self._forget(process)
                process = None
                outcomes.put(Outcome(place, error=_died(ended)))
            else:
                outcomes.put(Outcome(place, answer.get("value"), answer.get("error", "")))
        if process is not None:
            _kill(process)
            self._forget(process)

    def _start(self) -> subprocess.Popen[str] | None:
        """Start a process that waits for jobs."""
        # threads that spin while they wait keep the cores from the other processes (`cli.main.sleep_while_waiting`)
        environment = {"OMP_WAIT_POLICY": "passive", **os.environ, **dict.fromkeys(_THREADS, str(self.threads))}
        # what can be imported here can be imported there
        environment["PYTHONPATH"] = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        with self._lock:
            if self._closed:
                return None
            process = subprocess.Popen(
                # -P: nothing is imported from the working folder unasked
                [sys.executable, "-P", "-m", "mi_lightning.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
                start_new_session=True,  # Ctrl-C is for this process, which stops the others itself
            )
            self._processes.add(process)
        return process

    def _forget(self, process: subprocess.Popen[str]) -> None:
        """Let go of a process that has ended."""
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was not yet written to a dead process
                    pipe.close()
        with self._lock:
            self._processes.discard(process)


def _ask(process: subprocess.Popen[str], job: Job) -> dict[str, Any] | None:
    """Hand a job over and wait for the answer; None if the process ended without one."""
    if process.stdin is None or process.stdout is None:
        return None
    question = {"function": job.function, "argument": job.argument, "log": str(job.log)}
    try:
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        answer: dict[str, Any] = json.loads(line)
    except (OSError, ValueError):
        return None
    return answer


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process and those that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _died(status: int) -> str:
    if status < 0:
        name = signal.Signals(-status).name
        return f"its process was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
    return f"its process ended with status {status}"


def serve() -> None:
    """Do the jobs that come as lines of JSON on the standard input, until it ends."""
    with os.fdopen(os.dup(1), "w") as channel:  # the standard output itself goes to the log of each job
        questions: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

        def listen() -> None:
            for line in sys.stdin:
                questions.put(json.loads(line))
            os._exit(0)  # whoever asked has gone: in the middle of a job, too

        threading.Thread(target=listen, daemon=True).start()
        while True:
            question = questions.get()
            channel.write(json.dumps(_do(question)) + "\n")
            channel.flush()


def _do(question: Mapping[str, Any]) -> dict[str, Any]:
    """Do a job with its output in its log."""
    module, _, name = str(question["function"]).partition(":")
    with Path(question["log"]).open("w", encoding="utf-8") as log:
        _redirect(log)
        try:
            return {"value": getattr(importlib.import_module(module), name)(question["argument"])}
        except (Exception, SystemExit) as error:  # noqa: BLE001  # told to whoever asked
            import traceback

            traceback.print_exc()
            return {"error": _one_line(error)}
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def _redirect(log: TextIO) -> None:
    """Let the standard output and errors of this process end in a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    for descriptor in (1, 2):
        os.dup2(log.fileno(), descriptor)


def _one_line(error: BaseException) -> str:
    """What went wrong in one line: our own errors as they are, others with their class."""
    found = root_error(error)
    return str(found) if found is not None else f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    serve()
