"""From rows to the numbers of H1 to H5: closed forms on runs that never happened."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.yapbench import made_up_streams as made_up
from yapbench.calibrate import values
from yapbench.calibrate.bare import Ticks
from yapbench.calibrate.plan import StreamCase
from yapbench.monitoring.counters import Samples

MS = 1_000_000
S = 1_000_000_000
T0_NS = made_up.T0_NS
SPAN = (T0_NS, T0_NS + 10 * S)


def stream(number: int, *, t0_ns: int, late_ms: float, frames: int, heard: int | None = None) -> dict[str, Any]:
    """A stream of 100 ms frames, each so late; the target heard so many of them."""
    row = made_up.row(t0_ns=t0_ns, late_ms=late_ms, frames=frames, index=number, audio_s=frames / 10)
    data = json.dumps({"audio_s": (frames if heard is None else heard) / 10})
    return row | {"events": [{"at_ns": t0_ns + S, "kind": "final", "text": "", "data": data}]}


def samples(*metrics: tuple[str, str, float], span: tuple[int, int] = SPAN) -> Samples:
    """Counters that rise evenly by so much over the span."""
    rows = []
    for source, metric, gain in metrics:
        for at_ns, value in ((span[0], 5.0), (span[1], 5.0 + gain)):
            rows.append({"at_ns": at_ns, "source": source, "metric": metric, "value": value})
    return Samples.of(pd.DataFrame(rows, columns=["at_ns", "source", "metric", "value"]))


CPU = samples(("worker0", "cpu_s", 2.0), ("load_cpu", "busy_s", 3.5))


def test_only_frames_due_while_everybody_speaks_count() -> None:
    rows = pd.DataFrame(
        [
            stream(0, t0_ns=T0_NS - 300 * MS, late_ms=1, frames=20),  # due from -200 ms to 1.7 s
            stream(1, t0_ns=T0_NS, late_ms=2, frames=20),  # due from 100 ms to 2 s
        ]
    )
    cut, span = values.speaking(rows, seconds=1.0)
    assert span == (T0_NS, T0_NS + S)
    assert [len(late) for late in cut["lateness_ns"]] == [10, 9]  # due at 0 ... 900 ms; at 100 ... 900 ms
    assert cut["intended_ns"].tolist() == [T0_NS - 100 * MS, T0_NS]


def test_a_run_in_closed_form() -> None:
    case = StreamCase(2, 100)
    rows = pd.DataFrame(
        [
            stream(0, t0_ns=T0_NS, late_ms=1, frames=120),
            stream(1, t0_ns=T0_NS, late_ms=3, frames=120, heard=118),
            stream(2, t0_ns=T0_NS + 12 * S, late_ms=90, frames=3),  # only kept the load up
        ]
    )
    ticks = Ticks([T0_NS - 1, T0_NS + 5, T0_NS + 11 * S], [9 * MS, 200_000, 9 * MS])
    found = values.paced(case, rows, CPU, ticks, seconds=10.0)
    assert (found.frames, found.early, found.owed, found.lost, found.failed) == (198, 0, 240, 2, 0)
    assert (found.late_p50_ms, found.late_p99_ms, found.late_p999_ms) == (2, 3, 3)
    assert found.cpu_us_per_frame == pytest.approx(2e6 / 198)
    health = found.health
    assert [health.own_percent, health.others_percent] == pytest.approx([20, 15])
    assert (health.bare_p99_ms, health.stood_still, health.problems) == (0.2, False, ())


def test_a_late_client_is_a_problem_only_where_the_case_is_judged() -> None:
    rows = pd.DataFrame([stream(0, t0_ns=T0_NS, late_ms=12, frames=120)])
    for judged, problems in ((True, ("client late: p99 12.0 ms > 10 ms",)), (False, ())):
        case = StreamCase(1, 100, judged=judged)
        assert values.paced(case, rows, CPU, Ticks(), seconds=10.0).health.problems == problems


def test_a_run_without_an_answer_has_no_numbers() -> None:
    dead = made_up.row([], frames=0, outcome="refused") | {"lateness_ns": []}
    found = values.paced(StreamCase(1, 100), pd.DataFrame([dead]), samples(), Ticks(), seconds=10.0)
    assert (found.late_p99_ms, found.cpu_us_per_frame, found.drift_ppm, found.health.own_percent) == (None,) * 4
    assert (found.frames, found.failed, found.lost) == (0, 1, found.owed)


def test_streams_in_phase_leave_the_bare_loop_the_second_half_of_a_frame() -> None:
    frame_ns = 100 * MS
    start = -(-T0_NS // frame_ns) * frame_ns
    due = [start + n * 5 * MS for n in range(200)]
    late = [(8 if (n * 5) % 100 < 50 else 1) * MS for n in range(200)]
    span = start, start + S
    assert values.bare_p99_ms(Ticks(due, late), span) == 8
    assert values.bare_p99_ms(Ticks(due, late), span, quiet_half_ns=frame_ns) == 1
    assert values.bare_p99_ms(Ticks(), span) is None


@given(slopes=st.lists(st.floats(-500, 500), min_size=1, max_size=9), frames=st.integers(3, 200))
def test_drift_is_the_median_slope(slopes: list[float], frames: int) -> None:
    step_ns = 80e6
    lateness = [np.rint(1e9 + slope * 1e-6 * step_ns * np.arange(frames)).astype(np.int64) for slope in slopes]
    assert values.drift_ppm(lateness, step_ns=step_ns) == pytest.approx(np.median(np.abs(slopes)), abs=0.02)


@pytest.mark.parametrize(
    ("bare_ms", "own_percent", "stood_still"),
    [(None, 5, False), (0.3, 5, False), (0.31, 5, True), (0.31, None, True), (9.0, 31, False)],
)
def test_a_late_bare_loop_beside_a_heavy_load_of_ours_says_nothing(
    bare_ms: float | None, own_percent: float | None, stood_still: bool
) -> None:
    found = values.Health("a", 1.0, (), own_percent, None, bare_ms)
    assert found.stood_still is stood_still
    assert not dataclasses.replace(found, others_percent=11).stood_still


def test_pairs_are_found_by_request_id() -> None:
    rows = [made_up.row(request_id=f"r{n}") for n in range(3)]
    rows.append(made_up.row(request_id="r3", phase="warmup"))
    rows.append(made_up.row([], request_id="r4", outcome="no_final"))
    log = [
        {"event": "delay", "kind": "final", "request_id": f"r{n}", "injected_s": 0.19 + n / 1000} for n in (0, 2, 3, 4)
    ]
    log.append({"event": "delay", "kind": "partial", "request_id": "r1", "injected_s": 7.0})
    found = values.delays(pd.DataFrame(rows), log, health())
    # The end message left at 901 ms, the final came at 1100 ms.
    assert found.measured_ms == pytest.approx([199, 199])
    assert found.error_ms == pytest.approx([9, 7])
    assert found.failed == 2


def test_a_standstill_is_owed_to_every_utterance_that_ends_in_it() -> None:
    ends_ms = [500.0, 1000.0, 2500.0, 3100.0]
    rows = [made_up.shifted(made_up.row(), round((end_ms - 900) * MS)) for end_ms in ends_ms]
    log: list[dict[str, Any]] = [{"event": "stall", "at_s": T0_NS / 1e9 + 0.9, "injected_s": 2.0}, {"event": "closed"}]
    found = values.freeze(pd.DataFrame(rows), log, health())
    assert found.true_ms == pytest.approx([0, 1900, 400, 0], abs=0.01)
    assert found.measured_ms == pytest.approx([200] * 4)
    assert (found.touched_percent, found.failed) == (50, 0)


def test_without_pairs_there_are_none() -> None:
    failed: Sequence[dict[str, Any]] = [made_up.row([], outcome="server_died")]
    assert values.delays(pd.DataFrame(failed), [], health()).measured_ms.size == 0
    found = values.freeze(pd.DataFrame(failed), [], health())
    assert (found.measured_ms.size, found.touched_percent, found.failed) == (0, 0, 1)


def health() -> values.Health:
    return values.Health("a run", 10.0, (), 10.0, 0.0)
