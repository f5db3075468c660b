"""Machine samples over a span of time: how much a counter gained, how high a gauge stood.

Knows the columns of `schema.MACHINE`; does not know what a load level is. A span that the samples do not cover has
no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

REACH_S: Final = 1.0
"""The nearest sample may lie so far outside of a span's end, or inside of it."""

Series = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Times (ns, ascending, shape (n,)) and values (n,)."""

_NONE: Final[Series] = (np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class Samples:
    """All samples of a trial, by source and metric."""

    by_name: Mapping[tuple[str, str], Series]

    @classmethod
    def of(cls, machine: pd.DataFrame) -> Self:
        """Sort a frame with the columns of `schema.MACHINE` into series."""
        found = {}
        for (source, metric), rows in machine.groupby(["source", "metric"], sort=True):
            at = rows["at_ns"].to_numpy(dtype=np.int64)
            order = np.argsort(at, kind="stable")
            found[str(source), str(metric)] = at[order], rows["value"].to_numpy(dtype=np.float64)[order]
        return cls(found)

    def series(self, source: str, metric: str) -> Series:
        """One metric of one source; empty where there is none."""
        return self.by_name.get((source, metric), _NONE)

    def sources(self, prefix: str) -> list[str]:
        """Names of the sources that begin with `prefix`, sorted."""
        return sorted({source for source, _ in self.by_name if source.startswith(prefix)})

    def gain(self, source: str, metric: str, *, start_ns: int, end_ns: int) -> float | None:
        """By how much a cumulative counter rose from `start_ns` to `end_ns`, linear between samples.

        None when the samples do not reach both ends, or when the counter fell: its process was replaced.
        """
        at, values = self.series(source, metric)
        if at.size < 2 or end_ns <= start_ns:
            return None
        reach_ns = REACH_S * 1e9
        if at[0] > start_ns + reach_ns or at[-1] < end_ns - reach_ns or end_ns <= at[0]:
            return None
        first, last = np.searchsorted(at, start_ns, side="right") - 1, np.searchsorted(at, end_ns)
        if np.any(np.diff(values[max(0, first) : last + 1]) < 0):
            return None
        covered_ns = min(end_ns, int(at[-1])) - max(start_ns, int(at[0]))
        if covered_ns <= 0:
            return None
        begin, end = np.interp([start_ns, end_ns], at, values)
        return float(end - begin) * (end_ns - start_ns) / covered_ns

    def within(self, source: str, metric: str, *, start_ns: int, end_ns: int) -> NDArray[np.float64]:
        """Values of a gauge inside of the span, shape (n,)."""
        at, values = self.series(source, metric)
        return values[(at >= start_ns) & (at <= end_ns)]
