"""What a level must show to be called capacity, each condition with its number, its bound and a verdict.

A guard that cannot be told is undecided, never missed and never met. Knows levels; knows no search.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from yapbench import stats
from yapbench.capacity.level import KEEPS_UP_RTF, Level
from yapbench.capacity.unharmed import Compared, compared
from yapbench.streams.captions import percent
from yapbench.validity import Verdict as Believed
from yapbench.words import ms


class Verdict(StrEnum):
    """Whether a guard is satisfied."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Guard:
    """One condition at one level. `value` and `bound` are in the units of `limit`; None: not known."""

    name: str
    verdict: Verdict
    value: float | None
    bound: float | None
    """The end of its 95 % interval that must keep to the limit."""
    limit: float | None
    text: str
    """A sentence that says all this."""


def guards_of(level: Level, lightest: Level, baseline: Level | None) -> tuple[Guard, ...]:
    """All guards of one level; `lightest` is the measure of keeping up, `baseline`, which has words, that of harm."""
    return (_latency(level), _errors(level), _keeps_up(level, lightest), _words(level, baseline), _client(level))


def _latency(level: Level) -> Guard:
    options, tail, repeats = level.options, level.tail, len(level.kept)
    name, target = options.percentile, f"the target of {options.slo_ms:g} ms"
    if tail.value is None or tail.low is None or tail.high is None:
        why = tail.reason or "no interval"
        return Guard("latency", Verdict.UNDECIDED, tail.value, None, options.slo_ms, f"{name} is not known: {why}")
    said = f"{name} {ms(tail.value)} ms, 95 % interval {ms(tail.low)}–{ms(tail.high)}"
    if tail.indicative:
        needed = stats.NEEDED[options.quantile]
        verdict, text = Verdict.UNDECIDED, f"{said}, but {needed} utterances are needed and {tail.n} were counted"
    elif repeats < options.repeats:
        times = "once" if repeats == 1 else f"in {repeats} repeats"
        verdict, text = Verdict.UNDECIDED, f"{said}, but seen only {times}; {options.repeats} are needed"
    elif tail.high <= options.slo_ms:
        verdict, text = Verdict.MET, f"{said}: all of it within {target}"
    elif tail.low > options.slo_ms:
        verdict, text = Verdict.MISSED, f"{said}: all of it above {target}"
    else:
        verdict, text = Verdict.UNDECIDED, f"{said}: {target} lies in it"
    return Guard("latency", verdict, tail.value, tail.high, options.slo_ms, text)


def _errors(level: Level) -> Guard:
    share = stats.fraction(level.failed, level.n)
    if not level.n:
        return Guard("errors", Verdict.UNDECIDED, None, None, 0.0, "no utterance was counted")
    if level.failed:
        kinds = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in level.failures.items())
        text = f"{level.failed} of {level.n} failed ({percent(share.value or 0.0)}): {kinds}"
        return Guard("errors", Verdict.MISSED, share.value, share.high, 0.0, text)
    bound = stats.upper_bound_of_none(level.n)
    text = f"none of {level.n} failed: a true share above {percent(bound)} is unlikely (one-sided 95 %)"
    return Guard("errors", Verdict.MET, 0.0, bound, 0.0, text)


def _keeps_up(level: Level, lightest: Level) -> Guard:
    rtf = level.stream_rtf
    if rtf is not None:
        kept = rtf <= KEEPS_UP_RTF
        said = f"stream RTF of 95 % of the streams of 30 s and more is at most {rtf:.3f}"
        text = f"{said}, {'within' if kept else 'above'} {KEEPS_UP_RTF}"
        return Guard("keeps up", Verdict.MET if kept else Verdict.MISSED, rtf, None, KEEPS_UP_RTF, text)
    slope = level.lag_slope
    if slope.value is None or slope.low is None or slope.high is None:
        text = f"whether it keeps up is not known: no stream is 30 s long, and {slope.reason or 'too few are known'}"
        return Guard("keeps up", Verdict.UNDECIDED, slope.value, None, 0.0, text)
    said = f"words come {_signed(slope.value)} ms later with each second of a stream"
    said = f"{said}, 95 % interval {_signed(slope.low)} to {_signed(slope.high)}"
    if level.falls_behind(lightest):
        return Guard("keeps up", Verdict.MISSED, slope.value, slope.low, 0.0, f"{said}: all of it above 0")
    if slope.low > 0:
        text = f"{said}: above 0, but so it is without the load"
        return Guard("keeps up", Verdict.UNDECIDED, slope.value, slope.low, 0.0, text)
    where = "0 lies in it" if slope.high >= 0 else "all of it below 0"
    return Guard("keeps up", Verdict.MET, slope.value, slope.low, 0.0, f"{said}: {where}")


def _words(level: Level, baseline: Level | None) -> Guard:
    found = compared(level, baseline)
    if isinstance(found, str):
        return Guard("words", Verdict.UNDECIDED, None, None, None, found)
    verdict = Verdict(found.verdict)
    return Guard("words", verdict, found.difference, found.high, found.tolerance, _of_words(found))


def _of_words(found: Compared) -> str:
    base = f"{found.base} stream{'' if found.base == 1 else 's'}"
    said = f"{100 * found.rate:.2f} % of {found.words} words wrong, {100 * found.base_rate:.2f} % at {base}"
    interval = f"{_points(found.difference)} points, 95 % interval {_points(found.low)} to {_points(found.high)}"
    allowed = f"{100 * found.tolerance:.2f} points are allowed"
    return f"{said} ({interval}; {allowed}): {found.why}"


def _client(level: Level) -> Guard:
    thrown = level.thrown
    aside = f"; {len(thrown)} thrown away ({thrown[-1].reasons[0]})" if thrown and thrown[-1].reasons else ""
    if not level.kept:
        text = f"no probe may be believed{aside}"
        return Guard("client", Verdict.UNDECIDED, 0.0, None, None, text)
    disturbed = [item for item in level.kept if item.validity is Believed.DISTURBED]
    text = f"the load was on time in {_all(len(level.kept))}{aside}"
    if disturbed:
        text = f"{text}; disturbed in {len(disturbed)}: {disturbed[-1].reasons[0]}"
    short = level.left_alone and len(level.kept) < level.options.repeats
    verdict = Verdict.UNDECIDED if short else Verdict.MET
    return Guard("client", verdict, float(len(level.kept)), None, None, text)


def _all(count: int) -> str:
    return "the one probe" if count == 1 else f"all {count} probes that count"


def _points(share: float) -> str:
    return f"{100 * share:+.2f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
