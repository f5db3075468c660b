"""Appends what happened to each request as JSON lines, from a thread of its own: a slow disk delays nobody.

Times are CLOCK_MONOTONIC seconds; the first line carries the boot id and one pair of monotonic and wall time,
so that a harness on the same host can join them with its own stamps. Knows no route and no model.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from pathlib import Path

from servers.common.errors import StartupRefused

_log = logging.getLogger("servers.trace")
FLUSH_EVERY_S = 0.05
QUEUE_LIMIT = 20_000


class LineFile:
    """Rows waiting for the disk, at most `limit` of them; what finds no room is counted as dropped, and said.

    `add` never blocks and may be called from any thread. After `close` nothing is added.
    """

    def __init__(self, path: Path, *, limit: int = QUEUE_LIMIT) -> None:
        """Opens `path` for appending; raises StartupRefused when that fails."""
        self.dropped = 0
        self.written = 0
        self._limit = limit
        self._rows: deque[dict[str, object]] = deque()
        self._dropping = threading.Lock()
        try:
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise StartupRefused(f"cannot write {path}: {error.strerror}") from error
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_until_closed, name="lines", daemon=True)
        self._thread.start()

    def add(self, row: dict[str, object]) -> None:
        if len(self._rows) >= self._limit or self._stop.is_set():
            self._drop(1)
            return
        self._rows.append(row)

    def close(self) -> None:
        """Write what waits, then a last line with the counts."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()

    def _drop(self, count: int) -> None:
        with self._dropping:
            self.dropped += count

    def _write_until_closed(self) -> None:
        with self._file:
            while not self._stop.wait(FLUSH_EVERY_S):
                self._write_waiting()
            self._write_waiting()
            self._write([{"event": "closed", "written": self.written, "dropped": self.dropped}])

    def _write_waiting(self) -> None:
        rows = [self._rows.popleft() for _ in range(len(self._rows))]
        if rows and self._write(rows):
            self.written += len(rows)

    def _write(self, rows: list[dict[str, object]]) -> bool:
        try:
            left = memoryview("".join(_line(row) for row in rows).encode())
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._drop(len(rows))
            _log.warning("cannot write %s: %s", self._file.name, error.strerror)
            return False
        return True


class Trace:
    """The spans of one server process; without a path it is switched off and costs a comparison."""

    def __init__(self, path: Path | None, *, server: str, limit: int = QUEUE_LIMIT) -> None:
        self._lines = LineFile(path, limit=limit) if path else None
        if self._lines:
            self._lines.add(header(server))

    @property
    def enabled(self) -> bool:
        return self._lines is not None

    @property
    def dropped(self) -> int:
        """Rows that found no room or could not be written."""
        return self._lines.dropped if self._lines else 0

    def note(self, event: str, *, request_id: str, at_s: float | None = None, **facts: object) -> None:
        """One stamp: `received`, `queued`, `step_start`, `step_end`, `sent`; facts: batch_size, slot ...

        `at_s` is a `time.monotonic()` taken earlier; without it, now.
        """
        if self._lines:
            at_s = time.monotonic() if at_s is None else at_s
            self._lines.add({"at_s": at_s, "event": event, "request_id": request_id, **facts})

    def close(self) -> None:
        if self._lines:
            self._lines.close()


def header(server: str) -> dict[str, object]:
    """The line that ties the monotonic times after it to this boot and to the wall clock (seconds)."""
    return {
        "event": "opened",
        "schema": 1,
        "server": server,
        "pid": os.getpid(),
        "clock": "CLOCK_MONOTONIC",
        "boot_id": _boot_id(),
        "monotonic_s": time.monotonic(),
        "wall_s": time.time(),
    }


def _line(row: dict[str, object]) -> str:
    return json.dumps(row, separators=(",", ":"), default=str) + "\n"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
