"""Bars H1 to H5 and H9: what was measured beside its floor and its goal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from yapbench.calibrate.plan import DelayCase, SearchCase, StreamCase
from yapbench.calibrate.values import BARE_LIMIT_MS, OWN_SHARE, Delays, Freeze, Health, Paced

BarVerdict = Literal["goal", "floor", "missed", "disturbed", "not measured"]
FLOOR_STREAMS: Final = {20.0: 64, 80.0: 256}
"""H9: a machine that may not run H1's own cases (60 % of the most streams) reaches no floor."""


@dataclass(frozen=True)
class Bar:
    """One line of the certificate. Unless `at_least`, less is better; `value` None: not measured."""

    bar: str
    what: str
    unit: str
    value: float | None
    floor: float
    goal: float | None
    verdict: BarVerdict
    n: int = 0
    note: str = ""


def reached(
    value: float | None, *, floor: float, goal: float | None, disturbed: bool = False, at_least: bool = False
) -> BarVerdict:
    """A bar that is reached is reached, whoever disturbed it; one that is not may be the machine's fault."""
    if value is None:
        return "not measured"
    sign = -1 if at_least else 1
    if goal is not None and sign * value <= sign * goal:
        return "goal"
    if sign * value <= sign * floor:
        return "floor"
    return "disturbed" if disturbed else "missed"


def disturbed(health: Health) -> bool:
    """The machine stood still, or others used the load's CPU, while this run was on."""
    return health.stood_still or health.not_alone


def of_streams(found: Paced) -> list[Bar]:
    """H1, H2's drift and H3 of one case. In phase there is no bar for p99.9, and bursts have no drift to speak of."""
    case, held_up, n = found.case, disturbed(found.health), found.frames
    note = f"target {case.target}{_beside(found.health)}"
    if found.failed:
        note += f"; {found.failed} streams failed"

    def bar(name: str, what: str, unit: str, value: float | None, floor: float, goal: float | None) -> Bar:
        verdict = reached(value, floor=floor, goal=goal, disturbed=held_up)
        return Bar(name, f"{what}, {case.words}", unit, value, floor, goal, verdict, n, note)

    if case.phases == "aligned":
        in_phase = case.streams * 0.025 + 0.5
        return [
            bar("H1", "frame lateness p99", "ms", found.late_p99_ms, in_phase, None),
            bar("H3", "client CPU per frame", "us", found.cpu_us_per_frame, 15.0, 8.0),
        ]
    return [
        bar("H1", "frame lateness p99", "ms", found.late_p99_ms, 0.5, 0.1),
        bar("H1", "frame lateness p99.9", "ms", found.late_p999_ms, 2.0, 0.7),
        bar("H2", "drift, median of the streams", "ppm", found.drift_ppm, 20.0, 2.0),
        bar("H3", "client CPU per frame", "us", found.cpu_us_per_frame, 45.0, 25.0),
    ]


def of_all_streams(found: Sequence[Paced]) -> list[Bar]:
    """H2's counts over all cases."""
    if not found:
        return []
    frames, owed = sum(one.frames for one in found), sum(one.owed for one in found)
    early, lost = float(sum(one.early for one in found)), float(sum(one.lost for one in found))
    return [
        Bar("H2", "frames early, all cases", "frames", early, 0, 0, reached(early, floor=0, goal=0), frames),
        Bar("H2", "frames lost, all cases", "frames", lost, 0, 0, reached(lost, floor=0, goal=0), owed),
    ]


def of_delays(case: DelayCase, found: Delays) -> list[Bar]:
    """H4: errors of the pairs; for drawn delays also whether their percentiles are recovered."""
    held_up, n = disturbed(found.health), found.measured_ms.size
    measured = [_percentile(found.measured_ms, q) for q in (50, 95, 99)]
    logged = [_percentile(found.logged_ms, q) for q in (50, 95, 99)]
    error_ms = np.abs(found.error_ms)
    note = f"target echo; measured p50 {_ms(measured[0])}, p99 {_ms(measured[2])}{_beside(found.health)}"
    if found.failed:
        note += f"; {found.failed} without a pair"
    bars = []
    for what, value, floor, goal in (
        ("median error", _percentile(error_ms, 50), 0.5, 0.2),
        ("p99 error", _percentile(error_ms, 99), 3.0, 1.0),
    ):
        verdict = reached(value, floor=floor, goal=goal, disturbed=held_up)
        text = f"{what} of the pairs, injected {case.words}, {case.streams} streams"
        bars.append(Bar("H4", text, "ms", value, floor, goal, verdict, n, note))
    for q, got, true in zip((50, 95, 99), measured, logged, strict=True) if case.sigma else ():
        off = None if got is None or true is None else abs(got - true)
        floor = max(1.0, 0.01 * (true or 0.0))
        text = f"recovered p{q}, injected {case.words}, {case.streams} streams"
        verdict = reached(off, floor=floor, goal=None, disturbed=held_up)
        bars.append(Bar("H4", text, "ms", off, floor, None, verdict, n, f"measured {_ms(got)}, logged {_ms(true)}"))
    return bars


def of_freeze(seconds: float, found: Freeze) -> Bar:
    """H5: how much of the true p99 is missing from the measured one."""
    got, true = _percentile(found.measured_ms, 99), _percentile(found.true_ms, 99)
    short = None if got is None or not true else max(0.0, 100 * (1 - got / true))
    goal = None if not true else 1000 / true  # 10 ms of it
    hit = f"{found.touched_percent:.0f} % of the utterances ended in it"
    note = f"target echo; measured p99 {_ms(got)}, true {_ms(true)}; {hit}{_beside(found.health)}"
    exact = got is not None and true is not None and got - true <= 10  # too much is not what the goal means
    verdict = reached(short, floor=10.0, goal=goal if exact else None, disturbed=disturbed(found.health))
    what = f"p99 short of the true one, server frozen {seconds:g} s"
    return Bar("H5", what, "%", short, 10.0, goal, verdict, found.measured_ms.size, note)


def of_search(case: SearchCase, most: int | None) -> Bar:
    """H9."""
    floor = float(np.ceil(FLOOR_STREAMS.get(case.frame_ms, 1) / 0.6))
    value = None if most is None else float(most)
    note = "target sink; a load above 60 % of it is refused"
    if not case.thorough:
        note += "; a lower bound, more was not tried"
    what = f"most streams of {case.frame_ms:g} ms frames on one load process, at least"
    return Bar(
        "H9", what, "streams", value, floor, None, reached(value, floor=floor, goal=None, at_least=True), 1, note
    )


def left_out(
    streams: Sequence[StreamCase], delays: Sequence[DelayCase], freeze_s: float | None, *, note: str
) -> list[Bar]:
    """A line for each case that was not run."""
    found = [("H1", f"frame lateness p99, {case.words}", "ms", 0.5) for case in streams]
    found += [("H4", f"median error of the pairs, injected {case.words}", "ms", 0.5) for case in delays]
    if freeze_s:
        found.append(("H5", f"p99 short of the true one, server frozen {freeze_s:g} s", "%", 10.0))
    return [Bar(bar, what, unit, None, floor, None, "not measured", 0, note) for bar, what, unit, floor in found]


def most_streams(found: Mapping[SearchCase, int | None]) -> dict[str, int]:
    """{"20": n, "80": n}; a frame length for which nothing was found is left out."""
    return {f"{case.frame_ms:g}": most for case, most in found.items() if most is not None}


def _beside(health: Health) -> str:
    """What else there was on the load's CPU."""
    words = [] if health.bare_p99_ms is None else [f"; bare loop p99 {health.bare_p99_ms:.2f} ms"]
    if (health.bare_p99_ms or 0.0) > BARE_LIMIT_MS and (health.own_percent or 0.0) > OWN_SHARE:
        words.append(f" beside our own {health.own_percent:.0f} % of its CPU")
    if health.not_alone:
        words.append(f"; others used {health.others_percent:.0f} % of the load's CPU")
    return "".join(words)


def _percentile(values: np.typing.NDArray[np.float64], q: float) -> float | None:
    return float(np.percentile(values, q)) if values.size else None


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
