"""All probes of one level together: its tail with bounds, and why a single look says that it misses the target.

Knows observations and options; knows no other level.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from yapbench import stats
from yapbench.capacity.observation import Heard, Observation
from yapbench.capacity.options import SearchOptions
from yapbench.stats import Estimate, Resample

KEEPS_UP_RTF: Final = 1.05
MOST_THROWN: Final = 2
"""After so many probes that were thrown away a level is left alone."""


@dataclass(frozen=True, eq=False)
class Level:
    """One number of streams, with the probes of it that may be believed and those that may not."""

    streams: int
    kept: tuple[Observation, ...]
    thrown: tuple[Observation, ...]
    options: SearchOptions

    @property
    def left_alone(self) -> bool:
        """Too many of its probes were thrown away to ask again."""
        return len(self.thrown) >= MOST_THROWN

    @property
    def blocked(self) -> bool:
        """The load generator cannot put this load on."""
        return self.left_alone and not self.kept

    @property
    def n(self) -> int:
        """Counted utterances."""
        return sum(item.n for item in self.kept)

    @cached_property
    def failures(self) -> Mapping[str, int]:
        """By outcome, over all repeats."""
        return dict(sorted(sum((Counter(item.failures) for item in self.kept), Counter[str]()).items()))

    @property
    def failed(self) -> int:
        """Utterances that did not end well."""
        return sum(self.failures.values())

    @cached_property
    def tail_ms(self) -> float | None:
        """The quantile over all repeats, without bounds: what a single look goes by."""
        return quantile(np.concatenate([np.empty(0), *(item.known_ms for item in self.kept)]), self.options.quantile)

    @cached_property
    def tails_ms(self) -> list[float]:
        """The quantile of each repeat that has one."""
        each = [quantile(item.known_ms, self.options.quantile) for item in self.kept]
        return [value for value in each if value is not None]

    @cached_property
    def drawn(self) -> Resample:
        """The bootstrap's weights of the counted utterances of all repeats."""
        repeats = [item.repeat for item in self.kept for _ in item.streams]
        streams = [name for item in self.kept for name in item.streams]
        return Resample.draw(repeats, streams, replicates=self.options.replicates)

    @cached_property
    def tail(self) -> Estimate:
        """The same quantile with its 95 % bounds: those of a report's point over these repeats."""
        found = stats.percentile(self.drawn, self.joined("eos_ms"), self.options.quantile)
        return found if found.value is not None else Estimate.missing(self.reason("no_eos"), n=0)

    @cached_property
    def lag_slope(self) -> Estimate:
        """Mean over utterances of what emission latency gains per second, ms per s."""
        if not any(item.knows_lag for item in self.kept):
            return Estimate.missing(self.reason("no_lag"))
        return self.drawn.estimate(self.joined("lag_slope"), stats.mean)

    @cached_property
    def stream_rtf(self) -> float | None:
        """95 % of the long streams keep within it; None where there is no long one."""
        known = np.array([value for item in self.kept for value in item.stream_rtf], dtype=np.float64)
        return quantile(known[np.isfinite(known)], 0.95)

    @property
    def finished_per_s(self) -> float | None:
        """Mean over repeats."""
        return _mean(item.finished_per_s for item in self.kept)

    @property
    def speech_s(self) -> float | None:
        """Mean over repeats of how long the users speak."""
        return _mean(item.speech_s for item in self.kept)

    @cached_property
    def broken(self) -> str:
        """What no latency would make good, in words; "" where a single look shows nothing of the kind."""
        if self.failed:
            most = max(self.failures, key=lambda name: self.failures[name])
            return f"{self.failed} of {self.n} failed ({most.replace('_', ' ')})"
        if self.kept and self.tail_ms is None:
            return f"no time is known: {self.reason('no_eos')}"
        if self.stream_rtf is not None and self.stream_rtf > KEEPS_UP_RTF:
            return f"it fell behind: stream RTF {self.stream_rtf:.2f}"
        return ""

    def falls_behind(self, lightest: Level) -> bool:
        """Its words come ever later, for no other reason than the load: more so than at the lightest level.

        Where a word is shown late by its place in the utterance the slope is not 0 without any load.
        """
        slope, least = self.lag_slope, lightest.lag_slope
        if self is lightest or self.stream_rtf is not None or slope.low is None:
            return False
        return slope.low > max(0.0, least.high or 0.0)

    @cached_property
    def heard(self) -> Mapping[str, Heard]:
        """What became of each text, by utterance id, over all repeats."""
        found: dict[str, Heard] = {}
        for item in self.kept:
            for name, once in item.heard.items():
                found[name] = found[name] + once if name in found else once
        return found

    def joined(self, name: str) -> NDArray[np.float64]:
        """(n,) one number of each counted utterance, over all repeats; NaN where nothing was measured."""
        parts = [getattr(item, name) or (math.nan,) * item.n for item in self.kept]
        return np.array([value for part in parts for value in part], dtype=np.float64)

    def reason(self, name: str) -> str:
        """Why most repeats lack something."""
        counts = Counter(str(getattr(item, name)) for item in self.kept if getattr(item, name))
        return counts.most_common(1)[0][0] if counts else "no valid probe"


def levels_of(seen: Iterable[Observation], options: SearchOptions) -> list[Level]:
    """All levels that were probed, ascending."""
    by_level: dict[int, list[Observation]] = {}
    for item in seen:
        by_level.setdefault(item.level, []).append(item)
    return [
        Level(streams, tuple(o for o in mine if o.valid), tuple(o for o in mine if not o.valid), options)
        for streams, mine in sorted(by_level.items())
    ]


def quantile(values: NDArray[np.float64], share: float) -> float | None:
    """The smallest of `values` (n,) that a share of them does not exceed, as stats.py has it; None of nothing."""
    if not values.size:
        return None
    place = max(1, math.ceil(share * values.size - 1e-9)) - 1
    return float(np.partition(values, place)[place])


def _mean(values: Iterable[float | None]) -> float | None:
    known: Sequence[float] = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
