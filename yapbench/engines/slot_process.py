"""A process for each slot of this machine, which runs one job after another; one that dies is made again.

No process of a slot outlives the sweep, however that ends.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from typing import Any

from yapbench.engines import attempts
from yapbench.engines.job import ATTEMPTS, Done, Job, Running
from yapbench.engines.papermill_run import run_job
from yapbench.engines.slots import Slot


class SlotProcess:
    """One slot's process, with the job it has."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.current: Running | None = None
        self.tries = 0
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        # From the main thread: the process dies with the thread that made it (PDEATHSIG).
        self.process = context.Process(target=_work, args=(self.slot, theirs, os.getpid()), daemon=False)
        self.process.start()
        theirs.close()

    def give(self, job: Job, *, tries: int) -> None:
        """Let it run a job; `tries` counts this one."""
        self.tries = tries
        self.current = Running(job, self.slot.words, time.monotonic())
        self.pipe.send(job)

    def take(self) -> Done | None:
        """How its job ended; None when the process was lost, and is there again."""
        try:
            found: Done = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self.process.join()
            self.pipe.close()
            self._start()
            return None
        return replace(found, where=self.slot.words)

    def stop(self) -> None:
        """End it. A kernel that it had ends when it sees that, its server with it."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


def run(slots: Sequence[Slot], jobs: Sequence[Job], shown: list[Running]) -> Iterator[Done]:
    """Yield each job's end; `shown` always holds what runs. A job whose process is lost is given ATTEMPTS tries."""
    waiting: deque[tuple[Job, int]] = deque((job, 1) for job in jobs)
    workers = [SlotProcess(slot) for slot in slots[: len(jobs)]]
    try:
        while waiting or any(worker.current for worker in workers):
            for worker in workers:
                if worker.current is None and waiting:
                    job, tries = waiting.popleft()
                    if tries == 1:
                        attempts.forget(job.folder)
                    worker.give(job, tries=tries)
            shown[:] = [worker.current for worker in workers if worker.current]
            ready = wait([worker.pipe for worker in workers if worker.current])
            for worker in [worker for worker in workers if worker.pipe in ready and worker.current]:
                assert worker.current is not None
                job, worker.current = worker.current.job, None
                done = worker.take()
                if done is not None:
                    yield done
                elif worker.tries < ATTEMPTS:
                    waiting.appendleft((job, worker.tries + 1))
                else:
                    yield Done(job, "lost", f"the process that ran papermill was killed {ATTEMPTS} times")
    finally:
        for worker in workers:
            worker.stop()
        shown.clear()


def _work(slot: Slot, pipe: Connection[Any, Any], parent: int) -> None:
    _die_with_parent(parent)
    os.setpgid(0, 0)  # Ctrl-C is the sweep's, which then ends this
    with suppress(EOFError, OSError), slot.entered():
        while True:
            pipe.send(run_job(pipe.recv()))


def _die_with_parent(parent: int) -> None:
    """End this process when the sweep is killed: kernels watch for that, servers hang on their kernel."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)
