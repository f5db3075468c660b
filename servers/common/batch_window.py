"""When a batch starts: pure decisions on stamps, no clock, no queue, no loop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CloseReason(StrEnum):
    """Why a batch started when it did."""

    FULL = "full"
    """The largest bucket was reached."""
    GAP = "gap"
    """Arrivals paused."""
    CAP = "cap"
    """It had been open for the whole window."""
    NO_WAIT = "no_wait"
    """The window is 0."""
    DRAIN = "drain"
    """The server is going away."""


@dataclass(frozen=True, kw_only=True)
class BatchWindow:
    """The window that opens when an item waits and a worker is free. Stamps are seconds of one clock."""

    buckets: tuple[int, ...]
    """Batch sizes, ascending; the last one is the largest batch."""
    window_ms: float
    """The cap: how long it stays open at most. 0 = nobody waits while a worker is free."""
    idle_gap_ms: float
    """The batch also closes after so long without an arrival. 0 = always wait for the cap."""

    def __post_init__(self) -> None:
        ascending = list(self.buckets) == sorted(set(self.buckets))
        if not self.buckets or self.buckets[0] < 1 or not ascending:
            raise ValueError(f"buckets must be ascending whole numbers from 1 on, not {self.buckets}")
        if self.window_ms < 0 or self.idle_gap_ms < 0:
            raise ValueError("window_ms and idle_gap_ms must not be negative")

    @property
    def largest(self) -> int:
        """The most items one batch takes."""
        return self.buckets[-1]

    def bucket_for(self, depth: int) -> int:
        """The smallest bucket that holds `depth` items; the largest one if none does."""
        return next((bucket for bucket in self.buckets if bucket >= depth), self.largest)

    def wake_s(self, *, opened_s: float, last_s: float, more_coming: bool = False) -> float:
        """When time alone closes a window opened at `opened_s` whose last arrival was at `last_s`.

        `more_coming`: another item is on its way already; no pause in arrivals then, only the cap.
        """
        cap_s = opened_s + self.window_ms / 1000
        is_cap_only = more_coming or not self.idle_gap_ms
        return cap_s if is_cap_only else min(cap_s, last_s + self.idle_gap_ms / 1000)

    def close(
        self, *, now_s: float, opened_s: float, last_s: float, depth: int, more_coming: bool = False
    ) -> CloseReason | None:
        """Why the window is closed now, or None while it stays open."""
        if depth >= self.largest:
            return CloseReason.FULL
        if self.window_ms == 0:
            return CloseReason.NO_WAIT
        if now_s < self.wake_s(opened_s=opened_s, last_s=last_s, more_coming=more_coming):
            return None
        return CloseReason.CAP if now_s >= opened_s + self.window_ms / 1000 else CloseReason.GAP
