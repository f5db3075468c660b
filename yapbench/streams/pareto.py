"""Which settings are beaten by no other: the front of time to the final x WER x cost, each at its best load. Pure.

One setting beats another where it is nowhere worse and somewhere better; that it does is shown only where at least one
of the differences is (their intervals are apart). Knows points; draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from yapbench import axes
from yapbench.measures import Point
from yapbench.obtained import UNSCORED
from yapbench.stats import Estimate
from yapbench.streams import captions, titles
from yapbench.streams.captions import ENOUGH_UTTERANCES
from yapbench.words import at, capital, ms, number, rate

MOST_NAMED: Final = 3
"""Settings of the front that a caption names; of more it says how many they are."""


class Standing(StrEnum):
    """Where a setting stands among the others."""

    FRONT = "front"  # no other one beats it
    OPEN = "open"  # beaten by the numbers, but no difference is shown
    BEATEN = "beaten"


@dataclass(frozen=True)
class Cost:
    """What an hour of audio costs, in the unit that every one of the settings knows."""

    name: str
    """In a sentence: "CPU time"."""
    axis: str
    """For an axis: "CPU s per s of audio"."""
    unit: str
    """Behind a number: "CPU s/s"."""
    of: Callable[[Point], Estimate]

    def words(self, mark: Mark) -> str:
        """ "0.019 CPU s/s", "0.12 (0.11–0.13) $/audio h"."""
        return f"{_told(mark.cost, lambda value: f'{value:.2g}')} {self.unit}"


@dataclass(frozen=True)
class Mark:
    """One setting at its best load: the heaviest that keeps to the SLO."""

    point: Point
    name: str
    eos: Estimate
    """The percentile that the SLO is judged by, ms."""
    wer: Estimate
    """In per cent; missing where no words are scored."""
    cost: Estimate
    standing: Standing

    @property
    def words(self) -> str:
        """Everything of it in one line."""
        load, missing = at([self.point], self.point.level), self.wer.value is None
        wrong = "" if missing else f", WER {_told(self.wer, rate)} %"
        return f"{self.name} at {load}: finals after {_told(self.eos, ms)} ms{wrong}"


@dataclass(frozen=True)
class Front:
    """All marks of one manner, those of the front first, each group by time to the final."""

    marks: tuple[Mark, ...]
    measure: str
    """Which time: "eos_p95_ms"."""
    cost: Cost
    scored: bool
    """WER is one of the dimensions."""
    left_out: tuple[str, ...]
    """Settings that are no marks, each with its reason."""

    def of(self, standing: Standing) -> list[Mark]:
        """Those that stand there."""
        return [mark for mark in self.marks if mark.standing is standing]

    @property
    def dimensions(self) -> str:
        """ "time to the final, WER and CPU time"."""
        return ", ".join(["time to the final", *(["WER"] if self.scored else [])]) + f" and {self.cost.name}"


def front(points: Sequence[Point], slo_ms: float, *, currency: str = "") -> Front | None:
    """Of the points of one manner; None where fewer than two settings were measured.

    `currency`: of the price that cost_per_audio_h is made of; "" where there is none that all settings share.
    """
    if len({p.trial_id for p in points}) < 2:
        return None
    kept = captions.capacity(points, slo_ms)
    names = axes.varying([p.setting for p in points])
    best: dict[str, Point | None] = dict.fromkeys(p.trial_id for p in points)
    best |= kept.kept if kept else {}
    labels = {p.trial_id: axes.label(p.setting, names) for p in points}
    found = [point for point in best.values() if point is not None]
    scored = any(_wer(point).value is not None for point in found)
    left_out = [f"{labels[trial]} (keeps to the SLO at no load)" for trial, point in best.items() if point is None]
    if scored:
        left_out += [f"{labels[p.trial_id]} ({_wer(p).reason})" for p in found if _wer(p).value is None]
        found = [p for p in found if _wer(p).value is not None]
    cost = cost_of(found, currency)
    measure = kept.measure if kept else f"{captions.felt(points)}_p50_ms"
    plain = [Mark(p, labels[p.trial_id], p[measure], _wer(p), cost.of(p), Standing.FRONT) for p in found]
    marks = [_placed(mark, plain) for mark in plain]
    order = list(Standing)
    marks.sort(key=lambda m: (order.index(m.standing), m.eos.value or 0.0, m.name))
    return Front(tuple(marks), measure, cost, scored, tuple(sorted(left_out)))


def cost_of(points: Sequence[Point], currency: str = "") -> Cost:
    """The first that all of them have: money, GPU time, CPU time (where no GPU is used), streams within the SLO."""

    def all_have(measure: str) -> bool:
        return bool(points) and all(p[measure].value is not None for p in points)

    if currency and all_have("cost_per_audio_h"):
        unit = f"{currency}/audio h"
        return Cost("price", f"{currency} per hour of audio", unit, lambda p: p["cost_per_audio_h"])
    if all_have("gpu_s_per_audio_s"):
        return Cost("GPU time", "GPU s per s of audio", "GPU s/s", lambda p: p["gpu_s_per_audio_s"])
    if all_have("cpu_s_per_audio_s") and not any(p["gpu_s_per_audio_s"].value is not None for p in points):
        return Cost("CPU time", "CPU s per s of audio", "CPU s/s", lambda p: p["cpu_s_per_audio_s"])
    return Cost("machines", "machines per stream", "machines per stream", lambda p: Estimate(1 / p.level, n=p.n))


def caption(found: Front) -> str:
    """Which settings no other one beats."""
    if not found.marks:
        return "No setting keeps to the SLO at any load: there is no front"
    best = found.of(Standing.FRONT)
    what = f"in {found.dimensions}"
    if len(best) == len(found.marks) > 1:
        text = f"No setting beats another one {what}"
    elif len(best) > MOST_NAMED:
        text = f"{capital(number(len(best)))} of {len(found.marks)} settings are beaten by no other {what}"
    else:
        names = [mark.name for mark in best]
        which = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        text = f"No other setting beats {which} {what}"
    return titles.in_world([mark.point for mark in found.marks], text) if found.scored else text


def _wer(point: Point) -> Estimate:
    """In per cent."""
    if str(point.setting.get("model")) in UNSCORED:
        return Estimate.missing("random weights: its words mean nothing")
    return point["wer"].scaled(100)


def _placed(mark: Mark, others: Sequence[Mark]) -> Mark:
    beaten = [other for other in others if other is not mark and _beats(other, mark)]
    standing = Standing.FRONT
    if beaten:
        standing = Standing.BEATEN if any(_shown(other, mark) for other in beaten) else Standing.OPEN
    return Mark(mark.point, mark.name, mark.eos, mark.wer, mark.cost, standing)


def _dimensions(one: Mark, other: Mark) -> list[tuple[Estimate, Estimate]]:
    pairs = [(one.eos, other.eos), (one.wer, other.wer), (one.cost, other.cost)]
    return [(a, b) for a, b in pairs if a.value is not None and b.value is not None]


def _beats(one: Mark, other: Mark) -> bool:
    """By the numbers alone. Less is better everywhere."""
    pairs = [(a.value or 0.0, b.value or 0.0) for a, b in _dimensions(one, other)]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def _shown(one: Mark, other: Mark) -> bool:
    """One of the differences is: their intervals are apart, and those of a WER come from enough utterances."""
    for a, b in _dimensions(one, other):
        enough = a is not one.wer or min(a.n, b.n) >= ENOUGH_UTTERANCES
        if enough and (a.value or 0.0) < (b.value or 0.0) and not a.overlaps(b):
            return True
    return False


def _told(value: Estimate, words: Callable[[float], str]) -> str:
    if value.low is None or value.high is None:
        return words(value.value or 0.0)
    return f"{words(value.value or 0.0)} ({words(value.low)}–{words(value.high)})"
