"""A comparison in words: what changed, by how much, and how sure it is. Knows judged numbers; computes none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from yapbench.compare.comparison import Comparison, Line, Told
from yapbench.compare.family import LEVEL, Verdict
from yapbench.compare.metrics import Kind, Metric
from yapbench.words import capital, ms, rate

_CHANGED: Final = {
    (Kind.TIME, True): "slower",
    (Kind.TIME, False): "faster",
    (Kind.RATE, True): "lower",
    (Kind.RATE, False): "higher",
    (Kind.SHARE, True): "worse",
    (Kind.SHARE, False): "better",
    (Kind.WER, True): "worse",
    (Kind.WER, False): "better",
}
_PEAKS: Final = {"rss_peak_mib": "Largest memory", "vram_peak_mib": "Largest GPU memory"}


def headline(found: Comparison) -> str:
    """What matters most; the numbers behind it stand in one bracket at the end."""
    worse, better, many = found.of(Verdict.WORSE), found.of(Verdict.BETTER), len(found.lines)
    if worse:
        more = f", and {_more(worse, 'worse')}" if len(worse) > 1 else ""
        return f"{capital(_said(worse[0]))}{more} ({numbers(worse[0])})"
    if better:
        more = f", and {_more(better, 'better')}" if len(better) > 1 else ""
        return f"Nothing got worse that could be shown; {_said(better[0])}{more} ({numbers(better[0])})"
    if not many:
        return "No valid point is left to compare"
    same = len(found.of(Verdict.SAME))
    if same == many:
        return f"No difference beyond the threshold in any of {many} numbers"
    kept = f"{same} of {many} numbers stayed within the threshold, {many - same} are too uncertain to say"
    return f"No difference was shown: {kept}"


def counts(lines: Sequence[Line]) -> str:
    """ "2 worse, 1 better, 20 without a difference, 13 not shown"; verdicts that nobody got are left out."""
    words = {
        Verdict.WORSE: "worse",
        Verdict.BETTER: "better",
        Verdict.SAME: "without a difference",
        Verdict.OPEN: "not shown",
    }
    each = {verdict: sum(line.judged.verdict is verdict for line in lines) for verdict in words}
    return ", ".join(f"{each[verdict]} {word}" for verdict, word in words.items() if each[verdict])


def verdict(line: Line) -> str:
    """A few words: "slower", "better", "no difference", "too small to matter", "not shown"."""
    judged = line.judged.verdict
    if judged is Verdict.SAME and line.judged.adjusted <= LEVEL:
        return "too small to matter"
    if judged in (Verdict.WORSE, Verdict.BETTER):
        return _CHANGED[line.effect.metric.kind, judged is Verdict.WORSE]
    return str(judged)


def numbers(line: Line) -> str:
    """ "27.1 → 29.9 ms, 95 % interval +8.1 to +12.3 %"."""
    effect = line.effect
    before, after = (value(effect.metric, each) for each in (effect.before, effect.after))
    return f"{before} → {after} {effect.metric.unit}, 95 % interval {interval(line)} {_unit(effect.metric)}"


def value(metric: Metric, number: float) -> str:
    """A value without its unit."""
    if metric.kind is Kind.TIME:
        return ms(number)
    return f"{100 * number:.2f}" if metric.kind in (Kind.SHARE, Kind.WER) else rate(number)


def change(metric: Metric, size: float) -> str:
    """An effect as a reader thinks of it: "+10.2 %" of a time or rate, "-0.31 points" of a share."""
    return f"{_plain(metric, size)} {_unit(metric)}"


def interval(line: Line) -> str:
    """The 95 % interval of the effect alone, without its unit, which is that of the change."""
    metric = line.effect.metric
    return f"{_plain(metric, line.judged.low)} to {_plain(metric, line.judged.high)}"


def band(line: Line) -> str:
    """The smallest change that matters: "5.0 %"."""
    return change(line.effect.metric, line.judged.band).lstrip("+")


def peaks(told: Sequence[Told]) -> list[str]:
    """One sentence for each kind of memory: how much it changed, and where most."""
    found = []
    for name, words in _PEAKS.items():
        mine = [one for one in told if one.name == name]
        if not mine:
            continue
        grown = {one.label: 100 * (one.after / one.before - 1) for one in mine}
        most = max(mine, key=lambda one: abs(grown[one.label]))
        where = f" with {most.label}" if most.label else ""
        text = f"{words}{where}: {most.before:.0f} → {most.after:.0f} MiB ({grown[most.label]:+.1f} %)"
        if len(mine) > 1:
            text += f"; over all {len(mine)} settings {min(grown.values()):+.1f} to {max(grown.values()):+.1f} %"
        found.append(text)
    return found


def probability(p: float) -> str:
    """A p-value with two digits that count; "< 0.0001" below."""
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.01 else f"{p:.2f}"


def _said(line: Line) -> str:
    effect = line.effect
    metric, much = effect.metric, _plain(effect.metric, abs(effect.size)).lstrip("+")
    if metric.is_ratio:  # "10 % faster" is a time shorter by 10 %
        much = f"{100 * abs(math.expm1(effect.size)):.1f}"
    load = replace(line.place, label="").words
    where = f"{load} with {line.place.label}" if line.place.label else load
    return f"{metric.title} is {much} {_unit(metric)} {verdict(line)} at {where}"


def _more(lines: Sequence[Line], word: str) -> str:
    many = len(lines) - 1
    return f"{many} more number{'' if many == 1 else 's'} got {word}"


def _plain(metric: Metric, size: float) -> str:
    return f"{100 * math.expm1(size):+.1f}" if metric.is_ratio else f"{100 * size:+.2f}"


def _unit(metric: Metric) -> str:
    return "%" if metric.is_ratio else "points"
