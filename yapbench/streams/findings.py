"""What a sweep of streams found, as sentences computed from its points; the headline says how many keep to the SLO.

Times are compared within one end-of-speech policy and one pace only, and only where the servers sent as many partials.
Invalid points and indicative tails take no part. Knows words and effects; knows no page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yapbench import axes, stats
from yapbench.effects import Effect, of_axis, of_level
from yapbench.findings import Finding
from yapbench.measures import Point
from yapbench.obtained import WAITS
from yapbench.streams import captions, look_ahead, work
from yapbench.streams.captions import Manner
from yapbench.streams.measures import equal_work
from yapbench.words import at, capital, ms, rate, value_of

NOT_COMPARED: Final = ("eos", "pace")
"""What makes other times of the same server: no finding compares across these."""

_NAMES: Final = {"eos": "EOS", "eos_due": "EOS (from the due end message)", "ttfp": "TTFP"}


def headline(points: Sequence[Point], *, failed: int = 0) -> str:
    """How many streams keep to the SLO, of live audio where there is some; else what can be said."""
    if not points:
        return f"All {failed} trials failed" if failed else "Nothing was measured"
    if all(point.n == sum(point.failures.values()) for point in points):
        return "No stream ended well"
    if not any(point.valid for point in points):
        return "No point is valid: the load was not what it was meant to be"
    manner, mine = next(iter(captions.manners(points).items()))
    if not manner.pace:
        return captions.speed(mine)
    return captions.within(mine, mine[0].slo_ms, full=True)


def of_streams(points: Sequence[Point]) -> list[Finding]:
    """What else: the other policies and paces, growth with the load, what each setting does, failures, words."""
    found: list[Finding] = []
    groups = captions.manners(points)
    for number, (manner, mine) in enumerate(groups.items()):
        said = manner.words if len(groups) > 1 else ""
        if number:
            text = captions.within(mine, mine[0].slo_ms, full=True) if manner.pace else captions.speed(mine)
            found.append(_with(said, Finding(text, any(p.valid for p in mine), 1.0)))
        found += [_with(said, finding) for finding in _of_manner(mine, manner)]
    found += [*_failures(points), *_words(points)]
    return sorted(found, key=lambda finding: (not finding.shown, -finding.strength))


def _with(said: str, finding: Finding) -> Finding:
    return Finding(f"{finding.text} [{said}]", finding.shown, finding.strength) if said else finding


def _of_manner(points: Sequence[Point], manner: Manner) -> list[Finding]:
    names = [name for name in axes.varying([p.setting for p in points]) if name not in NOT_COMPARED]
    if not manner.pace:
        return [finding for name in names for finding in [_faster(points, name)] if finding is not None]
    since = captions.felt(points)
    found = [_growth(points, since)]
    for name in names:
        if name not in WAITS:  # what it changes is the work itself: that is a trade, and told as one
            found += [_sooner(points, name, since), _sooner(points, name, "ttfp")]
    apart = work.unequal(points)
    warning = [apart.finding] if apart is not None else []
    return [*warning, *look_ahead.findings(points), *(finding for finding in found if finding is not None)]


def _growth(points: Sequence[Point], time: str) -> Finding | None:
    """How the time grows from the lightest load to the heaviest."""
    levels = sorted({p.level for p in points})
    if len(levels) < 2:
        return None
    effect = of_level(points, levels[0], levels[-1], f"{time}_p50_ms")
    if effect is None:
        return None
    low, high = at(points, levels[0]), at(points, levels[-1])
    numbers = f"p50 {ms(effect.typical_before)} and {ms(effect.typical_after)} ms"
    if not effect.shown:
        return Finding(f"No growth of {_NAMES[time]} was shown from {low} to {high} ({numbers})", False)
    ratio = effect.ratio
    verb = "grows" if (ratio.value or 1) > 1 else "changes"
    text = f"{_NAMES[time]} {verb} {ratio.value:.2g}x from {low} to {high} ({numbers}; {_bounds(effect)})"
    return Finding(text, True, effect.strength)


def _sooner(points: Sequence[Point], axis: str, time: str) -> Finding | None:
    """Which value of a setting answers sooner: at the load where the difference is clearest."""
    measure = f"{time}_p50_ms"
    levels = sorted({p.level for p in points})
    known = [effect for level in levels if (effect := of_axis(points, axis, level, measure)) is not None]
    if not known:
        return None
    effect = max(known, key=lambda e: (e.shown, e.strength, e.level))
    load = at(points, effect.level)
    pair = f"{value_of(axis, effect.before)} and {value_of(axis, effect.after)}"
    rates = [_partial_rate(points, axis, value, effect.level) for value in (effect.before, effect.after)]
    if equal_work(*rates) is False:
        numbers = " and ".join(rate(each.value or 0.0) for each in rates)
        unequal = f"{numbers} partials per second of speech are not equal work"
        return Finding(f"{_NAMES[time]} of {pair} is not compared at {load}: {unequal}", False)
    if not effect.shown:
        numbers = f"p50 {ms(effect.typical_before)} and {ms(effect.typical_after)} ms"
        return Finding(f"No difference in {_NAMES[time]} was shown between {pair} at {load} ({numbers})", False)
    fast, slow = (effect.before, effect.typical_before), (effect.after, effect.typical_after)
    if fast[1] > slow[1]:
        fast, slow = slow, fast
    what = "shows first words" if time == "ttfp" else "gives finals"
    numbers = f"p50 {ms(fast[1])} vs {ms(slow[1])} ms; {_bounds(effect)}"
    text = f"{capital(value_of(axis, fast[0]))} {what} {ms(slow[1] - fast[1])} ms sooner than {value_of(axis, slow[0])}"
    return Finding(f"{text} at {load} ({numbers})", True, effect.strength)


def _faster(points: Sequence[Point], axis: str) -> Finding | None:
    """Which value of a setting recognises faster, of audio without a clock."""
    levels = sorted({p.level for p in points})
    known = [effect for level in levels if (effect := of_axis(points, axis, level, "rtfx")) is not None]
    if not known:
        return None
    effect = max(known, key=lambda e: (e.shown, e.strength, e.level))
    load = at(points, effect.level)
    pair = f"{value_of(axis, effect.before)} and {value_of(axis, effect.after)}"
    if not effect.shown:
        return Finding(f"No difference in RTFx was shown between {pair} at {load}", False)
    best, other = (effect.before, effect.typical_before), (effect.after, effect.typical_after)
    if best[1] < other[1]:
        best, other = other, best
    numbers = f"RTFx {rate(best[1])} vs {rate(other[1])}; {_bounds(effect)}"
    text = f"{capital(value_of(axis, best[0]))} is faster than {value_of(axis, other[0])} at {load} ({numbers})"
    return Finding(text, True, effect.strength)


def _bounds(effect: Effect) -> str:
    """The ratio of the larger to the smaller with its interval, and over how many pairs."""
    low, high = effect.ratio.low or 1.0, effect.ratio.high or 1.0
    if (effect.ratio.value or 1) < 1:
        low, high = 1 / high, 1 / low
    pairs = f", mean of {effect.ratio.n} matched pairs" if effect.ratio.n > 1 else ""
    return f"ratio {low:.2f}–{high:.2f}{pairs}"


def _partial_rate(points: Sequence[Point], axis: str, value: object, level: float) -> stats.Estimate:
    """Mean over the points with that value of the setting."""
    mine = [p for p in points if p.level == level and axes.plain(p.setting.get(axis)) == axes.plain(value)]
    known = [p["partial_rate"].value for p in mine if p["partial_rate"].value is not None]
    return stats.Estimate(sum(known) / len(known)) if known else stats.Estimate.missing("not known")


def _failures(points: Sequence[Point]) -> list[Finding]:
    failed = any(p.failures for p in points)
    return [Finding(captions.failures(points), failed, 2.0 if failed else 0.0)]


def _words(points: Sequence[Point]) -> list[Finding]:
    """Whether the load changes the words: of equal utterances cross-talk and dropped audio show there."""
    levels = sorted({p.level for p in points})
    if len(levels) < 2:
        return []
    pairs = []
    for trial in sorted({p.trial_id for p in points}):
        mine = {p.level: p for p in points if p.trial_id == trial and p.valid}
        if levels[0] in mine and levels[-1] in mine:
            pairs.append((mine[levels[0]]["wer"], mine[levels[-1]]["wer"]))
    known = [(a, b) for a, b in pairs if a.known and b.known and min(a.n, b.n) >= captions.ENOUGH_UTTERANCES]
    if not known:
        return []
    before, after = (sum(pair[k].value or 0.0 for pair in known) / len(known) for k in (0, 1))
    numbers = f"{100 * before:.1f} and {100 * after:.1f} %"
    load = f"from {at(points, levels[0])} to {at(points, levels[-1])}"
    apart = sum(not a.overlaps(b) for a, b in known)
    if apart > len(known) / 2:
        return [Finding(f"WER changes with the load {load} ({numbers})", True, 0.5)]
    return [Finding(f"No change of WER with the load was shown {load} ({numbers})", False)]
