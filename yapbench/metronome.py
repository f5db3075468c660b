"""A bare timer loop beside the load: tells a machine that stood still from a client that was late.

`python -m yapbench.metronome` wakes every 5 ms and remembers when it was woken late; it ends when its stdin is closed
and then prints what it remembered. Both this process and its owner's side live here. Knows nothing of servers or loads.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

PERIOD_NS: Final = 5_000_000
STALL_NS: Final = 5_000_000
"""Woken later than this, the machine stood still; below it is ordinary scheduling."""


class Metronome:
    """Runs the loop in a process of its own while a load is on; `rows()` afterwards."""

    def __init__(self) -> None:
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
        command = [sys.executable, "-I", str(Path(__file__).resolve())]
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


if __name__ == "__main__":
    json.dump(listen(sys.stdin.fileno()), sys.stdout)
