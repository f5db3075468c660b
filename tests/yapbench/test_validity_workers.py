"""Of several load processes each is judged by its own lag, and the worst one counts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.yapbench import made_up
from yapbench import measures
from yapbench.schema import PROBE_NS
from yapbench.validity import Validity, Verdict


def judged(folder: Path, lag_ms: float, rows: list[tuple[int, str, str, float]]) -> Validity:
    """A trial's only point, where worker0's lag is `lag_ms` and these machine rows join: ms after its start, ..."""
    trial = made_up.trial(folder / "t", levels=[1], loop_lag_ms=lag_ms)
    start_ns = int(trial.info["points"][0]["start_ns"])
    found: list[dict[str, Any]] = [
        {"schema_version": 1, "at_ns": start_ns + at * made_up.MS, "source": source, "metric": metric, "value": value}
        for at, source, metric, value in rows
    ]
    machine = pd.concat([trial.machine, pd.DataFrame(found)])
    [point] = measures.points(dataclasses.replace(trial, machine=machine), replicates=20)
    return point.validity


def test_a_standstill_that_one_worker_met_and_another_did_not_is_not_the_clients(tmp_path: Path) -> None:
    step_ms = PROBE_NS // made_up.MS
    late = [(k * step_ms, "worker0", "loop_late_ns", 400e6 - k * PROBE_NS) for k in range(80)]
    others = [(400, "machine", "stall_ns", 399e6), (900, "worker1", "loop_lag_p99_ns", 0.2e6)]
    assert judged(tmp_path, 40.0, [*late, *others]).verdict is Verdict.DISTURBED


@pytest.mark.parametrize(("lag_ms", "verdict"), [(0.2, Verdict.VALID), (7.0, Verdict.INVALID)])
def test_the_worst_worker_counts(tmp_path: Path, lag_ms: float, verdict: Verdict) -> None:
    found = judged(tmp_path, 0.1, [(900, "worker1", "loop_lag_p99_ns", lag_ms * 1e6)])
    assert found.verdict is verdict
    assert found.loop_lag_p99_ms == pytest.approx(lag_ms)
