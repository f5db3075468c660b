"""Where a server process stands: starting, ready, draining; and how much is running in it."""

from __future__ import annotations

import time


class Lifecycle:
    """One per app. Changed only on the event loop (or by a signal handler of its thread)."""

    def __init__(self) -> None:
        self.ready = False
        """The model is loaded and warm."""
        self.in_flight = 0
        """Requests and WebSocket sessions running now, health routes not counted."""
        self.started_s = time.monotonic()
        self._drain_started_s: float | None = None

    @property
    def draining(self) -> bool:
        """SIGTERM came: nothing new is taken."""
        return self._drain_started_s is not None

    @property
    def serving(self) -> bool:
        """What /ready says."""
        return self.ready and not self.draining

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self.started_s

    def mark_ready(self) -> None:
        self.ready = True

    def begin_drain(self) -> None:
        """Take nothing new from now on. Calling it again changes nothing."""
        if self._drain_started_s is None:
            self._drain_started_s = time.monotonic()

    def drained(self, *, timeout_s: float) -> bool:
        """Draining, and either nothing runs any more or the time for it is over."""
        if self._drain_started_s is None:
            return False
        return self.in_flight == 0 or time.monotonic() - self._drain_started_s >= timeout_s
