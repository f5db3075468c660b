"""From the rows of one run to the numbers that bars are about. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yapbench.calibrate.bare import Ticks
from yapbench.calibrate.plan import StreamCase
from yapbench.calibrate.watch import BUSY, SOURCE
from yapbench.monitoring.counters import Samples
from yapbench.schema import Outcome, Phase
from yapbench.streams.times import Stream, times_ms
from yapbench.validity import DISTURBANCE_LIMIT_PERCENT, Verdict, judge

Floats = NDArray[np.float64]
Span = tuple[int, int]

BARE_LIMIT_MS: Final = 0.3
OWN_SHARE: Final = 30.0
"""Percent of the CPU. Above it a bare loop there is late because of our own load, and says nothing of the machine."""


SATURATED_PERCENT: Final = 95.0


@dataclass(frozen=True)
class Health:
    """Whether one run's client may be believed; None: not known."""

    name: str
    seconds: float
    problems: tuple[str, ...]
    """Why the client cannot be believed: validity's own words."""
    own_percent: float | None
    """Of the load's CPU: the load process."""
    others_percent: float | None
    """Of the load's CPU: processes that are not ours."""
    bare_p99_ms: float | None = None
    standstill: str = ""
    """In validity's words: the client was late, but only while the machine stood still."""

    @property
    def stood_still(self) -> bool:
        """The machine did. A process of others on our CPU is no standstill."""
        return not self.not_alone and (self.bare_late or bool(self.standstill))

    @property
    def bare_late(self) -> bool:
        """A loop that does nothing else was late on this CPU, and that was not for our own load."""
        late = self.bare_p99_ms is not None and self.bare_p99_ms > BARE_LIMIT_MS
        return late and (self.own_percent is None or self.own_percent <= OWN_SHARE)

    @property
    def not_alone(self) -> bool:
        """Others took so much of this CPU that they count."""
        return self.others_percent is not None and self.others_percent > DISTURBANCE_LIMIT_PERCENT


@dataclass(frozen=True)
class Paced:
    """H1 to H3 of one case. Lateness in ms; None: no frame, or not known."""

    case: StreamCase
    frames: int
    late_p50_ms: float | None
    late_p99_ms: float | None
    late_p999_ms: float | None
    early: int
    owed: int
    """Frames that were to be sent in all."""
    lost: int
    """Frames of them that the target never heard."""
    failed: int
    """Streams that did not end well."""
    drift_ppm: float | None
    cpu_us_per_frame: float | None
    health: Health


@dataclass(frozen=True)
class Delays:
    """H4 of one case: pairs of what was measured and what echo logged, shape (n,) each, ms."""

    measured_ms: Floats
    logged_ms: Floats
    failed: int
    health: Health

    @property
    def error_ms(self) -> Floats:
        """Measured minus logged."""
        return self.measured_ms - self.logged_ms


@dataclass(frozen=True)
class Freeze:
    """H5: latencies from when the end message was due, as measured and as the logged standstill makes them, ms."""

    measured_ms: Floats
    true_ms: Floats
    failed: int
    health: Health

    @property
    def touched_percent(self) -> float:
        """Utterances that ended while the server stood still."""
        return 100 * float(np.mean(self.true_ms > 0)) if self.true_ms.size else 0.0


def on_time(found: Paced | None) -> bool:
    """H9: the client kept up by the rule that judges trials, with CPU to spare.

    A loop beside a saturated client is late, too, and would be taken for a standstill of the machine.
    """
    if found is None or found.failed or not found.frames or found.health.problems:
        return False
    return found.health.own_percent is None or found.health.own_percent < SATURATED_PERCENT


def speaking(rows: pd.DataFrame, *, seconds: float) -> tuple[pd.DataFrame, Span]:
    """The same rows with only those frames that were due in the first `seconds` in which everybody spoke; that span.

    Connecting is no part of it. Less than `seconds` where the first to speak ended too soon. A row's `intended_ns`
    moves on with its first frame that is left.
    """
    start_ns, end_ns = int(rows["intended_ns"].max()), int(rows["intended_ns"].max() + round(seconds * 1e9))
    steps_ns = [round(frame_ms * 1e6) for frame_ms in rows["frame_ms"]]
    streams = list(zip(rows["intended_ns"], rows["lateness_ns"], steps_ns, strict=True))
    ends_ns = [int(t0_ns) + (len(late_ns) + 1) * step_ns for t0_ns, late_ns, step_ns in streams if len(late_ns)]
    span = start_ns, max(start_ns + 1, min([end_ns, *ends_ns]))
    intended, kept = [], []
    for t0_ns, lateness, step_ns in streams:
        late_ns = np.asarray(lateness, dtype=np.int64)
        due_ns = t0_ns + (np.arange(late_ns.size) + 1) * step_ns
        inside = np.flatnonzero((due_ns >= span[0]) & (due_ns < span[1]))
        intended.append(int(t0_ns) + (int(inside[0]) if inside.size else 0) * step_ns)
        kept.append(late_ns[inside])
    return rows.assign(intended_ns=intended, lateness_ns=pd.Series(kept, index=rows.index, dtype=object)), span


def paced(case: StreamCase, rows: pd.DataFrame, samples: Samples, ticks: Ticks, *, seconds: float) -> Paced:
    """`rows`: all of the run; the first `case.streams` requests are the case, the rest only waited for them."""
    counted = rows[rows["index"] < case.streams]
    cut, span = speaking(counted, seconds=seconds)
    late_ms = np.concatenate([np.empty(0), *cut["lateness_ns"]]) / 1e6
    step_ms = case.frame_ms
    frames_each = [int(np.ceil(1e3 * audio_s / step_ms - 1e-6)) for audio_s in counted["audio_s"]]
    bare = bare_p99_ms(ticks, span, quiet_half_ns=round(step_ms * 1e6) if case.phases == "aligned" else None)
    health = health_of(case.words, cut, samples, span, bare=bare, late_counts=case.judged)
    spent_s = None if health.own_percent is None else health.own_percent / 100 * health.seconds
    p50, p99, p999 = _percentiles(late_ms, 50, 99, 99.9)
    return Paced(
        case=case,
        frames=late_ms.size,
        late_p50_ms=p50,
        late_p99_ms=p99,
        late_p999_ms=p999,
        early=int(np.count_nonzero(late_ms < 0)),
        owed=sum(frames_each),
        lost=sum(frames_each) - sum(round(1e3 * audio_s / step_ms) for audio_s in map(heard_s, counted["events"])),
        failed=int((counted["outcome"] != Outcome.OK).sum()),
        drift_ppm=drift_ppm(list(cut["lateness_ns"]), step_ns=step_ms * 1e6),
        cpu_us_per_frame=spent_s * 1e6 / late_ms.size if spent_s is not None and late_ms.size else None,
        health=health,
    )


def delays(rows: pd.DataFrame, log: Sequence[Mapping[str, Any]], health: Health) -> Delays:
    """Each counted utterance's flush latency beside the delay that echo logged under its request id."""
    counted = rows[rows["phase"] == Phase.STEADY]
    injected_ms = {line["request_id"]: 1e3 * line["injected_s"] for line in log if line.get("kind") == "final"}
    pairs = []
    for _, row in counted.iterrows():
        measured_ms = times_ms(Stream.of(row))["flush"].value
        if measured_ms is not None and row["request_id"] in injected_ms:
            pairs.append((measured_ms, injected_ms[row["request_id"]]))
    measured, logged = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return Delays(measured, logged, len(counted) - len(pairs), health)


def freeze(rows: pd.DataFrame, log: Sequence[Mapping[str, Any]], health: Health) -> Freeze:
    """An end message due while the server stands still is answered when it wakes; any other one at once."""
    counted = rows[rows["phase"] == Phase.STEADY]
    stalls = [(1e9 * line["at_s"], 1e9 * line["injected_s"]) for line in log if line.get("event") == "stall"]
    measured, true = [], []
    for _, row in counted.iterrows():
        stream = Stream.of(row)
        latency_ms, due_ns = times_ms(stream)["eos_due"].value, stream.end_due_ns
        if latency_ms is not None and due_ns is not None:
            measured.append(latency_ms)
            left_ns = [at_ns + long_ns - due_ns for at_ns, long_ns in stalls if at_ns <= due_ns <= at_ns + long_ns]
            true.append(max(left_ns, default=0.0) / 1e6)
    return Freeze(np.array(measured), np.array(true), len(counted) - len(measured), health)


def health_of(
    name: str,
    rows: pd.DataFrame,
    samples: Samples,
    span: Span,
    *,
    bare: float | None = None,
    late_counts: bool = True,
) -> Health:
    """From the counted rows, with frames of the span only. `late_counts`: a late client is a problem in this run."""
    seconds = (span[1] - span[0]) / 1e9
    verdict = judge(rows, samples, [span], cores=None)
    problems = verdict.reasons if late_counts and verdict.verdict is Verdict.INVALID else ()
    standstill = "; ".join(verdict.reasons) if verdict.verdict is Verdict.DISTURBED else ""
    own = [samples.gain(worker, "cpu_s", start_ns=span[0], end_ns=span[1]) for worker in samples.sources("worker")]
    own_s = sum(value for value in own if value is not None) if own and None not in own else None
    busy_s = samples.gain(SOURCE, BUSY, start_ns=span[0], end_ns=span[1])
    others_s = None if own_s is None or busy_s is None else max(0.0, busy_s - own_s)
    return Health(
        name=name,
        seconds=seconds,
        problems=problems,
        own_percent=None if own_s is None else 100 * own_s / seconds,
        others_percent=None if others_s is None else 100 * others_s / seconds,
        bare_p99_ms=bare,
        standstill=standstill,
    )


def bare_p99_ms(ticks: Ticks, span: Span, *, quiet_half_ns: int | None = None) -> float | None:
    """p99 of the bare loop within the span; None without a tick there.

    `quiet_half_ns`: the frame length of streams that are all in phase. Then only ticks of the second half of a frame
    count: in the first half the loop would wait for our own work.
    """
    due_ns, late_ns = np.array(ticks.due_ns, dtype=np.int64), np.array(ticks.late_ns, dtype=np.int64)
    inside = (due_ns >= span[0]) & (due_ns < span[1])
    if quiet_half_ns is not None:
        inside &= due_ns % quiet_half_ns >= quiet_half_ns // 2
    return _percentiles(late_ns[inside] / 1e6, 99)[0]


def drift_ppm(lateness_ns: Sequence[NDArray[np.int64]], *, step_ns: float) -> float | None:
    """Median over streams of the absolute slope of their lateness over time; None where none has two frames."""
    slopes = [abs(float(np.polyfit(np.arange(one.size) * step_ns, one, 1)[0])) for one in lateness_ns if one.size >= 2]
    return 1e6 * float(np.median(slopes)) if slopes else None


def heard_s(events: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of audio that the target says it heard, in its last message that says so."""
    for event in reversed(list(events)):
        if event["kind"] == "final" and event["data"]:
            return float(json.loads(event["data"])["audio_s"])
    return 0.0


def _percentiles(values: Floats, *q: float) -> list[float | None]:
    return [float(np.percentile(values, one)) if values.size else None for one in q]
