"""A comparison as plain data, for compare.json: equal rows give equal bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from yapbench import axes, stats
from yapbench.compare import circumstances
from yapbench.compare.comparison import Comparison, Line
from yapbench.compare.family import Verdict
from yapbench.compare.metrics import METRICS

VERSION: Final = 1


def as_dict(found: Comparison) -> Mapping[str, Any]:
    """JSON-able, rounded to six significant digits; equal data give equal bytes."""

    def number(value: float) -> float:
        return stats.significant(value)

    def line(one: Line) -> dict[str, Any]:
        judged, effect = one.judged, one.effect
        ends = {name: number(getattr(judged, name)) for name in ("low", "high", "all_low", "all_high", "band")}
        return {
            "setting": one.place.label,
            "load": one.place.kind,
            "level": one.place.level,
            "metric": effect.metric.name,
            "scale": "log ratio" if effect.metric.is_ratio else "difference",
            "verdict": str(judged.verdict),
            "before": number(effect.before),
            "after": number(effect.after),
            "effect": number(effect.size),
            **ends,
            "p": number(judged.p),
            "p_holm": number(judged.adjusted),
            "n": [effect.n_before, effect.n_after],
            "rounds": list(one.rounds),
            "paired": one.paired,
        }

    counts = Counter(str(one.judged.verdict) for one in found.lines)
    return {
        "comparison_version": VERSION,
        "before": circumstances.facts(found.before),
        "after": circumstances.facts(found.after),
        "threshold": found.threshold,
        "exit_code": int(found.exit_code),
        "verdicts": {str(verdict): counts[str(verdict)] for verdict in Verdict},
        "differences": [
            {"name": item.name, "before": axes.plain(item.before), "after": axes.plain(item.after)}
            for item in found.matching.differences
        ],
        "lines": [line(one) for one in found.lines],
        "told": [
            {"setting": one.label, "name": one.name, "before": number(one.before), "after": number(one.after)}
            for one in found.told
        ],
        "not_compared": [{"what": what, "why": why} for what, why in (*found.matching.alone, *found.omitted)],
        "invalid": [{"where": where, "why": why} for where, why in found.invalid],
        "notes": list(found.notes),
        "normalisers": list(found.norms),
        "metrics": {metric.name: metric.title for metric in METRICS.values()},
    }
