"""What a search for capacity is asked for: the target, where to begin, how fine, how often, how many probes."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

from yapbench import stats
from yapbench.errors import UsageError

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
LEAST_REPEATS: Final = 3
"""Fewer repeats tell nothing of their own spread: no capacity is claimed from them."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How the largest number of simultaneous streams that keep to the target is looked for.

    Raises UsageError, which names the option, its value and its limits.
    """

    slo_ms: float = 500.0
    """Target for `quantile` of the time from the end of speech to the final."""
    start: int = 4
    """The first level."""
    most: int = 1024
    """No level is heavier."""
    most_is: str = "the most that was asked for"
    """What `most` stands for, as an answer says it: also "the load generator's limit"."""
    resolution: float = 0.05
    """The search ends when the lightest level that misses is so much heavier than the heaviest that holds (a share)."""
    repeats: int = 3
    """A claim rests on so many probes of its level."""
    most_probes: int = 12
    """Thrown away ones included."""
    quantile: float = 0.95
    baseline: bool = False
    """Probe one stream first, for its words: asked for where texts have references. Counts as a probe."""
    replicates: int = stats.REPLICATES
    """Of the bootstrap behind each bound."""

    def __post_init__(self) -> None:
        if not (_is_number(self.slo_ms) and 0 < self.slo_ms < math.inf):
            raise UsageError(f"slo_ms is {self.slo_ms!r}; it must be a positive number of milliseconds")
        _check_whole("most", self.most, 1, 1_000_000)
        _check_whole("start", self.start, 1, self.most)
        _check_whole("repeats", self.repeats, LEAST_REPEATS, 100)
        _check_whole("most_probes", self.most_probes, 1, 1000)
        _check_whole("replicates", self.replicates, 100, 100_000)
        if not (_is_number(self.resolution) and 0.001 <= self.resolution <= 1):
            raise UsageError(f"resolution is {self.resolution!r}; it must be a share from 0.001 to 1")
        if self.quantile not in QUANTILES:
            known = ", ".join(map(str, QUANTILES))
            raise UsageError(f"quantile is {self.quantile!r}; it must be one of {known}")

    @property
    def percentile(self) -> str:
        """The quantile's name: "p95"."""
        return f"p{round(100 * self.quantile)}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-able; `SearchOptions(**options.as_dict())` are the same options."""
        return asdict(self)


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise UsageError(f"{name} is {value!r}; it must be a whole number from {least} to {most}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
