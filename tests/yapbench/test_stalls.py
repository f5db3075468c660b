"""Standstills of the machine: seen by the bare loop, taken out of lateness, never more than was there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from yapbench.monitoring import metronome
from yapbench.monitoring.counters import Samples
from yapbench.monitoring.metronome import PERIOD_NS, Metronome
from yapbench.monitoring.stalls import Stalls

MS = 1_000_000


def stalls(*rows: tuple[int, int]) -> Stalls:
    """From (woken at ms, late ms)."""
    columns = {"at_ns": [at * MS for at, _ in rows], "value": [float(late * MS) for _, late in rows]}
    return Stalls.of(Samples.of(pd.DataFrame({"source": "machine", "metric": "stall_ns", **columns})))


def test_lateness_inside_a_standstill_is_not_the_clients() -> None:
    seen = stalls((1000, 70))
    assert seen.beyond([940 * MS], [60 * MS]) == [0]
    assert seen.beyond([940 * MS], [65 * MS]) == [5 * MS]
    assert seen.beyond([2000 * MS], [8 * MS]) == [8 * MS]


def test_a_standstill_is_counted_inside_the_span_only() -> None:
    seen = stalls((1000, 70), (5000, 20))
    assert seen.within([(0, 950 * MS)]).tolist() == [20 * MS + PERIOD_NS]
    assert seen.within([(0, 6000 * MS)]).sum() == 90 * MS + 2 * PERIOD_NS


def test_two_processors_that_stand_still_at_once_count_once() -> None:
    seen = stalls((1000, 70), (1010, 30), (1020, 90))
    assert seen.within([(0, 2000 * MS)]).tolist() == [100 * MS]


@given(
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(5, 300)), max_size=8),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 300)), min_size=1, max_size=8),
)
def test_what_is_left_lies_between_nothing_and_all(rows: list[tuple[int, int]], late: list[tuple[int, int]]) -> None:
    due, lateness = np.array(late, dtype=float).T * MS
    left = stalls(*sorted(rows)).beyond(due, lateness)
    assert np.all(left >= 0)
    assert np.all(left <= lateness + 1e-6)


def test_the_bare_loop_sees_itself_being_stopped() -> None:
    with Metronome() as running:
        time.sleep(0.3)
        assert running._process is not None
        os.kill(running._process.pid, signal.SIGSTOP)
        time.sleep(0.2)
        os.kill(running._process.pid, signal.SIGCONT)
        time.sleep(0.1)
    assert max(row["value"] for row in running.rows()) > 150 * MS


def test_the_bare_loop_ends_with_its_owner() -> None:
    owner = f"import subprocess, sys; print(subprocess.Popen([sys.executable, {metronome.__file__!r}], stdin=-1).pid)"
    started = subprocess.run([sys.executable, "-c", owner], capture_output=True, text=True, check=True, timeout=20)
    assert int(started.stdout.splitlines()[0]) > 0  # and run() came back: nobody holds its stdout any more
