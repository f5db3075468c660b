"""How busy the load's CPU is, whoever keeps it so: samples in a thread of ours, as MACHINE rows. Linux."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from yapbench.schema import SCHEMA_VERSION

SOURCE: Final = "load_cpu"
BUSY: Final = "busy_s"
_INTERVAL_S: Final = 0.1


def busy_s(cpu: int, stat: str) -> float:
    """Seconds since boot in which `cpu` ran processes: user, nice and system of its line in /proc/stat.

    Interrupts are left out: those of our own packets belong to nobody else.
    """
    for line in stat.splitlines():
        name, *ticks = line.split()
        if name == f"cpu{cpu}":
            return sum(int(value) for value in ticks[:3]) / os.sysconf("SC_CLK_TCK")
    raise ValueError(f"/proc/stat does not know cpu{cpu}")


class Watch:
    """Samples one CPU's `busy_s` while the block lasts."""

    def __init__(self, cpu: int) -> None:
        self._cpu = cpu
        self._rows: list[dict[str, Any]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def rows(self) -> list[dict[str, Any]]:
        """Cumulative seconds, source "load_cpu"."""
        return list(self._rows)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            at_ns = time.monotonic_ns()
            value = busy_s(self._cpu, Path("/proc/stat").read_text(encoding="ascii"))
            base = {"schema_version": SCHEMA_VERSION, "at_ns": at_ns, "source": SOURCE}
            self._rows.append({**base, "metric": BUSY, "value": value})
            if self._stop.wait(_INTERVAL_S):
                return
