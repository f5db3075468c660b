"""A timerfd loop that does nothing else: how late this machine wakes anybody on the load's CPU. Linux.

`python -m yapbench.calibrate.bare CPU` until its stdin closes; both this process and its owner's side live here.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from yapbench.pacing.timer import new_timer, set_timer

TICK_NS: Final = 5_000_000


@dataclass(frozen=True)
class Ticks:
    """When the loop was to be woken, and how much later it was; ns, one of each for each tick."""

    due_ns: Sequence[int] = ()
    late_ns: Sequence[int] = ()


class Bare:
    """Runs the loop in a process of its own on one CPU while the block lasts; `ticks()` afterwards."""

    def __init__(self, cpu: int) -> None:
        self._cpu = cpu
        self._said: list[int] = []
        self._process: subprocess.Popen[str] | None = None

    def ticks(self) -> Ticks:
        """Every tick of the block."""
        return Ticks(self._said[::2], self._said[1::2])

    def __enter__(self) -> Self:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, "-m", __name__, str(self._cpu)], **pipes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        said, _ = self._process.communicate()
        self._said = json.loads(said or "[]")


def main() -> None:
    """Wait for the timer and nothing else, until stdin closes; then print due time and lateness of each tick."""
    os.sched_setaffinity(0, [int(sys.argv[1])])
    timer, woken = new_timer(), array("q")
    due_ns = time.monotonic_ns() + TICK_NS
    while True:
        set_timer(timer, due_ns)
        readable, _, _ = select.select([timer, 0], [], [])
        if 0 in readable:
            break
        woken.extend((due_ns, time.monotonic_ns() - due_ns))
        due_ns += TICK_NS  # none is left out: a standstill makes all late that were due in it, here as with frames
    print(json.dumps(woken.tolist()))


if __name__ == "__main__":
    main()
