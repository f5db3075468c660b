"""What a sweep found, as sentences computed from its points; the strongest one is the page's headline.

When the intervals overlap a sentence says that no difference was shown; invalid points take no part. Knows words and
effects; knows no page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from yapbench import axes, captions
from yapbench.effects import Effect, of_axis
from yapbench.measures import Point
from yapbench.obtained import ENGINE, ENGINE_PARTS
from yapbench.words import at, capital, ms, number, rate, value_of


@dataclass(frozen=True)
class Finding:
    """One sentence, whether the data shows what it says, and how strongly (0: not at all)."""

    text: str
    shown: bool
    strength: float = 0.0


Sayer = Callable[[Sequence[Point], str], Finding | None]


def headline(points: Sequence[Point], *, failed: int = 0) -> str:
    """The strongest finding that the data supports, or what else can be said."""
    found = [finding for finding in of_settings(points) if finding.shown]
    if found:
        return max(found, key=lambda finding: finding.strength).text
    if not points:
        return f"All {failed} trials failed" if failed else "Nothing was measured"
    if all(point.n == sum(point.failures.values()) for point in points):
        return "No request was answered"
    if not any(point.valid for point in points):
        return "No point is valid: the load was not what it was meant to be"
    if axes.varying([point.setting for point in points]):
        return "No setting made a difference that could be shown"
    return captions.throughput(points)


def of_settings(points: Sequence[Point]) -> list[Finding]:
    """For every setting that varies: what it does to throughput and to latency; what is shown comes first.

    Where nothing is shown over all the other settings, each value of those is looked at alone.
    """
    settings = [point.setting for point in points]
    names = axes.varying(settings)
    parts = [n for n in axes.separate(settings) if n in ENGINE_PARTS and n != "model"] if ENGINE in names else []
    found: list[Finding] = []
    for axis in (*names, *parts):
        for say in (_window,) if axis.endswith("window_ms") else (_requests, _latency):
            overall = say(points, axis)
            if overall is not None:
                narrower = None if overall.shown else _where(points, axis, names, say)
                found.append(narrower or overall)
    return sorted(found, key=lambda finding: (not finding.shown, -finding.strength))


def _where(points: Sequence[Point], axis: str, names: Sequence[str], say: Sayer) -> Finding | None:
    """The strongest shown finding among the points that share one value of another setting."""
    shown = []
    for other in names:
        for value in axes.values((p.setting for p in points), other) if other != axis else ():
            same = [p for p in points if axes.plain(p.setting.get(other)) == axes.plain(value)]
            finding = say(same, axis)
            if finding is not None and finding.shown:
                text = f"With {value_of(other, value)}, {finding.text[0].lower()}{finding.text[1:]}"
                shown.append(replace(finding, text=text))
    return max(shown, key=lambda finding: finding.strength, default=None)


def _levels(points: Sequence[Point]) -> list[float]:
    return sorted({point.level for point in points})


def _requests(points: Sequence[Point], axis: str) -> Finding | None:
    """Throughput under load (not at the lightest level, if there are others): the better value is the subject."""
    levels = _levels(points)
    found = [of_axis(points, axis, level, "rps") for level in levels[1:] or levels]
    known = [effect for effect in found if effect is not None]
    if not known:
        return None
    effect = max(known, key=lambda e: (e.shown, e.strength, e.level))
    load = at(points, effect.level)
    if not effect.shown:
        pair = f"{value_of(axis, effect.before)} and {value_of(axis, effect.after)}"
        numbers = f"{rate(effect.typical_before)} and {rate(effect.typical_after)} requests/s"
        return Finding(f"No difference in throughput was shown between {pair} at {load} ({numbers})", False)
    better, worse = (effect.after, effect.typical_after), (effect.before, effect.typical_before)
    if better[1] < worse[1]:
        better, worse = worse, better
    ratio = better[1] / worse[1]
    verb = "serve" if _plural(axis, better[0]) else "serves"
    other = number(worse[0]) if axis == "sessions" else value_of(axis, worse[0])
    more = f"{ratio:.1f}x the requests of" if ratio >= 1.5 else f"{_percent(ratio - 1)} more requests than"
    numbers = f"{rate(better[1])} vs {rate(worse[1])} requests/s{_over(effect)}"
    text = f"{capital(value_of(axis, better[0]))} {verb} {more} {other} at {load} ({numbers})"
    return Finding(text, True, effect.strength)


def _latency(points: Sequence[Point], axis: str) -> Finding | None:
    """Latency of the lightest load: the faster value is the subject."""
    levels = _levels(points)
    effect = of_axis(points, axis, levels[0], "latency_p50_ms") if levels else None
    if effect is None:
        return None
    load = at(points, effect.level)
    if not effect.shown:
        pair = f"{value_of(axis, effect.before)} and {value_of(axis, effect.after)}"
        numbers = f"p50 {ms(effect.typical_before)} and {ms(effect.typical_after)} ms"
        return Finding(f"No difference in latency was shown between {pair} at {load} ({numbers})", False)
    fast, slow = (effect.before, effect.typical_before), (effect.after, effect.typical_after)
    if fast[1] > slow[1]:
        fast, slow = slow, fast
    verb = "answer" if _plural(axis, fast[0]) else "answers"
    numbers = f"p50 {ms(fast[1])} vs {ms(slow[1])} ms{_over(effect)}"
    sooner = f"{verb} {ms(slow[1] - fast[1])} ms sooner than {value_of(axis, slow[0])}"
    return Finding(f"{capital(value_of(axis, fast[0]))} {sooner} at {load} ({numbers})", True, effect.strength)


def _window(points: Sequence[Point], axis: str) -> Finding | None:
    """A batching window: what it costs at the lightest load and buys at the heaviest, in one sentence."""
    levels = _levels(points)
    if not levels:
        return None
    light = of_axis(points, axis, levels[0], "latency_p50_ms")
    loaded = of_axis(points, axis, levels[-1], "rps")
    some = light or loaded
    if some is None:
        return None
    subject = f"A batching window of {axes.plain(some.after)} ms instead of {axes.plain(some.before)} ms"
    strength = max(effect.strength for effect in (light, loaded) if effect is not None)
    if strength == 0:
        return Finding(f"{subject} made no difference that could be shown", False)
    parts = []
    if light is not None:
        parts.append(_cost(light, at(points, light.level)))
    if loaded is not None:
        parts.append(_gain(loaded, at(points, loaded.level)))
    return Finding(f"{subject} {' and '.join(parts)}", True, strength)


def _cost(effect: Effect, load: str) -> str:
    if not effect.shown:
        return f"shows no cost at {load}"
    change = effect.typical_after - effect.typical_before
    numbers = f"p50 {ms(effect.typical_after)} vs {ms(effect.typical_before)} ms{_over(effect)}"
    return f"{'costs' if change > 0 else 'saves'} {ms(abs(change))} ms at {load} ({numbers})"


def _gain(effect: Effect, load: str) -> str:
    if not effect.shown:
        return f"shows no gain in throughput at {load}"
    ratio = effect.typical_after / effect.typical_before
    numbers = f"{rate(effect.typical_after)} vs {rate(effect.typical_before)} requests/s{_over(effect)}"
    return f"{'buys' if ratio > 1 else 'loses'} {_percent(abs(ratio - 1))} throughput at {load} ({numbers})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def _plural(axis: str, value: object) -> bool:
    return axis.endswith("buckets") or (axis == "sessions" and value != 1)


def _over(effect: Effect) -> str:
    return f", mean of {effect.ratio.n} matched pairs" if effect.ratio.n > 1 else ""
