"""Did the server reach its bars beside the bare model? Rows in, verdicts with their n out. Pure.

A number that was not measured is said to be missing, never estimated from another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from yapbench import stats
from yapbench.benchgpu.declared import Bar, Pair

NOT_MEASURED: Final = "not measured"

ROUNDS_OF_ALL: Final = 4
"""Answers of each client below which a rate is indicative: a few answers that come at once are no rate."""

_STATES: Final = {
    "ready": "compiled",
    "compiled": "compiled",
    "failed": "compile failed",
    "compile failed": "compile failed",
}
"""How compiling ended, in the server's word or in ours."""


@dataclass(frozen=True)
class Level:
    """One setting under one load level. `rate` and `p95_ms` are None where nothing was answered."""

    mode: str
    setting: str
    asked: Mapping[str, Any]
    level: float
    rate: float | None
    p50_ms: float | None
    p95_ms: float | None
    n: int
    failed: int
    verdict: str
    """VALID, DISTURBED or INVALID."""
    unit: str = "/s"
    """Of the rate."""
    gpu_percent: float | None = None
    """Mean share of time in which a kernel ran, as NVML says."""
    vram_mib: float | None = None
    """Largest memory in use on the GPU, everybody's; None: no GPU was watched."""


@dataclass(frozen=True)
class BareSize:
    """The bare model in one mode with one batch size, over all rounds."""

    mode: str
    batch_size: int
    rounds: int
    items: int
    calls: int
    rate: float
    p50_ms: float
    p95_ms: float
    unit: str = "/s"


@dataclass(frozen=True)
class Verdict:
    """One bar in one mode."""

    bar: str
    mode: str
    result: str
    """met, missed (each may be "indicative": too few samples) or "not measured"."""
    setting: str = ""
    server: str = ""
    bare: str = ""
    value: float | None = None
    notes: str = ""


def bare_sizes(rounds: Iterable[Mapping[str, Any]]) -> list[BareSize]:
    """Rounds of the bare loop, {"dtype", "graphs", "sizes": [...]}, pooled by mode and batch size."""
    found: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for one in rounds:
        for size in one.get("sizes", ()):
            state = str(size.get("compile", {}).get("state", "off"))
            look_ahead_ms = one.get("facts", {}).get("look_ahead_ms")
            mode = mode_words(one.get("dtype"), state, graphs=bool(one.get("graphs")), look_ahead_ms=look_ahead_ms)
            found[mode, int(size["batch_size"])].append(size)
    pooled = []
    for (mode, batch_size), sizes in sorted(found.items()):
        call_ms = np.concatenate([np.asarray(size["call_ms"], dtype=np.float64) for size in sizes])
        items, seconds = sum(int(size["items"]) for size in sizes), sum(float(size["seconds"]) for size in sizes)
        rate = sum(int(size["items"]) * float(size.get("worth", 1)) for size in sizes) / seconds
        p50_ms, p95_ms = (float(value) for value in np.percentile(call_ms, [50, 95]))
        unit = str(sizes[0].get("unit", "/s"))
        row = BareSize(mode, batch_size, len(sizes), items, len(call_ms), rate, p50_ms, p95_ms, unit)
        pooled.append(row)
    return pooled


def mode_words(dtype: object, compile_state: str, *, graphs: bool, look_ahead_ms: object = None) -> str:
    """bfloat16, eager | compiled | compile failed [, CUDA graphs] [, 80 ms ahead]: what ran, not what was asked for."""
    words = [str(dtype or "default dtype").removeprefix("torch."), _STATES.get(compile_state, "eager")]
    words += ["CUDA graphs"] if graphs else []
    return ", ".join([*words, *([] if look_ahead_ms is None else [f"{look_ahead_ms} ms ahead"])])


def judge(bar: Bar, levels: Sequence[Level], bare: Sequence[BareSize]) -> list[Verdict]:
    """The bar in each mode that was run, by the best setting of the mode; one "not measured" when there is none."""
    modes = sorted({row.mode for row in levels} | {row.mode for row in bare})
    if not modes:
        return [Verdict(bar.words, "", NOT_MEASURED)]
    by_rate = bar.least_share_of_rate is not None
    judged = _judge_rate if by_rate else _judge_p95
    return [
        judged(bar, mode, [row for row in levels if row.mode == mode], [row for row in bare if row.mode == mode])
        for mode in modes
    ]


def _judge_rate(bar: Bar, mode: str, levels: Sequence[Level], bare: Sequence[BareSize]) -> Verdict:
    usable, note = _usable(bar, levels)
    best = max(usable, key=lambda row: row.rate or 0.0, default=None)
    alone = max(bare, key=lambda row: row.rate, default=None)
    if best is None or best.rate is None or alone is None:
        return Verdict(bar.words, mode, NOT_MEASURED, notes=_lack(best, alone, bar) + note)
    value = best.rate / alone.rate
    result = "met" if value >= (bar.least_share_of_rate or 0.0) else "missed"
    if best.n < ROUNDS_OF_ALL * best.level:
        result += ", indicative"
        note += f"a rate needs {ROUNDS_OF_ALL} answers of each client; "
    server = f"{best.rate:.1f}{best.unit} (n={best.n}, {best.failed} failed)"
    beside = f"{alone.rate:.1f}{alone.unit} at batch {alone.batch_size} (n={alone.items}, {alone.rounds} rounds)"
    return Verdict(bar.words, mode, result, best.setting, server, beside, value, note + _disturbed(best))


def _judge_p95(bar: Bar, mode: str, levels: Sequence[Level], bare: Sequence[BareSize]) -> Verdict:
    usable, note = _usable(bar, levels)
    best = min(usable, key=lambda row: row.p95_ms or 0.0, default=None)
    alone = next((row for row in bare if row.batch_size == 1), None)
    if best is None or best.p95_ms is None or alone is None:
        return Verdict(bar.words, mode, NOT_MEASURED, notes=_lack(best, alone, bar) + note)
    value = best.p95_ms - bar.calls * alone.p95_ms
    result = "met" if value <= (bar.most_added_p95_ms or 0.0) else "missed"
    if min(best.n, alone.calls) < stats.NEEDED[0.95]:
        result += ", indicative"
        note += f"a p95 needs {stats.NEEDED[0.95]}; "
    server = f"p95 {best.p95_ms:.2f} ms (n={best.n}, {best.failed} failed)"
    times = f" x {bar.calls}" if bar.calls > 1 else ""
    beside = f"p95 {alone.p95_ms:.2f} ms{times} (n={alone.calls}, {alone.rounds} rounds)"
    return Verdict(bar.words, mode, result, best.setting, server, beside, value, note + _disturbed(best))


def _usable(bar: Bar, levels: Sequence[Level]) -> tuple[list[Level], str]:
    """The rows at the bar's level that may be believed, and how many were put aside."""
    here = [row for row in levels if row.level == bar.level and row.rate and _matches(row.asked, bar.of)]
    usable = [row for row in here if row.verdict != "INVALID"]
    aside = len(here) - len(usable)
    return usable, f"best of {len(usable)}; " + (f"{aside} INVALID left out; " if aside else "")


def _disturbed(row: Level) -> str:
    return f"{row.verdict}; " if row.verdict != "VALID" else ""


def _lack(best: Level | None, alone: BareSize | None, bar: Bar) -> str:
    lacks = [f"no valid point at {bar.level:g}"] if best is None else []
    return " and ".join([*lacks, *(["no bare loop"] if alone is None else [])]) + "; "


@dataclass(frozen=True)
class Compared:
    """Two settings in one mode at one level."""

    mode: str
    level: float
    first: Level
    then: Level


def compare(pair: Pair, levels: Sequence[Level]) -> list[Compared]:
    """The pair wherever both of its settings were measured, by mode and level."""
    wanted = {**pair.first, **pair.then}
    firsts = {(row.mode, row.level): row for row in levels if _matches(row.asked, pair.first)}
    thens = {(row.mode, row.level): row for row in levels if _matches(row.asked, wanted)}
    return [Compared(*key, firsts[key], thens[key]) for key in sorted(firsts.keys() & thens.keys())]


def _matches(asked: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(asked.get(name) == value for name, value in wanted.items())
