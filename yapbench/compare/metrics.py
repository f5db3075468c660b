"""The numbers that a comparison judges: what each is called, how its change is said, and what change matters.

Knows names and thresholds; computes nothing from rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

LEAST_MS: Final = 1.0
"""A time that changed by less than this did not change so that anybody would notice."""
SHARE_POINTS: Final = 0.005
WER_POINTS: Final = 0.002
WER_RELATIVE: Final = 0.05
"""A WER has to change by both, whichever is more: the guard of docs/measures-streams.md against harm under load."""
THRESHOLD: Final = 0.05
"""Of times and rates, where nothing else is asked for."""


class Kind(StrEnum):
    """How two values are compared: times and rates by their ratio, the others by their difference."""

    TIME = "time"
    RATE = "rate"
    SHARE = "share"
    WER = "wer"


@dataclass(frozen=True)
class Metric:
    """One number of a point."""

    name: str
    """As in the MEASURES of requests or of streams."""
    title: str
    kind: Kind
    quantile: float | None = None
    """Of a time: which one of its utterances' values."""

    @property
    def is_ratio(self) -> bool:
        """Its effect is log(after / before), not a difference."""
        return self.kind in (Kind.TIME, Kind.RATE)

    @property
    def worse_sign(self) -> int:
        """1 where more is worse, -1 where less is."""
        return 1 if self.kind in (Kind.TIME, Kind.WER) else -1

    @property
    def unit(self) -> str:
        """Of a value as it is shown."""
        return {Kind.TIME: "ms", Kind.RATE: "/s", Kind.SHARE: "%", Kind.WER: "%"}[self.kind]

    def band(self, before: float, after: float, threshold: float) -> float:
        """The smallest effect that matters, > 0 and the same in both directions; `threshold` is of times and rates."""
        if self.kind is Kind.TIME:
            return max(math.log1p(threshold), math.log1p(LEAST_MS / min(before, after)))
        if self.kind is Kind.RATE:
            return math.log1p(threshold)
        if self.kind is Kind.SHARE:
            return SHARE_POINTS
        return max(WER_POINTS, WER_RELATIVE * (before + after) / 2)


def _times(stem: str, title: str, shares: tuple[float, ...] = (0.5, 0.95)) -> tuple[Metric, ...]:
    return tuple(Metric(f"{stem}_p{100 * q:.0f}_ms", f"{title} p{100 * q:.0f}", Kind.TIME, q) for q in shares)


OK_SHARE: Final = Metric("ok_share", "share that ended well", Kind.SHARE)
LATENCY: Final = _times("latency", "latency")
RPS: Final = Metric("rps", "answers per second", Kind.RATE)
EOS: Final = _times("eos", "end of speech to final")
EOS_DUE: Final = _times("eos_due", "end message due to final")
TTFP: Final = _times("ttfp", "onset to first words", (0.5,))
WER: Final = Metric("wer", "WER", Kind.WER)
AUDIO_RATE: Final = Metric("audio_s_per_s", "audio seconds finished per second", Kind.RATE)
RTFX: Final = Metric("rtfx", "speed of audio sent as fast as accepted", Kind.RATE)

METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric for metric in (*LATENCY, *EOS, *EOS_DUE, *TTFP, RPS, AUDIO_RATE, RTFX, WER, OK_SHARE)
}
"""By name, in the order in which they are listed."""
