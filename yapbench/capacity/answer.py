"""The largest number of streams that keep to the target, as far as the probes show it: estimate, interval, claim. Pure.

Knows levels, guards and the fit; the sentences are in words.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from yapbench.capacity.bracket import Bracket, baseline_of, bracket_of, why_missed
from yapbench.capacity.fit import Curve
from yapbench.capacity.guards import Guard, guards_of
from yapbench.capacity.guards import Verdict as GuardVerdict
from yapbench.capacity.interval import interval_of
from yapbench.capacity.level import Level, levels_of
from yapbench.capacity.observation import Observation
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.spread import Bounds, bounds_of
from yapbench.capacity.steps import next_probe
from yapbench.errors import ExitCode

_MUST: tuple[str, ...] = ("latency", "errors", "client")
"""Guards without which there is no claim. The others may be undecided, which the answer says, but not missed."""


class Verdict(StrEnum):
    """What kind of answer it is."""

    FOUND = "found"
    AT_LEAST = "at least"
    BELOW = "below the lightest"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Tried:
    """One probe as it was made."""

    level: int
    repeat: int
    reason: str
    """Why it was asked for; "" where this version of the search would have asked for another."""
    tail_ms: float | None
    n: int
    failed: int
    valid: bool
    missed: str
    """Why its level misses the target, by all its probes; "" where it does not."""


@dataclass(frozen=True)
class Judged:
    """One level with all that is known of it."""

    level: Level
    bounds: Bounds | None
    """Of the tail, ms; the spread between repeats is that of all levels that were repeated."""
    fitted_ms: float | None
    missed: str
    guards: tuple[Guard, ...]
    broken: bool
    """It misses whatever its times are: something failed, fell behind, or misheard."""

    @property
    def streams(self) -> int:
        """How many."""
        return self.level.streams

    @property
    def claimed(self) -> bool:
        """It keeps to the target in all that can be told, and the time, the errors and the client can be."""
        verdicts = {guard.name: guard.verdict for guard in self.guards}
        must = all(verdicts[name] is GuardVerdict.MET for name in _MUST)
        return must and GuardVerdict.MISSED not in verdicts.values()

    @property
    def not_shown(self) -> tuple[Guard, ...]:
        """Guards that are undecided here."""
        return tuple(guard for guard in self.guards if guard.verdict is GuardVerdict.UNDECIDED)


@dataclass(frozen=True)
class Answer:
    """What a search found. `estimate`, `low` and `high` are numbers of streams between the levels that were probed."""

    verdict: Verdict
    options: SearchOptions
    estimate: float | None
    """Where the fit crosses the target; None: it does not within the levels that were probed."""
    low: float | None
    """Lower end of its 95 % interval; None: below the lightest level that was probed."""
    high: float | None
    """Upper end; None: beyond the heaviest level that was probed."""
    claimed: int | None
    """The heaviest level with all guards met, or undecided where that is said: `not_shown`."""
    levels: tuple[Judged, ...]
    tried: tuple[Tried, ...]
    curve: Curve
    holds: int | None
    """The heaviest level that holds going by a single look, and the lightest that misses."""
    misses: int | None
    blocked: bool
    """`misses` is where the load generator could not follow."""

    @property
    def not_shown(self) -> tuple[Guard, ...]:
        """What the claim does not show."""
        return next((each.not_shown for each in self.levels if each.streams == self.claimed), ())

    @property
    def since(self) -> str:
        """What the times are: eos, eos_due, latency."""
        kept = [item.since for each in self.levels for item in each.level.kept]
        return kept[0] if kept else "eos"

    @property
    def exit_code(self) -> ExitCode:
        """What the command line answers: not even the lightest level holds is a missed target."""
        codes = {Verdict.BELOW: ExitCode.SLO_MISSED, Verdict.UNDECIDED: ExitCode.INVALID_RUN}
        return codes.get(self.verdict, ExitCode.OK)


def answer_of(seen: Sequence[Observation], options: SearchOptions) -> Answer:
    """What the probes show, in the order in which they were made."""
    levels = levels_of(seen, options)
    now = bracket_of(levels, options)
    bounds = bounds_of(levels, options.slo_ms)
    base = baseline_of(levels)
    judged = tuple(
        Judged(
            level,
            bounds.get(level.streams),
            now.curve.fitted_ms.get(level.streams),
            why_missed(level, now.broken, now.curve, options),
            guards_of(level, levels[0], base),
            level.streams in now.broken,
        )
        for level in levels
    )
    found = interval_of(now, options)
    limit = now.misses.streams if now.misses else math.inf
    claimed = max((each.streams for each in judged if each.claimed and each.streams < limit), default=None)
    return Answer(
        verdict=_verdict(now, judged, claimed),
        options=options,
        estimate=found.estimate,
        low=found.low,
        high=found.high,
        claimed=claimed,
        levels=judged,
        tried=_tried(seen, judged, options),
        curve=now.curve,
        holds=now.holds.streams if now.holds else None,
        misses=now.misses.streams if now.misses else None,
        blocked=bool(now.misses and now.misses.blocked),
    )


def _verdict(now: Bracket, judged: Sequence[Judged], claimed: int | None) -> Verdict:
    lightest = judged[0] if judged else None
    if lightest is not None and now.misses is lightest.level and lightest.streams == 1 and not now.misses.blocked:
        shown = any(guard.verdict is GuardVerdict.MISSED for guard in lightest.guards)
        return Verdict.BELOW if shown else Verdict.UNDECIDED
    if claimed is None:
        return Verdict.UNDECIDED
    return Verdict.AT_LEAST if now.misses is None or now.misses.blocked else Verdict.FOUND


def _tried(seen: Sequence[Observation], judged: Sequence[Judged], options: SearchOptions) -> tuple[Tried, ...]:
    missed = {each.streams: each.missed for each in judged}
    found = []
    for k, item in enumerate(seen):
        asked = next_probe(seen[:k], options)
        reason = asked.reason if asked and (asked.level, asked.repeat) == (item.level, item.repeat) else ""
        tail_ms = Level(item.level, (item,), (), options).tail_ms
        found.append(
            Tried(item.level, item.repeat, reason, tail_ms, item.n, item.failed, item.valid, missed[item.level])
        )
    return tuple(found)
