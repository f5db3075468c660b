"""The numbers of all sessions, for /metrics. What happens inside an utterance is counted where it happens."""

from __future__ import annotations

import time

from servers.common.metrics import Metrics
from servers.voxtral.faults import WireFault
from servers.voxtral.session.turn import Turn

WAIT_BUCKETS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Meters:
    """One per app."""

    def __init__(self, metrics: Metrics) -> None:
        self._refused = metrics.counter("refused", "Connections that became no session", ["reason"])
        self._errors = metrics.counter("errors", "Error messages to clients", ["reason_code"])
        self._ended = metrics.counter("sessions_ended", "Sessions that are over", ["reason"])
        self._dropped = metrics.counter("held_dropped_seconds", "Audio that waited for a start and had to go")
        self._stale = metrics.counter("slow_readers", "Clients that were given up because they read nothing")
        self._first_delta = metrics.histogram(
            "first_delta_seconds", "From an utterance's first audio to its first delta", buckets=WAIT_BUCKETS_S
        )
        self._final_to_done = metrics.histogram(
            "final_to_done_seconds", "From an utterance's final to its done", buckets=WAIT_BUCKETS_S
        )
        self._deltas = self._empty = 0
        metrics.gauge("deltas", "Deltas told, since the start", read=lambda: self._deltas)
        metrics.gauge("empty_delta_ratio", "Share of them that were empty", read=lambda: self.empty_ratio)

    @property
    def empty_ratio(self) -> float:
        return self._empty / self._deltas if self._deltas else 0.0

    def count_refused(self, fault: WireFault) -> None:
        self._refused.labels(fault.reason_code).inc()

    def count_error(self, fault: WireFault) -> None:
        self._errors.labels(fault.reason_code).inc()

    def count_ended(self, reason: str) -> None:
        self._ended.labels(reason).inc()

    def count_dropped(self, seconds: float) -> None:
        self._dropped.inc(seconds)

    def count_slow_reader(self) -> None:
        self._stale.inc()

    def fed(self, turn: Turn) -> None:
        if turn.fed_s is None:
            turn.fed_s = time.monotonic()

    def finished(self, turn: Turn) -> None:
        turn.finished_s = time.monotonic()

    def delta(self, turn: Turn, text: str) -> None:
        self._deltas += 1
        self._empty += not text
        if not turn.has_delta:
            turn.has_delta = True
            if turn.fed_s is not None:
                self._first_delta.observe(time.monotonic() - turn.fed_s)

    def done(self, turn: Turn) -> None:
        if turn.finished_s is not None:
            self._final_to_done.observe(time.monotonic() - turn.finished_s)
