"""Titles of the figures of words, flicker, emission and cost, each a function of the points.

Invalid points take no part, and what no interval carries is said to be undecided or not shown. Knows words and
estimates; knows no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from yapbench import axes
from yapbench.measures import Point
from yapbench.streams import captions
from yapbench.streams.cost import CAUTIOUS_SHARE
from yapbench.streams.word_rates import Change, widened
from yapbench.words import at, interval, ms, number, rate

LOW_REVISION: Final = 0.2
"""Normalized erasure below which a stream is called low-revision (Arivazhagan et al. 2020, arXiv 2004.03643)."""


def heaviest(points: Sequence[Point], measure: str) -> list[Point]:
    """The valid points that have the measure, at the heaviest load of any; by its value."""
    known = [p for p in points if p.valid and p[measure].value is not None]
    level = max((p.level for p in known), default=None)
    return sorted((p for p in known if p.level == level), key=lambda p: (p[measure].value or 0.0, p.trial_id))


def words_with_load(points: Sequence[Point], changes: Sequence[Change]) -> str:
    """Whether WER rises with the load: paired on the utterances sent at both, else what it is."""
    told = [change for change in changes if change.difference.value is not None]
    if not told:
        return _lowest_wer(points)
    return in_world(points, _paired(told))


def _paired(changes: Sequence[Change]) -> str:
    pairs = {(c.light.level, c.heavy.level) for c in changes}
    light, heavy = (at([getattr(changes[0], end)], getattr(changes[0], end).level) for end in ("light", "heavy"))
    span = f"from {light} to {heavy}" if len(pairs) == 1 else "from a lighter to each setting's heaviest load"
    settings = len(changes)
    each = f" in each of {settings} settings" if settings > 1 else ""
    verdicts = [change.verdict(settings) for change in changes]
    rising = [change for change, verdict in zip(changes, verdicts, strict=True) if verdict == "rise"]
    fewest = min(change.difference.n for change in changes)
    if rising:
        most = max(rising, key=lambda c: c.difference.value or 0.0)
        count = "each" if len(rising) == settings else number(len(rising))
        which = f" in {count} of {settings} settings, at most" if settings > 1 else ""
        return f"WER rises {span}{which} by {_points(most.difference.value)} points ({_bounds(most, settings)})"
    if all(c.difference.value == c.difference.low == c.difference.high == 0 for c in changes):
        return f"The same utterances have as many word errors at {heavy} as at {light}{each} ({fewest} utterances)"
    highs = [widened(change.difference, settings)[1] or 0.0 for change in changes]
    if set(verdicts) == {"none"}:
        return f"No rise of WER {span}: at most {_points(max(highs))} points are left{each}, by the same utterances"
    unsure = [c for c, verdict in zip(changes, verdicts, strict=True) if verdict == "undecided"]
    some = f" in {number(len(unsure))} of {settings} settings" if 1 < settings != len(unsure) else each
    if all(c.difference.n < captions.ENOUGH_UTTERANCES for c in unsure):
        return f"Whether WER rises {span} is undecided{some}: only {fewest} utterances were sent at both"
    return f"Whether WER rises {span} is undecided{some}: {_points(max(highs))} points more are not ruled out"


def _points(share: float | None) -> str:
    return f"{100 * (share or 0.0):.1f}"


def _bounds(change: Change, settings: int) -> str:
    low, high = widened(change.difference, settings)
    return f"{_points(low)}–{_points(high)}, paired on {change.difference.n} utterances"


def _lowest_wer(points: Sequence[Point]) -> str:
    best = heaviest(points, "wer")
    if not best:
        return "WER: no utterance with a reference ended well at a valid point"
    told = _share(best[0], "wer")
    return in_world(best[:1], f"WER is {told} at {_where(best[0], points)}{_of(best, 'wer', 'the lowest')}")


def error_parts(points: Sequence[Point]) -> str:
    """What the errors are, of the setting with the fewest under the heaviest load."""
    best = heaviest(points, "wer")
    if not best:
        return "Word errors: no utterance with a reference ended well at a valid point"
    point = best[0]
    said = (("substitutions", "of the words taken for others"), ("deletions", "left out"), ("insertions", "added"))
    parts = ", ".join(f"{_points(point[name].value)} % {word}" for name, word in said)
    text = f"WER {_points(point['wer'].value)} %: {parts} at {_where(point, points)}"
    return in_world([point], f"{text}{_of(best, 'wer', 'the lowest')}")


def taken_back(points: Sequence[Point]) -> str:
    """In how many settings little of what was shown is taken back, and between which two they lie."""
    valid = [p for p in points if p.valid and p["normalized_erasure"].value is not None]
    if not valid:
        return "Taken back: no partial was shown at a valid point"
    if not any(p["normalized_erasure"].value or p["upwr"].value for p in valid):
        return f"No word that was shown was taken back{f' at any of {len(valid)} points' if len(valid) > 1 else ''}"
    found = heaviest(points, "normalized_erasure")
    load, names = at(found, found[0].level), axes.varying([p.setting for p in points])
    low = [p for p in found if p["normalized_erasure"].high is not None and _high(p) < LOW_REVISION]
    over = [p for p in found if (p["normalized_erasure"].low or 0.0) > LOW_REVISION]
    if len(found) == 1:
        value = found[0]["normalized_erasure"]
        verdict = "under" if low else "over" if over else "not shown to be under or over"
        bounds = f" ({value.low:.2f}–{value.high:.2f})" if value.low is not None and value.high is not None else ""
        return f"Normalized erasure is {value.value or 0:.2f}{bounds} at {load}: {verdict} {LOW_REVISION}"
    least, most = (f"{_erased(p)} ({axes.label(p.setting, names)})" for p in (found[0], found[-1]))
    ends = f"{least} to {most}" if _erased(found[0]) != _erased(found[-1]) else f"{_erased(found[0])} in all of them"
    count = "each" if len(low) == len(found) else number(len(low))
    return f"Normalized erasure is under {LOW_REVISION} in {count} of {len(found)} settings at {load}: {ends}"


def _high(point: Point) -> float:
    return point["normalized_erasure"].high or 0.0


def _erased(point: Point) -> str:
    return f"{point['normalized_erasure'].value or 0.0:.2f}"


def emission(points: Sequence[Point]) -> str:
    """When words are first seen, in the setting that shows them soonest under the heaviest load."""
    found = heaviest(points, "emission_p50_ms")
    if not found:
        return "When words are seen: no valid point tells"
    first = found[0]
    late = first["emission_p90_ms"].value
    tail = f", 90 % within {ms(late)} ms" if late is not None else ""
    half = f"Half of the words are seen within {ms(first['emission_p50_ms'].value or 0.0)} ms of their end{tail}"
    return f"{half}, at {_where(first, points)}{_of(found, 'emission_p50_ms', 'the soonest')}"


def emission_with_load(points: Sequence[Point]) -> str:
    """Whether words are seen later under load: where in most settings the intervals of p50 are apart."""
    last = heaviest(points, "emission_p50_ms")
    known = [p for p in points if p.valid and p["emission_p50_ms"].known]
    least = min((p.level for p in known), default=0.0)
    light = {p.trial_id: p for p in known if p.level == least}
    pairs = [(light[p.trial_id], p) for p in last if p.trial_id in light and p.level > least]
    if not pairs:
        return emission(points)
    soonest = pairs[0]
    half = [ms(p["emission_p50_ms"].value or 0.0) for p in soonest]
    numbers = f"p50 {half[0]} and {half[1]} ms{_with(soonest[1], points)}"
    span = f"from {at(last, least)} to {at(last, last[0].level)}"
    later = [1 for a, b in pairs if (b["emission_p50_ms"].low or 0.0) > (a["emission_p50_ms"].high or 0.0)]
    if 2 * len(later) > len(pairs):
        count = "each" if len(later) == len(pairs) else number(len(later))
        some = f" in {count} of {len(pairs)} settings" if len(pairs) > 1 else ""
        return f"Emission latency grows {span}{some} ({numbers})"
    return f"No growth of emission latency was shown {span} ({numbers})"


def cost(points: Sequence[Point], slo_ms: float, currency: str) -> str:
    """What an hour of audio costs at the most streams that keep to the SLO, and with a margin."""
    kept = captions.capacity(points, slo_ms)
    held = [
        p for p in (kept.kept.values() if kept else ()) if p is not None and p["cost_per_audio_h"].value is not None
    ]
    if not held:
        return "Cost: no setting keeps to the SLO at any load"
    best = min(held, key=lambda p: (p["cost_per_audio_h"].value or 0.0, p.trial_id))
    value = best["cost_per_audio_h"]
    bounds = f" ({value.low:.2g}–{value.high:.2g})" if value.low is not None and value.high is not None else ""
    money = f"{currency} {value.value or 0.0:.2g}{bounds}"
    margin = f"{currency} {(value.value or 0.0) / CAUTIOUS_SHARE:.2g} at {100 * CAUTIOUS_SHARE:.0f} % of that"
    most = "the most within the SLO"
    return f"An hour of audio costs {money} at {_where(best, points)}, {most}; {margin}"


def energy(points: Sequence[Point]) -> str:
    """Energy of an hour of audio, in the setting that needs least under the heaviest load."""
    found = heaviest(points, "energy_wh_per_audio_h")
    if not found:
        return "Energy: no valid point tells it"
    best = found[0]
    power = best["power_w"].value
    drawn = f", the GPUs drawing {power:.0f} W" if power is not None else ""
    least = _of(found, "energy_wh_per_audio_h", "the least")
    need = f"{best['energy_wh_per_audio_h'].value or 0.0:.3g} Wh"
    return f"An hour of audio takes {need} of GPU energy at {_where(best, points)}{least}{drawn}"


def _share(point: Point, measure: str) -> str:
    value = point[measure].scaled(100)
    bounds = f" (95 % interval {interval(value)})" if value.known else ""
    return f"{rate(value.value or 0.0)} %{bounds}"


def _where(point: Point, points: Sequence[Point]) -> str:
    return f"{at([point], point.level)}{_with(point, points)}"


def _with(point: Point, points: Sequence[Point]) -> str:
    names = axes.varying([p.setting for p in points])
    return f" with {axes.label(point.setting, names)}" if names else ""


def _of(found: Sequence[Point], measure: str, what: str) -> str:
    """That the first of these is the best; "by the numbers" where its interval and the next one's are not apart."""
    if len(found) < 2:
        return ""
    numbers = "by the numbers " if found[0][measure].overlaps(found[1][measure]) else ""
    return f", {numbers}{what} of {len(found)} settings"


def in_world(points: Sequence[Point], text: str) -> str:
    """No WER of a model that knows a few words only without saying so."""
    worlds = list(dict.fromkeys(captions.WORLDS.get(str(p.setting.get("model")), "") for p in points))
    if worlds == [""] or not worlds:
        return text
    if len(worlds) > 1:
        small = next(world for world in worlds if world)
        return f"{text}; in part {small[0].lower()}{small[1:]}"
    return f"{worlds[0]}, {text if text.startswith('WER') else text[0].lower() + text[1:]}"
