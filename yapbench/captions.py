"""The titles of a sweep's figures and its four big numbers, each a function of the points.

Invalid points and indicative tails take no part. Knows words and estimates; knows no figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yapbench import axes, effects
from yapbench.effects import of_level
from yapbench.measures import Point
from yapbench.obtained import ENGINE, STAND_INS
from yapbench.turns import Decisions
from yapbench.words import at, capital, interval, ms, number, rate, value_of


@dataclass(frozen=True)
class Number:
    """A big number of the page; `value` None with the reason in `note`."""

    value: str | None
    unit: str
    label: str
    interval: str
    note: str


def latency(points: Sequence[Point], slo_ms: float) -> str:
    """Up to which load the SLO is kept, by the upper bound of p95, or of p50 where p95 is only indicative."""
    for measure, share in (("latency_p95_ms", "95 % of the answers"), ("latency_p50_ms", "Half of the answers")):
        kept = effects.usable(points, measure)
        if not kept:
            continue
        best: tuple[float, Point] | None = None
        for trial in sorted({p.trial_id for p in kept}):
            for point in sorted((p for p in kept if p.trial_id == trial), key=lambda p: p.level):
                if (point[measure].high or 0) > slo_ms:
                    break
                if best is None or point.level > best[0]:
                    best = (point.level, point)
        if best is None:
            lowest = at(kept, min(p.level for p in kept))
            within = f"within {axes.plain(float(slo_ms))} ms"
            return f"No setting keeps {share[0].lower() + share[1:]} {within}, even at {lowest}"
        names = axes.varying([p.setting for p in points])
        which = f" with {axes.label(best[1].setting, names)}" if names else ""
        return f"{share} come within {axes.plain(float(slo_ms))} ms up to {at(kept, best[0])}{which}"
    return "Latency: too little was answered for an interval"


def throughput(points: Sequence[Point]) -> str:
    """How throughput grows with the load, and from where on no gain is shown."""
    kept = effects.usable(points, "rps")
    levels = sorted({p.level for p in kept})
    if not levels:
        return "Throughput: nothing was answered at a valid point"
    best = max(kept, key=lambda p: p["rps"].value or 0)
    if best.kind == "poisson":
        return _of_the_offered(kept)
    if len(levels) == 1:
        return f"{rate(best['rps'].value or 0)} requests/s at {at(kept, levels[0])}"
    grown = of_level(points, levels[0], levels[-1], "rps")
    if grown is None or not grown.shown:
        narrower = _growth_with_one_value(points, levels[0], levels[-1])
        if narrower is None:
            return f"No gain in throughput was shown from {at(kept, levels[0])} to {at(kept, levels[-1])}"
        which, same = narrower
        text = throughput(same)
        return f"With {which}, {text[0].lower()}{text[1:]}"
    ratio = grown.ratio.value or 1
    text = f"Throughput at {at(kept, levels[-1])} is {ratio:.1f}x that at {at(kept, levels[0])}"
    for level in levels[1:-1]:
        later = of_level(points, level, levels[-1], "rps")
        if later is not None and not later.shown:
            return f"{text}; no gain was shown beyond {at(kept, level)}"
    return text


def _of_the_offered(kept: Sequence[Point]) -> str:
    """Of arrivals that do not wait for answers: up to which rate the best setting answers them all, and what then."""
    best: dict[float, Point] = {}
    for point in sorted(kept, key=lambda p: (p["rps"].value or 0, p.trial_id)):
        best[point.level] = point
    served = [level for level, point in best.items() if (point["rps"].high or 0) >= 0.95 * level]
    top = max(best)
    answered = f"of {axes.plain(float(top))} requests/s offered {rate(best[top]['rps'].value or 0)} are answered"
    if not served:
        return capital(answered)
    all_of = f"All {axes.plain(float(max(served)))} requests/s offered are answered"
    return all_of if max(served) == top else f"{all_of}; {answered}"


def _growth_with_one_value(points: Sequence[Point], low: float, high: float) -> tuple[str, list[Point]] | None:
    """The value of a varying setting with which throughput grows most clearly, and its points."""
    found = []
    for name in axes.varying([p.setting for p in points]):
        for value in axes.values((p.setting for p in points), name):
            same = [p for p in points if axes.plain(p.setting.get(name)) == axes.plain(value)]
            grown = of_level(same, low, high, "rps")
            if grown is not None and grown.shown:
                found.append((grown.strength, value_of(name, value), same))
    best = max(found, key=lambda each: each[0], default=None)
    return None if best is None else best[1:]


def best_setting(points: Sequence[Point], measure: str = "latency_p50_ms") -> str:
    """The best setting at the heaviest load, or that several cannot be told apart."""
    kept = effects.usable(points, measure)
    if not kept:
        return "No valid point to compare settings with"
    level = max(p.level for p in kept)
    ranked = sorted((p for p in kept if p.level == level), key=lambda p: (p[measure].value or 0, p.trial_id))
    names = axes.varying([p.setting for p in points])
    tied = [p for p in ranked if p[measure].overlaps(ranked[0][measure])]
    value = f"{ms(ranked[0][measure].value or 0)} ms"
    if len(tied) > 1:
        several = f"{capital(number(len(tied)))} of {len(ranked)} settings"
        return f"{several} tie for the lowest p50 at {at(kept, level)} ({value})"
    return f"{capital(axes.label(ranked[0].setting, names))}: the lowest p50 at {at(kept, level)} ({value})"


def engines(points: Sequence[Point]) -> str:
    """Which engine serves most at the heaviest load, each in its own best setting, and how far the next one is."""
    kept = effects.usable(points, "rps")
    if not kept:
        return "Engines: too little was answered to compare them"
    level = max(p.level for p in kept)
    best: dict[str, Point] = {}
    for point in sorted((p for p in kept if p.level == level), key=lambda p: (-(p["rps"].value or 0), p.trial_id)):
        best.setdefault(str(point.setting.get(ENGINE)), point)
    ranked = list(best.items())
    first, value = ranked[0][0], ranked[0][1]["rps"]
    if len(ranked) == 1:
        return f"{capital(first)}: {rate(value.value or 0)} requests/s at {at(kept, level)}"
    tied = [name for name, point in ranked[1:] if point["rps"].overlaps(value)]
    if tied:
        several = "; ".join([first, *tied[:-1]])
        return f"{capital(several)} and {tied[-1]} serve alike at {at(kept, level)}"
    second, other = ranked[1][0], ranked[1][1]["rps"]
    ratio = (value.value or 0) / (other.value or 1)
    numbers = f"{rate(value.value or 0)} vs {rate(other.value or 0)} requests/s"
    return f"{capital(first)} serves {ratio:.1f}x the requests of {second} at {at(kept, level)} ({numbers})"


def batches(points: Sequence[Point]) -> str:
    """How many requests shared a batch at the heaviest load."""
    level, top = _top(points)
    shares = []
    for point in top:
        asked = sum(point.batch_sizes.values())
        if asked:
            shares.append(1 - point.batch_sizes.get(1, 0) / asked)
    if not shares:
        return "Batch sizes: the server's answers do not say"
    if max(shares) == 0:
        return f"No request shared a batch at {level}"
    alone = sum(share == 0 for share in shares)
    text = f"{100 * max(shares):.0f} % of the requests shared a batch"
    if alone:
        return f"At {level} up to {text}; none in {alone} of {len(shares)} settings"
    if len(shares) == 1 or round(max(shares), 2) == round(min(shares), 2):
        return f"At {level} {text}"
    return f"At {level} {100 * min(shares):.0f} to {text}"


def queueing(points: Sequence[Point]) -> str:
    """Waiting against computing at the heaviest load, over all settings."""
    level, top = _top(points)
    times = [(p["queue_ms"].value, p["inference_ms"].value) for p in top]
    known = [(queue, model) for queue, model in times if queue is not None and model]
    if not known:
        return "Queue wait: the server's answers do not say"
    ratios = sorted(queue / model for queue, model in known)
    if ratios[-1] < 1:
        everywhere = " in every setting" if len(known) > 1 else ""
        return f"At {level} requests wait less than they compute{everywhere}"
    most = f"{'up to ' if ratios[0] != ratios[-1] else ''}{ratios[-1]:.1f} times"
    return f"At {level} a request waits {most} as long as it computes"


def decisions(found: Decisions, trials: int) -> str:
    """How many clips were decided right, and whether any answer moved between settings."""
    if not found.clips:
        return "Turn decisions: no labelled clip was answered"
    right = sum(clip.right for clip in found.clips)
    text = f"{right} of {len(found.clips)} turns decided right"
    if found.flips:
        return f"{text}; {found.flips} of {found.answers} answers flipped"
    if found.largest_difference:
        return f"{text}; probabilities moved by up to {found.largest_difference:.2g}, no decision flipped"
    return f"{text}, with the same probability in {'every setting' if trials > 1 else 'every answer'}"


def resources(points: Sequence[Point]) -> str:
    """The most CPU and memory that any point took."""
    cpu = [p["cpu_percent"].value for p in points if p["cpu_percent"].value is not None]
    rss = [p["rss_peak_mib"].value for p in points if p["rss_peak_mib"].value is not None]
    if not cpu or not rss:
        return "CPU and memory: no samples of the server's processes"
    cores = max(cpu) / 100
    said = f"{cores:.1f}" if cores >= 0.1 else f"{cores:.2f}"
    return f"The server used up to {said} cores over a load level, and {max(rss):.0f} MiB"


def numbers(points: Sequence[Point], decided: Mapping[str, Decisions], slo_ms: float) -> list[Number]:
    """The four big numbers: latency of the lightest load, most requests, most in time, turns decided right.

    `decided` by model; of several the one that decides best is named. A stand-in's decisions are no such number.
    """
    names = axes.varying([p.setting for p in points])
    lowest = min((p.level for p in effects.usable(points, "latency_p50_ms")), default=None)
    light = [p for p in effects.usable(points, "latency_p50_ms") if p.level == lowest]
    fast = min(light, key=lambda p: (p["latency_p50_ms"].value or 0, p.trial_id), default=None)
    full = max(effects.usable(points, "rps"), key=lambda p: (p["rps"].value or 0, p.trial_id), default=None)
    good = max(
        effects.usable(points, "goodput_rps"), key=lambda p: (p["goodput_rps"].value or 0, p.trial_id), default=None
    )
    return [
        _number_of(fast, "latency_p50_ms", "ms", "latency p50", names),
        _number_of(full, "rps", "requests/s", "most served", names),
        _number_of(good, "goodput_rps", "requests/s", f"most within {axes.plain(float(slo_ms))} ms", names),
        _accuracy(decided),
    ]


def _number_of(point: Point | None, measure: str, unit: str, label: str, names: Sequence[str]) -> Number:
    if point is None:
        return Number(None, unit, label, "", "no valid point has this number")
    value = point[measure]
    where = axes.level_words(point.kind, point.level)
    note = f"{where} · {axes.label(point.setting, names)}" if names else where
    return Number(rate(value.value or 0), unit, label, interval(value), note)


def _accuracy(decided: Mapping[str, Decisions]) -> Number:
    answered = {model: found for model, found in decided.items() if found.accuracy.value is not None}
    known = {model: found for model, found in answered.items() if model.partition(",")[0] not in STAND_INS}
    if answered and not known:
        return Number(None, "%", "turns decided right", "", f"only {' and '.join(answered)} was measured, a stand-in")
    if not known:
        return Number(None, "%", "turns decided right", "", "no labelled clip was answered")
    model = max(known, key=lambda name: known[name].accuracy.value or 0)
    found, value = known[model], known[model].accuracy
    note = f"{len(found.clips)} clips, threshold {axes.plain(found.threshold)}"
    note = f"{model} · {note}" if len(answered) > 1 else note
    return Number(f"{100 * (value.value or 0):.1f}", "%", "turns decided right", interval(value.scaled(100)), note)


def _top(points: Sequence[Point]) -> tuple[str, list[Point]]:
    valid = [p for p in points if p.valid]
    if not valid:
        return "", []
    level = max(p.level for p in valid)
    return at(valid, level), [p for p in valid if p.level == level]
