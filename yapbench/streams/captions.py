"""Titles of the figures of streams, each a function of the points.

Times of another end-of-speech policy or another pace are other times: `manners` takes them apart, and each title says
its own. Knows words and estimates; knows no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from yapbench import axes, stats
from yapbench.measures import Point
from yapbench.obtained import SMALL_WORLDS
from yapbench.validity import Verdict, limit_of_step_ms
from yapbench.words import at, fine_ms, interval, ms, number, rate

POLICIES: Final = {
    "commit": "end of speech: commit by the client",
    "silence": "end of speech: silence, the server finds the end",
    "file": "whole files",
}
SCRIPTED: Final = {
    "echo": "echo recognises nothing: its words are scripted, so its WER says that the measuring works and no more",
}
"""Servers that are targets for the instrument, and what must be said of their words."""

STAND_INS: Final = {
    "tiny": "tiny is a small test checkpoint that knows a small world: some hundred words, said by a few synthetic "
    "voices. Its WER and its speed say nothing of the model it stands in for",
    "random": "random has the real size and random weights: it is for speed, its words mean nothing and are not scored",
}
"""Models that are measured in place of others, and what must be said of them."""

WORLDS: Final = {model: f"In {model}'s small world" for model in sorted(SMALL_WORLDS)}
"""How a sentence with a WER of such a model begins."""

ENOUGH_UTTERANCES: Final = 30
"""For a sentence on WER: of a few utterances without an error the bootstrap believes that there never is one."""

LONGEST_NAMES: Final = 48
"""Characters of settings that are named one by one; more of them are counted."""

_SINCE: Final = {"eos": "the end of speech", "eos_due": "when the end message was due"}


@dataclass(frozen=True)
class Manner:
    """How utterances were streamed, so far as it decides which times may stand in one chart."""

    eos: str
    pace: float

    @property
    def words(self) -> str:
        """The policy, and the pace where it is not that of speech."""
        return " · ".join(filter(None, (POLICIES.get(self.eos, f"end of speech: {self.eos}"), self.pace_words)))

    @property
    def pace_words(self) -> str:
        """Empty for live audio."""
        if self.pace == 1:
            return ""
        return f"{axes.plain(self.pace)} times faster than live" if self.pace else "as fast as accepted, not real time"

    @property
    def key(self) -> str:
        """For ids."""
        return f"{self.eos}-{axes.plain(self.pace).replace('.', '_')}"


def manner_of(point: Point) -> Manner:
    """Of one point."""
    return Manner(str(point.setting.get("eos", "commit")), float(point.setting.get("pace", 1.0)))


def manners(points: Sequence[Point]) -> dict[Manner, list[Point]]:
    """Points that may be compared with each other, live audio first, audio without a clock last."""
    found: dict[Manner, list[Point]] = {}
    for point in points:
        found.setdefault(manner_of(point), []).append(point)
    return {manner: found[manner] for manner in sorted(found, key=lambda m: (m.pace == 0, abs(m.pace - 1), m.eos))}


def felt(points: Sequence[Point]) -> str:
    """The time that a user feels: `eos`, or `eos_due` where no corpus says when speech ends."""
    return "eos" if any(p["eos_p50_ms"].value is not None for p in points) else "eos_due"


@dataclass(frozen=True)
class Capacity:
    """How many streams keep to the SLO."""

    measure: str
    share: str
    """What the measure is a percentile of, in words."""
    kept: Mapping[str, Point | None]
    """By trial: its heaviest level that keeps to it, all lighter ones included; None: not even the lightest."""
    missed: Mapping[str, Point]
    """By trial: the first level that does not."""

    @property
    def doubt(self) -> str:
        """Why it is not p95 that is spoken of; empty where it is."""
        return "; every p95 is only indicative" if "p50" in self.measure else ""

    @property
    def best(self) -> Point | None:
        """The heaviest level of all, of equal ones the fastest."""
        held = [point for point in self.kept.values() if point is not None]
        return max(held, key=lambda p: (p.level, -(p[self.measure].value or 0.0), p.trial_id), default=None)

    @property
    def alike(self) -> list[Point]:
        """Every setting that keeps to it at the level of `best`, the slowest first."""
        level = self.best.level if self.best else None
        held = [point for point in self.kept.values() if point is not None and point.level == level]
        return sorted(held, key=lambda p: (-(p[self.measure].value or 0.0), p.trial_id))


def capacity(points: Sequence[Point], slo_ms: float) -> Capacity | None:
    """By the upper bound of p95, or of p50 where every p95 is only indicative; None where neither is known.

    A stream that failed did not keep to it: their share must not be larger than the percentile leaves.
    """
    since = felt(points)
    for q, share in ((0.95, "95 % of the finals"), (0.5, "Half of the finals")):
        measure = f"{since}_p{round(100 * q)}_ms"
        known = [p for p in points if p.valid and p[measure].high is not None and not p[measure].indicative]
        if not known:
            continue
        kept: dict[str, Point | None] = {}
        missed: dict[str, Point] = {}
        for point in sorted(known, key=lambda p: (p.trial_id, p.level)):
            kept.setdefault(point.trial_id, None)
            if point.trial_id in missed:
                continue
            if (point[measure].high or 0.0) <= slo_ms and (point["ok_share"].value or 0.0) >= q:
                kept[point.trial_id] = point
            else:
                missed[point.trial_id] = point
        return Capacity(measure, share, kept, missed)
    return None


def within(points: Sequence[Point], slo_ms: float, *, full: bool = False) -> str:
    """Up to how many streams the finals come within the SLO; `full`: with the percentiles that show it."""
    found = capacity(points, slo_ms)
    if found is None:
        return "End of speech to final: too little ended well for an interval"
    target = f"within {axes.plain(float(slo_ms))} ms of {_SINCE[felt(points)]}"
    best, names = found.best, axes.varying([p.setting for p in points])
    if best is None:
        first = min(found.missed.values(), key=lambda p: (p.level, p[found.measure].value or 0.0))
        text = f"{found.share} do not come {target}, even at {at([first], first.level)}"
        text = f"{text} in any setting" if len(found.kept) > 1 else text
        failed = f"; {_failed(first)}" if first.failures else ""
        return f"{text} ({_percentile(first, found.measure)}{failed}{found.doubt})" if full else f"{text}{failed}"
    alike = found.alike
    if len(found.kept) == 1 or (len(alike) == len(found.kept) > 1):
        which = "" if len(found.kept) == 1 else f" in each of {len(alike)} settings"
    elif len(", ".join(labels := sorted(axes.label(p.setting, names) for p in alike))) <= LONGEST_NAMES:
        which = f" with {' and '.join(filter(None, (', '.join(labels[:-1]), labels[-1])))}"
    else:
        which = f" in {number(len(alike))} of {len(found.kept)} settings"
    # What is said of several settings must hold for the slowest of them.
    slowest = alike[0]
    beyond = found.missed.get(slowest.trial_id)
    tried = max(p.level for p in points if p.trial_id == slowest.trial_id)
    limit = "" if beyond else ", the most that was tried" if best.level == tried else "; beyond it no point is valid"
    text = f"{found.share} come {target} up to {at([best], best.level)}{which}{limit}"
    if not full:
        return text
    later = ""
    if beyond is not None:
        missed = f"{ms(beyond[found.measure].value or 0.0)} ms"
        if (beyond[found.measure].high or 0.0) <= slo_ms:  # it is the failures that are too many
            missed = _failed(beyond)
        later = f"; {missed} at {at([beyond], beyond.level)}"
    of = "the slowest setting's " if len(alike) > 1 else ""
    return f"{text} ({of}{_percentile(slowest, found.measure)}{later}{found.doubt})"


def _failed(point: Point) -> str:
    return f"{percent(sum(point.failures.values()) / point.n)} of the streams failed"


def _percentile(point: Point, measure: str) -> str:
    value = point[measure]
    bounds = f", 95 % interval {ms(value.low)}–{ms(value.high)}" if value.low is not None and value.high else ""
    return f"{short(measure)} {ms(value.value or 0.0)} ms{bounds}"


def short(measure: str) -> str:
    """ "p95 of EOS"; of other measures their own name."""
    time, _, percentile = measure.removesuffix("_ms").rpartition("_")
    return f"{percentile} of {time.replace('_due', ' (due)').upper()}" if time in (*_SINCE, "ttfp") else measure


def first_words(points: Sequence[Point]) -> str:
    """TTFP at the lightest and the heaviest load, each in its best setting."""
    known = [p for p in points if p.valid and p["ttfp_p50_ms"].value is not None]
    if not known:
        return "First words: no partial with words, or nothing says when speech begins"
    levels = sorted({p.level for p in known})
    ends = levels[:1] if len(levels) == 1 else [levels[0], levels[-1]]
    best = [min((p["ttfp_p50_ms"].value or 0.0) for p in known if p.level == level) for level in ends]
    parts = [f"{ms(value)} ms at {at(known, level)}" for level, value in zip(ends, best, strict=True)]
    setting = "" if len({p.trial_id for p in known}) == 1 else ", each in its fastest setting"
    return f"Half of the first words are seen within {' and '.join(parts)}{setting}"


def speed(points: Sequence[Point]) -> str:
    """RTFx of audio that was sent as fast as it was accepted."""
    known = [p for p in points if p.valid and p["rtfx"].value is not None]
    if not known:
        return "Speed: no stream ended well at a valid point"
    best = max(known, key=lambda p: (p["rtfx"].value or 0.0, p.trial_id))
    names = axes.varying([p.setting for p in points])
    which = f" with {axes.label(best.setting, names)}" if names else ""
    bounds = interval(best["rtfx"])
    bounds = f" (95 % interval {bounds})" if bounds else ""
    each = "each stream" if best.level > 1 else "audio"
    value = rate(best["rtfx"].value or 0.0)
    return f"At {at([best], best.level)}{which} {each} is recognised {value}x faster than it is spoken{bounds}"


def answers(points: Sequence[Point]) -> str:
    """The time from a file's last byte to its text at the lightest and the heaviest load, each in its best setting."""
    known = [p for p in points if p.valid and p["flush_p50_ms"].value is not None]
    if not known:
        return "Answers: no file was answered at a valid point"
    levels = sorted({p.level for p in known})
    ends = levels[:1] if len(levels) == 1 else [levels[0], levels[-1]]
    best = [min((p["flush_p50_ms"].value or 0.0) for p in known if p.level == level) for level in ends]
    parts = [f"{ms(value)} ms at {at(known, level)}" for level, value in zip(ends, best, strict=True)]
    setting = "" if len({p.trial_id for p in known}) == 1 else ", each in its fastest setting"
    return f"Half of the files have their text {' and '.join(parts)} after the last byte{setting}"


def failures(points: Sequence[Point]) -> str:
    """How many streams failed, and of what most of them."""
    asked = sum(point.n for point in points)
    counts: dict[str, int] = {}
    for point in points:
        for name, count in point.failures.items():
            counts[name] = counts.get(name, 0) + count
    failed = sum(counts.values())
    if not asked:
        return "Failures: no stream was counted"
    if not failed:
        bound = percent(stats.upper_bound_of_none(asked))
        return f"No stream of {asked} failed: a true share above {bound} is unlikely"
    most = max(sorted(counts), key=lambda name: counts[name])
    share = "all" if len(counts) == 1 else "most" if 2 * counts[most] > failed else str(counts[most])
    what = f", {share} of them {most.replace('_', ' ')}"
    worst = max(points, key=lambda p: (sum(p.failures.values()) / max(1, p.n), p.trial_id))
    names = axes.varying([p.setting for p in points])
    which = f" with {axes.label(worst.setting, names)}" if names else ""
    where = f"; the largest share at {at([worst], worst.level)}{which}" if len(points) > 1 else ""
    doubtful = sum(sum(p.failures.values()) for p in points if not p.valid)
    where += f"; {doubtful} of them at invalid points" if doubtful else ""
    return f"{failed} of {asked} streams failed ({percent(failed / asked)}){what}{where}"


def percent(share: float) -> str:
    """A share as "3.1 %"."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def lateness(points: Sequence[Point]) -> str:
    """The client's own proof: how late it handed its frames over, against what it allows itself."""
    known = [(p, p.validity.lateness_p99_ms) for p in points if p.validity.lateness_p99_ms is not None]
    if not known:
        return "Frame lateness: no frame was due at a time"
    limit_ms = min(lateness_limit_ms(p) for p in points)
    # A point that was not the client's fault is said apart: the machine itself stood still.
    excused = [late for p, late in known if late > limit_ms and p.validity.verdict is Verdict.DISTURBED]
    own = [late for p, late in known if late <= limit_ms or p.validity.verdict is not Verdict.DISTURBED]
    latest = fine_ms(max(excused, default=0))
    still = f"with the machine standing still in {len(excused)} of {len(known)} points, {latest} ms"
    if not own:
        return f"99 % of the frames left late, {still}"
    judged = f"{'within' if max(own) <= limit_ms else 'NOT within'} the limit of {axes.plain(limit_ms)} ms"
    kept = f"99 % of the frames left at most {fine_ms(max(own))} ms late, {judged}"
    return f"{kept}; {still}" if excused else kept


def lateness_limit_ms(point: Point) -> float:
    """A quarter of a frame's time, 10 ms at the most."""
    step_ms = float(point.setting.get("frame_ms") or 40.0) / (float(point.setting.get("pace") or 1.0))
    return limit_of_step_ms(step_ms)
