"""Prometheus numbers of one app, in a registry of its own so that two apps in a process do not collide."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
LATENCY_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Makes metrics named `<server>_<name>` and renders them. Counts every answered request itself."""

    def __init__(self, server: str) -> None:
        self.registry = CollectorRegistry()
        self._prefix = server
        self._requests = self.counter("requests", "Answered requests and ended sessions", ["route", "status"])
        self._seconds = self.histogram("request_seconds", "Time from head of request to end of answer", ["route"])

    def counter(self, name: str, help: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"{self._prefix}_{name}", help, labels, registry=self.registry)

    def gauge(self, name: str, help: str, *, read: Callable[[], float] | None = None) -> Gauge:
        """A level; with `read` it is asked for whenever /metrics is."""
        gauge = Gauge(f"{self._prefix}_{name}", help, registry=self.registry)
        if read is not None:
            gauge.set_function(read)
        return gauge

    def histogram(
        self,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] = LATENCY_BUCKETS_S,
    ) -> Histogram:
        return Histogram(f"{self._prefix}_{name}", help, labels, buckets=tuple(buckets), registry=self.registry)

    def observe_request(self, *, route: str, status: int, seconds: float) -> None:
        """Called once per request by the edge. `status` is a close code where it was a WebSocket."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
