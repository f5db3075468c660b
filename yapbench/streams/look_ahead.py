"""What waiting buys and what it costs: for each look-ahead, or delay, its WER, when finals and first words come.

All at one load. Pure: points in, marks and sentences out. Knows no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from yapbench import axes
from yapbench.findings import Finding
from yapbench.measures import Point
from yapbench.obtained import DELAY, LOOK_AHEAD, SENT, WAITS
from yapbench.stats import Estimate
from yapbench.streams import captions
from yapbench.words import at, capital, interval, ms, rate

CHANGES_WORDS: Final = ("model", "decoder", *SENT)
"""What decides, beside the look-ahead, how many words are wrong: each value is a trade of its own."""

NAMES: Final = {LOOK_AHEAD: "look-ahead", DELAY: "delay"}
"""Of what a model waits for; a server has one of them."""

FIRST: Final = 3.0
"""Strength of the finding: what the user of a look-ahead comes for stands first."""


@dataclass(frozen=True)
class Mark:
    """One look-ahead."""

    look_ahead_ms: float
    point: Point
    """In the setting of the rest that answers soonest."""
    since: str
    """The time to the final that is known: `eos`, or `eos_due`."""

    @property
    def wer(self) -> Estimate:
        """In per cent."""
        return self.point["wer"].scaled(100) if self.point["wer"].value is not None else self.point["wer"]

    @property
    def final(self) -> Estimate:
        """p50 from the end of speech to the final, ms."""
        return self.point[f"{self.since}_p50_ms"]

    @property
    def slow_final(self) -> Estimate:
        """Its p95."""
        return self.point[f"{self.since}_p95_ms"]

    @property
    def first(self) -> Estimate:
        """p50 from the onset of speech to the first words, ms."""
        return self.point["ttfp_p50_ms"]

    @property
    def name(self) -> str:
        """ "80 ms"."""
        return f"{axes.plain(self.look_ahead_ms)} ms"

    @property
    def words(self) -> str:
        """ "80 ms gives WER 2.6 % (1.9–3.5), first words after 640 ms (600–700), finals after 212 ms (200–230)"."""
        parts = [f"WER {_of(self.wer, '%')}"] if self.wer.value is not None else []
        parts += [f"first words after {_of(self.first, 'ms')}"] if self.first.value is not None else []
        return f"{self.name} gives {', '.join([*parts, 'finals after ' + _of(self.final, 'ms')])}"


@dataclass(frozen=True)
class Trade:
    """The look-aheads of one model, decoder and audio, ascending: two at least."""

    name: str
    """What tells it from the sweep's other trades; empty where it is the only one."""
    marks: tuple[Mark, ...]
    axis: str = LOOK_AHEAD
    """Which of WAITS it is; the delay is spoken of as the look-ahead of models that have that."""

    @property
    def level(self) -> float:
        """The load."""
        return self.marks[0].point.level

    @property
    def world(self) -> str:
        """What must stand before any number of a model that knows a few words only."""
        return captions.WORLDS.get(str(self.marks[0].point.setting.get("model")), "")


def axis_of(points: Sequence[Point]) -> str:
    """Which of WAITS the points' server has."""
    has = {name for point in points for name in WAITS if point.setting.get(name) is not None}
    return next((name for name in WAITS if name in has), LOOK_AHEAD)


def trades(points: Sequence[Point]) -> list[Trade]:
    """Points of one manner by what changes the words, at one load, the largest first; none where no look-ahead varies.

    The load is the heaviest at which every look-ahead gives half of its finals within the SLO, or the lightest that
    all of them have.
    """
    since, axis = captions.felt(points), axis_of(points)
    known = [p for p in points if p.valid and isinstance(p.setting.get(axis), int | float)]
    known = [p for p in known if p[f"{since}_p50_ms"].known]
    names = _names(points)
    best: dict[tuple[str, float, float], Mark] = {}
    for point in sorted(known, key=lambda p: (p[f"{since}_p50_ms"].value or 0.0, p.trial_id)):
        ahead = float(point.setting[axis])
        best.setdefault((_group(point, names), ahead, point.level), Mark(ahead, point, since))
    level = _level(best)
    found: dict[str, list[Mark]] = {}
    for (group, _, its), mark in sorted(best.items(), key=lambda item: item[0]):
        if its == level:
            found.setdefault(group, []).append(mark)
    several = [Trade(group, tuple(marks), axis) for group, marks in found.items() if len(marks) > 1]
    return sorted(several, key=lambda trade: (-len(trade.marks), trade.name))


def left_out(points: Sequence[Point], found: Sequence[Trade]) -> list[str]:
    """Look-aheads that were measured and are no marks, in words: they have no valid point with an interval there."""
    names, axis = _names(points), axis_of(points)
    asked = {(_group(p, names), p.setting[axis]) for p in points if p.setting.get(axis) is not None}
    shown = {(trade.name, mark.look_ahead_ms) for trade in found for mark in trade.marks}
    missing = sorted((group, ahead) for group, ahead in asked if (group, float(ahead)) not in shown)
    return [f"{axes.plain(ahead)} ms{f' with {group}' if group else ''}" for group, ahead in missing]


def _names(points: Sequence[Point]) -> list[str]:
    """Of what changes the words, what varies."""
    return [name for name in axes.separate([p.setting for p in points]) if name in CHANGES_WORDS]


def _group(point: Point, names: Sequence[str]) -> str:
    return axes.label(point.setting, names) if names else ""


def _level(best: dict[tuple[str, float, float], Mark]) -> float | None:
    """The load at which the marks are compared; None where no load has them all."""
    by_level: dict[float, list[Mark]] = {}
    for (_, _, level), mark in best.items():
        by_level.setdefault(level, []).append(mark)
    kinds = len({(group, ahead) for group, ahead, _ in best})
    common = {level: marks for level, marks in by_level.items() if len(marks) == kinds}
    kept = [level for level, marks in common.items() if all(map(_keeps, marks))]
    return max(kept, default=min(common, default=None))


def _keeps(mark: Mark) -> bool:
    return (mark.final.high or 0.0) <= mark.point.slo_ms and (mark.point["ok_share"].value or 0.0) >= 0.5


def caption(found: Sequence[Trade]) -> str:
    """What the longest look-ahead does instead of the shortest, of the first trade."""
    trade = found[0]
    low, high = trade.marks[0], trade.marks[-1]
    parts = [_contrast("WER", low.wer, high.wer, "%"), _contrast("first words after", low.first, high.first, "ms")]
    parts.append(_contrast("finals after", low.final, high.final, "ms"))
    which = f" with {trade.name}" if trade.name else ""
    pair = f"{capital(NAMES[trade.axis])} {high.name} instead of {low.name}{which}"
    return _placed(f"{pair}: {', '.join(filter(None, parts))} at {at([low.point], trade.level)}", trade)


def _placed(text: str, trade: Trade) -> str:
    """No WER of a model that knows a few words only without saying so."""
    return f"{trade.world}, {text[0].lower()}{text[1:]}" if trade.world else text


def _contrast(what: str, before: Estimate, after: Estimate, unit: str) -> str:
    if before.value is None or after.value is None:
        return ""
    if not _differ(before, after, unit):
        return f"{what} {_number(after.value, unit)} and {_number(before.value, unit)} {unit} (no difference shown)"
    return f"{what} {_number(after.value, unit)} instead of {_number(before.value, unit)} {unit}"


def findings(points: Sequence[Point]) -> list[Finding]:
    """Each trade with all its look-aheads; shown where the ends of one differ in anything."""
    found = []
    for trade in trades(points):
        low, high = trade.marks[0], trade.marks[-1]
        pairs = [(low.wer, high.wer, "%"), (low.first, high.first, "ms"), (low.final, high.final, "ms")]
        shown = any(_differ(*pair) for pair in pairs)
        which = f" with {trade.name}" if trade.name else ""
        what = f"{capital(NAMES[trade.axis])}{which}"
        text = f"{what} at {at([low.point], trade.level)}: {'; '.join(mark.words for mark in trade.marks)}"
        found.append(Finding(_placed(text, trade), shown, FIRST if shown else 0.0))
    return found


def _differ(one: Estimate, other: Estimate, unit: str) -> bool:
    """Their intervals are apart, and those of a WER come from enough utterances."""
    enough = unit == "ms" or min(one.n, other.n) >= captions.ENOUGH_UTTERANCES
    return enough and not one.overlaps(other)


def _number(value: float, unit: str) -> str:
    return ms(value) if unit == "ms" else rate(value)


def _of(value: Estimate, unit: str) -> str:
    bounds = interval(value) if unit != "ms" or not value.known else f"{ms(value.low or 0)}–{ms(value.high or 0)}"
    return f"{_number(value.value or 0.0, unit)} {unit} ({bounds or 'no interval'})"
