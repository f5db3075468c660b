"""Whether a point may be believed: was the client on time, and was the machine left alone?

Knows stamps and machine samples; does not look at any latency. An INVALID point is shown grey and never
averaged in; a DISTURBED one is shown and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from yapbench.monitoring.counters import Samples
from yapbench.monitoring.stalls import Stalls
from yapbench.schema import PROBE_NS

Floats = NDArray[np.float64]

LATENESS_LIMIT_MS: Final = 10.0
"""Of streams a quarter of the time from frame to frame, where that is less."""
LOOP_LAG_LIMIT_MS: Final = 5.0
DISTURBANCE_LIMIT_PERCENT: Final = 10.0


class Verdict(StrEnum):
    """What the harness says of its own measurement."""

    VALID = "VALID"
    DISTURBED = "DISTURBED"
    INVALID = "INVALID"


@dataclass(frozen=True)
class Validity:
    """A verdict with the numbers behind it; None: not known."""

    verdict: Verdict
    reasons: tuple[str, ...]
    lateness_p50_ms: float | None
    lateness_p99_ms: float | None
    lateness_max_ms: float | None
    loop_lag_p99_ms: float | None
    steal_percent: float | None
    """Of all cores: time that the host gave to somebody else."""
    others_percent: float | None
    """Of all cores: busy time neither the server's nor the load process's. CPU pressure would not tell
    who made it: on a small machine the server under test does."""


def judge(rows: pd.DataFrame, samples: Samples, spans: Sequence[tuple[int, int]], *, cores: int | None) -> Validity:
    """The validity of the counted utterances `rows`, measured during `spans` of (start_ns, end_ns)."""
    stalls = Stalls.of(samples)
    lateness, own_lateness = _lateness_ms(rows, stalls)
    p50, p99, worst = [_percentile(lateness, q) for q in (50, 99, 100)]
    own_p99, limit_ms = _percentile(own_lateness, 99), lateness_limit_ms(rows)
    lag = _loop_lag_p99_ms(samples, spans)
    own_lag = _own_loop_lag_p99_ms(samples, spans, stalls) if lag is not None else None
    steal = _share_percent(samples, "steal_s", spans, cores)
    others = _others_percent(samples, spans, cores)
    invalid, disturbed = [], []
    if own_p99 is not None and own_p99 > limit_ms:
        invalid.append(f"client late: p99 {own_p99:.1f} ms > {limit_ms:g} ms")
    if own_lag is not None and own_lag > LOOP_LAG_LIMIT_MS:
        invalid.append(f"load process held up: lag p99 {own_lag:.1f} ms > {LOOP_LAG_LIMIT_MS:.0f} ms")
    if not invalid and ((p99 or 0) > limit_ms or (lag or 0) > LOOP_LAG_LIMIT_MS):
        disturbed.append(_standstill(stalls.within(spans), spans))
    if steal is not None and steal > DISTURBANCE_LIMIT_PERCENT:
        disturbed.append(f"{steal:.0f} % of the cores' time stolen by the host")
    if others is not None and others > DISTURBANCE_LIMIT_PERCENT:
        disturbed.append(f"others used {others:.0f} % of the cores")
    verdict = Verdict.INVALID if invalid else Verdict.DISTURBED if disturbed else Verdict.VALID
    return Validity(verdict, (*invalid, *disturbed), p50, p99, worst, lag, steal, others)


def spans_of(info: Mapping[str, Any], level: float, repeat: int | None) -> list[tuple[int, int]]:
    """(start_ns, end_ns) of a level's repeats; of one repeat when it is given."""
    return [
        (int(point["start_ns"]), int(point["end_ns"]))
        for point in info.get("points") or []
        if float(point["level"]) == level and repeat in (None, point["repeat"])
    ]


def lateness_limit_ms(rows: pd.DataFrame) -> float:
    """How late the client's p99 may be: 10 ms, or a quarter of the shortest time from frame to frame in the rows."""
    steps_ms = _steps_ms(rows)
    return limit_of_step_ms(float(np.nanmin(steps_ms))) if np.isfinite(steps_ms).any() else LATENESS_LIMIT_MS


def limit_of_step_ms(step_ms: float) -> float:
    """The same for one time from frame to frame."""
    return min(LATENESS_LIMIT_MS, step_ms / 4)


def _steps_ms(rows: pd.DataFrame) -> Floats:
    """Time from frame to frame of each row, shape (n,); NaN for requests and for what is not paced."""
    if "frame_ms" not in rows:
        return np.full(len(rows), np.nan)
    pace = rows["pace"].to_numpy(dtype=np.float64, na_value=np.nan)
    frame_ms = rows["frame_ms"].to_numpy(dtype=np.float64, na_value=np.nan)
    steps_ms: Floats = np.divide(frame_ms, pace, out=np.full(len(rows), np.nan), where=pace > 0)
    return steps_ms


def _lateness_ms(rows: pd.DataFrame, stalls: Stalls) -> tuple[Floats, Floats]:
    """Of every frame: as stamped, and beyond standstills. A request is due as intended, frame k k + 1 frames later."""
    stamped, own = [np.empty(0)], [np.empty(0)]
    for intended_ns, frames, step_ms in zip(rows["intended_ns"], rows["lateness_ns"], _steps_ms(rows), strict=True):
        late_ns = np.asarray(frames, dtype=np.float64)
        step_ns = 0.0 if np.isnan(step_ms) else step_ms * 1e6
        stamped.append(late_ns)
        own.append(stalls.beyond(intended_ns + step_ns * (np.arange(late_ns.size) + 1), late_ns))
    return np.concatenate(stamped) / 1e6, np.concatenate(own) / 1e6


def _percentile(values: Floats, q: float) -> float | None:
    return float(np.percentile(values, q)) if values.size else None


def _standstill(lengths_ns: Floats, spans: Sequence[tuple[int, int]]) -> str:
    """The reason of a point whose client was held up together with everything else."""
    share = 100 * float(lengths_ns.sum()) / sum(end - start for start, end in spans)
    longest_ms = float(lengths_ns.max(initial=0)) / 1e6
    return f"a processor stood still for {share:.1f} % of the time, at longest {longest_ms:.0f} ms"


def _own_loop_lag_p99_ms(samples: Samples, spans: Sequence[tuple[int, int]], stalls: Stalls) -> float | None:
    """The worst load process's p99 of its loop's lag beyond standstills: from its stored late ticks, all others being
    within 1 ms.

    Of a process that stored no late tick it is the lag as measured.
    """
    found: list[float] = []
    for source in samples.sources("worker"):
        due_ns, late_ns = samples.series(source, "loop_late_ns")
        if not due_ns.size:
            found += [value for value in [_worker_lag_p99_ms(samples, spans, source)] if value is not None]
            continue
        own_ns = stalls.beyond(due_ns, late_ns)
        for start_ns, end_ns in spans:
            inside = np.sort(own_ns[(due_ns >= start_ns) & (due_ns <= end_ns)])[::-1]
            allowed = int(0.01 * (end_ns - start_ns) / PROBE_NS)
            found.append(float(inside[allowed]) / 1e6 if inside.size > allowed else 1.0)
    return max(found, default=None)


def _loop_lag_p99_ms(samples: Samples, spans: Sequence[tuple[int, int]]) -> float | None:
    """The worst load process's p99 in any span; from its 100 ms maxima where it stored no p99 of its own."""
    lags = [_worker_lag_p99_ms(samples, spans, source) for source in samples.sources("worker")]
    return max((lag for lag in lags if lag is not None), default=None)


def _worker_lag_p99_ms(samples: Samples, spans: Sequence[tuple[int, int]], source: str) -> float | None:
    found = []
    for start_ns, end_ns in spans:
        own = samples.within(source, "loop_lag_p99_ns", start_ns=start_ns, end_ns=end_ns)
        lags = samples.within(source, "loop_lag_ns", start_ns=start_ns, end_ns=end_ns)
        if own.size:
            found.append(float(own.max()))
        elif lags.size:
            found.append(float(np.percentile(lags, 99)))
    return max(found) / 1e6 if found else None


def _share_percent(samples: Samples, metric: str, spans: Sequence[tuple[int, int]], cores: int | None) -> float | None:
    gains = [samples.gain("machine", metric, start_ns=a, end_ns=b) for a, b in spans]
    return _percent(gains, spans, cores)


def _others_percent(samples: Samples, spans: Sequence[tuple[int, int]], cores: int | None) -> float | None:
    gains: list[float | None] = []
    for start_ns, end_ns in spans:
        own = ["server", *samples.sources("worker")]
        used = [samples.gain(name, "cpu_s", start_ns=start_ns, end_ns=end_ns) for name in own]
        busy = samples.gain("machine", "busy_s", start_ns=start_ns, end_ns=end_ns)
        known = [value for value in used if value is not None]
        gains.append(None if busy is None or len(known) < len(used) else max(0.0, busy - sum(known)))
    return _percent(gains, spans, cores)


def _percent(gains: Sequence[float | None], spans: Sequence[tuple[int, int]], cores: int | None) -> float | None:
    known = [value for value in gains if value is not None]
    seconds = sum(end - start for start, end in spans) / 1e9
    if not known or len(known) < len(gains) or not cores or seconds <= 0:
        return None
    return 100 * sum(known) / (cores * seconds)
