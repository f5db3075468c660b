"""What a killed run leaves for a few seconds: kernels and servers that are still ending when the next run could begin.

Every process of a run carries a mark with its slot and its owner; the next run in that slot waits for those whose owner
is gone, so that no two are ever on one GPU.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from servers.common.supervise import ProcessId
from yapbench.process import SLOT_MARK

_ENDING_S = 15.0
"""A server's grace, its guard's and its keeper's; what is there longer is killed."""


def mark(gpus: str) -> str:
    """The value of SLOT_MARK for what this process starts in a slot; "" where there is no /proc to tell by."""
    with suppress(OSError):
        me = ProcessId.me()
        return f"{gpus}@{me.pid}:{me.start_ticks}"
    return ""


def wait_until_gone(gpus: str) -> None:
    """Return when nothing is left of earlier runs in this slot whose owner is gone."""
    deadline_s = time.monotonic() + _ENDING_S
    while left := list(_left(gpus)):
        if time.monotonic() > deadline_s:
            for process in left:
                process.signal(signal.SIGKILL)
        time.sleep(0.1)


def _left(gpus: str) -> Iterator[ProcessId]:
    wanted = f"{SLOT_MARK}={gpus}@".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError, ValueError):
            found = [entry for entry in path.read_bytes().split(b"\0") if entry.startswith(wanted)]
            if found:
                pid, ticks = found[0].removeprefix(wanted).split(b":")
                process = ProcessId.of(int(path.parent.name))
                if process is not None and not ProcessId(int(pid), int(ticks)).alive():
                    yield process
