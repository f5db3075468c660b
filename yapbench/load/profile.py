"""What load to put on a server: profiles, their levels and points. Knows neither processes nor wires."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from yapbench.errors import UsageError
from yapbench.pacing.streaming import StreamOptions

Kind = Literal["closed", "poisson", "burst", "ramp", "soak"]
KINDS: tuple[Kind, ...] = ("closed", "poisson", "burst", "ramp", "soak")

_LEAST = {"requests": 1, "warmup": 0, "repeats": 1, "seed": 0, "workers": 1, "first_repeat": 0}


@dataclass(frozen=True)
class Point:
    """One load level in one repeat: what a row of a report stands for."""

    level: float
    repeat: int


@dataclass(frozen=True, kw_only=True)
class LoadProfile:
    """The load of a trial.

    closed   `level` users, each sends its next request the moment its answer came
    ramp     like closed, but the levels follow each other without a pause: users join, nothing drains
    poisson  arrivals at `level` per second with exponential gaps, sent when due whatever is outstanding
    burst    `level` requests at once, every `period_s` seconds
    soak     like closed with one level, for hours: users begin spread over an utterance's length, repeats follow each
             other without a pause, and rows leave the memory at once. Its drift is that of the repeats

    Where the client streams, a request is an utterance, an arrival is a call, and `stream` says how they are spoken.
    Each level sends `warmup` requests first, then counts `requests` requests, or those begun within
    `duration_s` seconds (one of the two is given; a soak has a duration). An answer later than `timeout_s` is a
    failure. Equal profiles and corpora give the same utterances in the same order, and the same arrival times, from
    however many processes (`workers`) they come. `spread`: users begin as a soak's do. `first_repeat`: the number of
    the first repeat, where others were measured before. Raises UsageError for values that cannot be run.
    """

    kind: Kind = "closed"
    levels: tuple[float, ...] = (1.0,)
    requests: int | None = None
    duration_s: float | None = None
    warmup: int = 0
    repeats: int = 1
    seed: int = 0
    timeout_s: float = 30.0
    period_s: float = 1.0
    stream: StreamOptions | None = None
    workers: int = 1
    spread: bool = False
    first_repeat: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError.unknown("load profile", str(self.kind), KINDS)
        object.__setattr__(self, "levels", tuple(float(level) for level in self.levels))
        _check_levels(self.levels, whole=self.kind != "poisson")
        if (self.requests is None) == (self.duration_s is None):
            raise UsageError("a load needs either requests (a count for each level) or duration_s, not both")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if (name, value) != ("requests", None) and not (type(value) is int and value >= least):
                raise UsageError(f"{name} is {value!r}; it must be a whole number from {least}")
        for name in ("duration_s", "timeout_s", "period_s"):
            value = getattr(self, name)
            if (name, value) != ("duration_s", None) and not _positive(value):
                raise UsageError(f"{name} is {value!r}; it must be a positive number of seconds")
        most = int(max(self.levels))
        if self.kind != "poisson" and self.workers > most:
            raise UsageError(f"workers is {self.workers}; it must be at most {most}, the users of the largest level")
        if self.kind == "soak" and (len(self.levels) > 1 or self.duration_s is None):
            raise UsageError(
                "a soak has one level and lasts duration_s seconds (each repeat), not a number of requests"
            )
        if self.stream is not None and (self.stream.phases == "ends") > (self.kind == "burst"):
            raise UsageError("phases=ends is for bursts: elsewhere the streams follow each other")

    def points(self) -> list[Point]:
        """All points in their order: repeats interleave, so that a slow drift of the machine hits every level."""
        repeats = range(self.first_repeat, self.first_repeat + self.repeats)
        return [Point(level, repeat) for repeat in repeats for level in self.levels]


def parse_levels(text: str | int | float) -> tuple[float, ...]:
    """`"1,4,8"` -> (1.0, 4.0, 8.0); a bare number is one level. Raises UsageError for anything else."""
    parts = [part.strip() for part in str(text).split(",")]
    try:
        levels = tuple(float(part) for part in parts)
    except ValueError as error:
        raise UsageError(f"load levels {text!r}: expected numbers with commas, such as 1,4,8") from error
    _check_levels(levels, whole=False)
    return levels


def _check_levels(levels: tuple[float, ...], *, whole: bool) -> None:
    if not levels:
        raise UsageError("a load needs at least one level")
    for level in levels:
        if not _positive(level):
            raise UsageError(f"load level {level:g} must be above 0")
        if whole and not level.is_integer():
            raise UsageError(f"load level {level:g} must be a whole number of users or requests")
    if len(set(levels)) != len(levels):
        raise UsageError(f"load levels repeat: {', '.join(f'{level:g}' for level in levels)}")


def _positive(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value) and value > 0
