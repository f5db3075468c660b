"""Bare timer loops beside the load: they tell a machine that stood still from a client that was late.

One thread for each CPU that the load may use wakes there every 10 ms and remembers when it was woken late: a virtual
machine often loses one of its processors only. The process ends when its stdin is closed and then prints what it
remembered. Both this process and its owner's side live here. Knows nothing of servers or loads.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PERIOD_NS: Final = 10_000_000
STALL_NS: Final = 5_000_000
"""Woken later than this, the machine stood still; below it is ordinary scheduling."""


class Metronome:
    """Runs the loops in a process of its own while a load is on; `rows()` afterwards.

    `cpus`: those of the load process; None: all that this process may use.
    """

    def __init__(self, cpus: Sequence[int] | None = None) -> None:
        self._cpus = cpus
        self._stalls: list[tuple[int, int]] = []
        self._process: subprocess.Popen[str] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Rows of schema.MACHINE: source "machine", metric "stall_ns", at the end of each stall."""
        from yapbench.schema import SCHEMA_VERSION  # not at the top: the loop's process must stay light

        return [
            {"schema_version": SCHEMA_VERSION, "at_ns": at, "source": "machine", "metric": "stall_ns", "value": late}
            for at, late in self._stalls
        ]

    def __enter__(self) -> Self:
        # -I and a file instead of -m: neither site packages nor the package's imports are wanted here.
        words = [str(cpu) for cpu in self._cpus or ()]
        command = [sys.executable, "-I", str(Path(__file__).resolve()), *words]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        said, _ = self._process.communicate()
        self._stalls = [(int(at), int(late)) for at, late in json.loads(said or "[]")]


def listen(descriptor: int) -> list[tuple[int, int]]:
    """(woken at, by how much too late) in ns, for each late waking until `descriptor` reads as closed."""
    stalls: list[tuple[int, int]] = []
    due_ns = time.monotonic_ns() + PERIOD_NS
    while True:
        left_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
        if select.select([descriptor], [], [], left_s)[0] and not os.read(descriptor, 1):
            return stalls
        now_ns = time.monotonic_ns()
        if now_ns < due_ns:
            continue
        if now_ns - due_ns > STALL_NS:
            stalls.append((now_ns, now_ns - due_ns))
        due_ns = now_ns + PERIOD_NS


def listen_on(cpus: Sequence[int], descriptor: int) -> list[tuple[int, int]]:
    """`listen` on each of the CPUs at once, in threads that are pinned there; all stalls, by time."""
    found: list[tuple[int, int]] = []

    def one(cpu: int) -> None:
        os.sched_setaffinity(0, [cpu])  # on Linux, of this thread alone
        found.extend(listen(descriptor))

    threads = [threading.Thread(target=one, args=[cpu]) for cpu in cpus]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def main(words: Sequence[str]) -> None:
    """Listen on the CPUs named, else on all this process may use; where pinning is unknown, wherever it is put."""
    descriptor = sys.stdin.fileno()
    if sys.platform != "linux":
        json.dump(listen(descriptor), sys.stdout)
        return
    cpus = [int(word) for word in words] or sorted(os.sched_getaffinity(0))
    json.dump(listen_on(cpus, descriptor), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
