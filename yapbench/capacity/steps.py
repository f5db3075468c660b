"""What is probed next, a function of what was seen: grow, narrow down, then repeat the levels that decide. Pure.

Stored probes lead to the same next one. Knows brackets; knows no words for a result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from scipy import special

from yapbench import stats
from yapbench.capacity.bracket import Bracket, bracket_of
from yapbench.capacity.interval import interval_of
from yapbench.capacity.level import Level, levels_of
from yapbench.capacity.observation import Observation
from yapbench.capacity.options import SearchOptions
from yapbench.capacity.spread import spread_of

GROWTH: Final = 4
"""While the tail is below half of the target, or what it was without a load; 2 from there on."""
UNLOADED: Final = 1.15
"""Up to so many times the lightest level's tail a level counts as without a load."""
NEAR: Final = 1.3
"""Of a bracket this narrow the curve itself tells where the target lies, better than Little's law does."""
GOOD_ENOUGH: Final = 3
"""So many steps a level may lie below the one that is wanted."""
PATIENCE: Final = 3
"""After so many probes that did not halve the bracket it is halved without a guess."""


@dataclass(frozen=True)
class Probe:
    """One level to be measured once, and why. `repeat` counts the probes of that level, thrown away ones included."""

    level: int
    repeat: int
    reason: str


def next_probe(seen: Sequence[Observation], options: SearchOptions) -> Probe | None:
    """The next probe, or None: all is known that can be, or `most_probes` are made."""
    if len(seen) >= options.most_probes:
        return None
    levels = levels_of(seen, options)
    counts = {level.streams: len(level.kept) + len(level.thrown) for level in levels}

    def probe(level: int, reason: str) -> Probe:
        return Probe(level, counts.get(level, 0), reason)

    if not seen:
        if options.baseline and options.start > 1:
            return probe(1, "one stream first: with the words it gets those of all others are compared")
        return probe(options.start, "the first level")
    last = seen[-1]
    if not last.valid and not next(level for level in levels if level.streams == last.level).left_alone:
        return probe(last.level, "thrown away, asked again: " + (last.reasons or ("the client was late",))[0])
    now = bracket_of(levels, options)
    if now.misses is None:
        heaviest = levels[-1].streams
        if heaviest < options.start:
            return probe(options.start, "the first level")
        if heaviest < options.most:
            return probe(*_heavier(now, heaviest, options))
    elif now.holds is None and now.misses.streams > 1:
        return probe(*_lighter(now, options))
    elif not now.narrow(options.resolution) and not _time_to_decide(now, seen, options):
        return probe(*_between(now, seen, options))
    decided = _deciding(now, options.most_probes - len(seen), options) or _finer(now, options)
    return probe(*decided) if decided else None


def _heavier(now: Bracket, heaviest: int, options: SearchOptions) -> tuple[int, str]:
    tail_ms = now.curve.tail_ms(heaviest) if now.curve.value else 0.0
    lightest_ms = now.levels[0].tail_ms or 0.0
    unloaded = len(now.levels) > 1 and tail_ms <= UNLOADED * lightest_ms
    growth = GROWTH if unloaded or tail_ms <= options.slo_ms / 2 else 2
    how = {4: "four times as many", 2: "twice as many"}[growth]
    if heaviest * growth >= options.most:
        return options.most, options.most_is
    return heaviest * growth, f"{how}: {heaviest} held"


def _lighter(now: Bracket, options: SearchOptions) -> tuple[int, str]:
    """Below the lightest level, all of which missed."""
    assert now.misses is not None
    lightest = now.misses.streams
    guess = little(now.misses, options)
    if guess is not None and 1 <= guess < lightest / (1 + options.resolution / 2):
        return max(1, math.floor(guess / (1 + options.resolution / 2))), f"Little's law said {guess:.0f}"
    return max(1, lightest // GROWTH), f"a quarter as many: {lightest} missed"


def little(level: Level, options: SearchOptions) -> float | None:
    """How many streams a server that is asked too much could serve in time, from what it finished there.

    N = X (speech + EOS), so that with the same X finished per second each stream less makes all others 1 / X sooner:
    from a tail above the target, N - X (tail - target). Where failures hide the tail: X (speech + target).
    """
    rate = level.finished_per_s
    if rate is None or level.speech_s is None:
        return None
    if level.failed or level.tail_ms is None:
        return rate * (level.speech_s + options.slo_ms / 1e3)
    return level.streams - rate * (level.tail_ms - options.slo_ms) / 1e3


def _between(now: Bracket, seen: Sequence[Observation], options: SearchOptions) -> tuple[int, str]:
    """A level strictly inside of the bracket. What guesses do not halve in PATIENCE probes is halved by bisection."""
    assert now.holds is not None and now.misses is not None
    low, high = now.holds.streams, now.misses.streams
    middle = round(math.sqrt(low * high))
    middle = min(max(middle, low + 1), high - 1)
    before = bracket_of(levels_of(seen[:-PATIENCE], options), options)
    if before.width < math.inf and math.log1p(now.width) > math.log1p(before.width) / 2:
        return middle, f"the middle of {low} and {high}"
    crossing = now.curve.crossing(options.slo_ms)
    guess = None if now.misses.blocked else little(now.misses, options)
    if high / low <= NEAR and crossing and low < crossing < high:
        target, said = crossing, f"the curve said {crossing:.0f}"
    elif guess is not None and 1 <= guess < high:
        target, said = guess, f"Little's law said {guess:.0f}"
    else:
        return middle, f"the middle of {low} and {high}"
    if target < low:  # it was wrong by so much already: away from it by twice that
        return min(middle, math.ceil(low * max(low / target, 1 + options.resolution))), f"{said}, and {low} held"
    return min(max(_aside(target, low, options.resolution), low + 1), high - 1), said


def _aside(target: float, low: int, resolution: float) -> int:
    """A step below the guess, then a step above it: far enough that it shows on which side each of them is."""
    step = 1 + resolution
    if low < target / step**1.5:
        return math.floor(target / step)
    return math.ceil(max(target, low) * step)


def _time_to_decide(now: Bracket, seen: Sequence[Observation], options: SearchOptions) -> bool:
    """As many probes are left as the level that is to be claimed needs; that may be one that was never probed."""
    by_streams = {level.streams: level for level in now.levels}
    at = _to_hold(now, by_streams, options)
    if at is None:
        return False
    made = len(by_streams[at].kept) if at in by_streams else 0
    return options.most_probes - len(seen) <= options.repeats - made


def _missing(level: Level, options: SearchOptions) -> int:
    return 0 if level.left_alone else max(0, _repeats(level, options) - len(level.kept))


def _repeats(level: Level | None, options: SearchOptions) -> int:
    """How many a claim needs: `repeats`, or more of short ones until there are enough utterances for the tail."""
    counted = sum(item.known_ms.size for item in level.kept) if level else 0
    if level is None or not counted:
        return options.repeats
    return max(options.repeats, math.ceil(stats.NEEDED.get(options.quantile, 0) * len(level.kept) / counted))


def _deciding(now: Bracket, left: int, options: SearchOptions) -> tuple[int, str] | None:
    """The repeat that is wanted most: the level that is to be claimed and the one that is to miss, in turns.

    From the ends of the bracket outwards, where the bounds would not show it. The last probes are the claim's.
    """
    by_streams = {level.streams: level for level in now.levels}
    holds, misses = _to_hold(now, by_streams, options), _to_miss(now, by_streams, options)
    kept = {at: len(by_streams[at].kept) if at in by_streams else 0 for at in (holds, misses) if at}
    if not kept:
        return None
    at = min(kept, key=lambda at: (kept[at], at != holds))
    if holds and left <= _repeats(by_streams.get(holds), options) - kept[holds]:
        at = holds
    base = now.holds if at == holds else now.misses
    repeat = f"repeat {kept[at] + 1} of {_repeats(by_streams.get(at), options)}"
    if base is not None and base.streams == at:
        return at, repeat
    way = "down" if at == holds else "up"
    return at, f"a step {way}: {base.streams if base else 0} is too near to the target, {repeat}"


def _finer(now: Bracket, options: SearchOptions) -> tuple[int, str] | None:
    """A level beside the place where the curve reaches the target, as long as it is known too coarsely."""
    found = interval_of(now, options)
    if not found.estimate or found.width is None or found.width <= options.resolution:
        return None
    at = max(1, math.floor(found.estimate))
    reach = max(math.log1p(options.resolution), math.log1p(1 / at))
    near = [level for level in now.levels if abs(math.log(level.streams / found.estimate)) <= reach]
    asked = [level for level in near if level.kept and level.streams not in now.broken and not level.left_alone]
    if not near:
        level = min(options.most, round(found.estimate))
    elif asked:
        level = min(asked, key=lambda each: (len(each.kept), each.streams)).streams
    else:
        return None
    return level, f"the target lies near: {found.low:.0f} to {found.high:.0f} so far"


def _to_hold(now: Bracket, by_streams: Mapping[int, Level], options: SearchOptions) -> int | None:
    """The level below the bracket that has to be probed to show one that holds; None: one is shown, or none can be."""
    at, sigma = now.holds.streams if now.holds else 0, spread_of(now.levels, options.slo_ms).sigma
    while at:
        level = by_streams.get(at)
        if level is None:
            return at
        enough = len(level.kept) >= _repeats(level, options)
        if enough and (level.tail.high or math.inf) <= options.slo_ms:
            return None
        if _missing(level, options) and _reach(level, sigma) * (level.tail_ms or 0.0) <= options.slo_ms:
            return at
        at = _below(now, at, by_streams, _reach(level, sigma), options) if at > 1 else 0
    return None


def _below(now: Bracket, at: int, by_streams: Mapping[int, Level], reach: float, options: SearchOptions) -> int:
    """The level under `at` to try: a step away or, where the curve wants more steps than that, where it wants to be.

    One that was probed already is good enough within a few steps: repeats of one level tell more than looks at many.
    """
    near = _neighbour(at, 1 / (1 + options.resolution), by_streams)
    if near in by_streams:
        return near
    wanted = min(near, math.floor(now.curve.crossing(options.slo_ms / reach) or near))
    probed = max((streams for streams in by_streams if streams < at), default=1)
    return probed if wanted <= probed * (1 + options.resolution) ** GOOD_ENOUGH else wanted


def _to_miss(now: Bracket, by_streams: Mapping[int, Level], options: SearchOptions) -> int | None:
    """The level to repeat beside it; None: it was repeated, or fails whatever its time is.

    Repeats of one just above the target tell most of where that is; a look at a heavier one ends the interval.
    """
    level = now.misses
    if level is None or level.blocked or level.streams in now.broken:
        return None
    sigma = spread_of(now.levels, options.slo_ms).sigma
    above = _neighbour(level.streams, 1 + options.resolution, by_streams)
    clear = (level.tail_ms or 0.0) >= _reach(level, sigma) * options.slo_ms
    if not clear and above not in by_streams and above <= options.most:
        return above
    return level.streams if _missing(level, options) else None


def _reach(level: Level, sigma: float) -> float:
    """The factor by which the bound of a level's tail will be beyond it once all its repeats are made."""
    repeats = level.options.repeats
    t = float(special.stdtrit(repeats - 1, 0.5 + stats.CONFIDENCE / 2))
    return math.exp(t * sigma / math.sqrt(repeats))


def _neighbour(at: int, factor: float, by_streams: Mapping[int, Level]) -> int:
    """The level one step away; one that was probed already where it is near enough."""
    wanted = at * factor
    new = math.floor(wanted) if factor < 1 else math.ceil(wanted)
    new = min(new, at - 1) if factor < 1 else max(new, at + 1)
    reach = abs(math.log(factor)) * 0.6
    near = [s for s in by_streams if (s < at) == (factor < 1) and s != at and abs(math.log(s / wanted)) <= reach]
    return min(near, key=lambda s: abs(math.log(s / wanted))) if near else max(1, new)
