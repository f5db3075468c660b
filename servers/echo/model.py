"""A queue of known capacity in place of a model: FIFO, `workers` servers, one service time for all (M/D/c).

Pure: it is told the time and answers when a job will be done, so its capacity is `workers / service_s`
exactly, whatever the event loop does.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass

from servers.common.errors import Overloaded


@dataclass(frozen=True)
class Turn:
    """When a job is worked on, on the clock that `FixedQueue.admit` was given (seconds)."""

    arrived_s: float
    started_s: float
    finished_s: float

    @property
    def queue_s(self) -> float:
        return self.started_s - self.arrived_s


class FixedQueue:
    """Gives each job its turn on arrival. An abandoned job still uses its turn, as on real hardware."""

    def __init__(self, *, service_s: float, workers: int, limit: int) -> None:
        self._service_s, self._workers, self._limit = service_s, workers, limit
        self._free_at_s = [float("-inf")] * workers
        self._starts_s: deque[float] = deque()

    @property
    def capacity_per_s(self) -> float:
        """Jobs per second that it can finish; infinite when switched off."""
        return self._workers / self._service_s if self._service_s else float("inf")

    def depth(self, now_s: float) -> int:
        """How many wait for a worker."""
        while self._starts_s and self._starts_s[0] <= now_s:
            self._starts_s.popleft()
        return len(self._starts_s)

    def admit(self, now_s: float) -> Turn:
        """The turn of a job that arrives now; raises Overloaded when it would wait behind `limit` others.

        Times must not go backwards from call to call.
        """
        if not self._service_s:
            return Turn(now_s, now_s, now_s)
        started_s = max(now_s, self._free_at_s[0])
        if started_s > now_s and self.depth(now_s) >= self._limit:
            raise Overloaded(
                "the queue is full",
                retry_after_s=self._free_at_s[0] - now_s,
                field="queue_limit",
                limit=self._limit,
            )
        finished_s = started_s + self._service_s
        heapq.heapreplace(self._free_at_s, finished_s)
        if started_s > now_s:
            self._starts_s.append(started_s)
        return Turn(now_s, started_s, finished_s)
