"""Times at which the machine itself stood still, and how late something was beyond them. Pure.

A virtual machine can lose all its processors for tens of milliseconds without a word in its steal counter. A bare
timer loop beside the load (metronome.py) sees that; what it saw is not held against the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from yapbench.monitoring.counters import Samples
from yapbench.monitoring.metronome import PERIOD_NS


@dataclass(frozen=True)
class Stalls:
    """Disjoint stretches in which some CPU of the load stood still, ascending; both shape (n,), ns."""

    start_ns: NDArray[np.float64]
    end_ns: NDArray[np.float64]

    @classmethod
    def of(cls, samples: Samples) -> Stalls:
        """From the metronome's rows. The standstill began at most one period before the tick that it delayed."""
        at, late = samples.series("machine", "stall_ns")
        merged: list[list[float]] = []
        for start, end in sorted(zip(at - late - PERIOD_NS, at, strict=True)):
            if merged and start <= merged[-1][1]:
                merged[-1][1] = max(merged[-1][1], end)
            else:
                merged.append([start, end])
        starts, ends = np.array(merged, dtype=np.float64).reshape(-1, 2).T
        return cls(starts, ends)

    def within(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """Length in ns of each stall that touches one of the spans, cut at the span's ends."""
        cut = [np.minimum(self.end_ns, end) - np.maximum(self.start_ns, start) for start, end in spans]
        lengths = np.concatenate(cut) if cut else np.empty(0)
        return lengths[lengths > 0]

    def beyond(self, due_ns: ArrayLike, late_ns: ArrayLike) -> NDArray[np.float64]:
        """Lateness that is left of each `late_ns` when the stalls between due and done are taken out; >= 0."""
        due, late = np.asarray(due_ns, dtype=np.float64), np.asarray(late_ns, dtype=np.float64)
        return np.maximum(0.0, late - (self._before(due + late) - self._before(due)))

    def _before(self, at_ns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Total standstill before each instant."""
        if not self.end_ns.size:
            return np.zeros_like(at_ns)
        lengths = self.end_ns - self.start_ns
        total = np.concatenate([[0.0], np.cumsum(lengths)])
        index = np.searchsorted(self.start_ns, at_ns, side="right")
        last = np.maximum(index - 1, 0)
        running = np.minimum(at_ns, self.end_ns[last]) - self.start_ns[last]
        return np.where(index > 0, total[last] + running, 0.0)
