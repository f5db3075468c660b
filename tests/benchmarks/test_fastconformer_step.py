"""The cost of a step: how rounds become a ratio with its interval, and a long stream its two ends."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fastconformer_step import Ratio, Rows, ends_of, options
from yapbench import envs

NEMO = envs.environment("nemo")
ROOT = Path(__file__).resolve().parents[2]


@given(st.lists(st.floats(1, 100), min_size=2, max_size=30), st.floats(0.5, 2))
def test_a_machine_that_changes_from_round_to_round_changes_no_ratio(rounds: list[float], factor: float) -> None:
    found = Ratio.of([(spent * factor, spent) for spent in rounds])
    assert (found.value, found.low, found.high, found.n) == pytest.approx((factor,) * 3 + (len(rounds),))


def test_the_interval_is_students_for_so_many_rounds() -> None:
    found = Ratio.of([(1.1, 1.0), (1.0, 1.0), (1.0, 1.1)])
    half = 4.303 * math.log(1.1) / math.sqrt(3)
    assert (found.value, math.log(found.high), math.log(found.low)) == pytest.approx((1.0, half, -half))


def test_what_the_interval_holds_is_not_called_met() -> None:
    assert Ratio(1.05, 1.02, 1.08, 9).words.endswith(": met")
    assert Ratio(1.05, 0.90, 1.20, 9).words.endswith("not told apart from the bar")
    assert Ratio(1.30, 1.20, 1.40, 9).words.endswith("MISSED")
    with pytest.raises(ValueError, match="two rounds"):
        Ratio.of([(1.0, 1.0)])


def test_the_first_minute_is_held_against_the_last_and_the_first_step_left_out() -> None:
    spent_ms = [99.0, *[2.0] * 100, *[3.0] * 800, *[2.1] * 100]
    assert ends_of(spent_ms, 10.0) == {"first_ms": 2.0, "last_ms": 2.1, "ratio": 1.05}
    assert ends_of(spent_ms, 2.0) == ends_of(spent_ms, 10.0)  # a short stream: its tenths


def test_rows_go_on_where_they_were_each_from_its_own_place() -> None:
    audio = np.arange(12, dtype=np.float32)
    rows = Rows(audio, 3)
    assert rows.take(2).tolist() == [[0, 1], [4, 5], [8, 9]]
    assert rows.take(3).tolist() == [[2, 3, 4], [6, 7, 8], [10, 11, 0]]


def test_cells_are_read_in_their_order() -> None:
    assert options(["--cells=tiny:4,random:1"]).cells == [("tiny", 4), ("random", 1)]
    with pytest.raises(SystemExit):
        options(["--rounds=1"])


@pytest.mark.slow
@pytest.mark.skipif(not NEMO.is_complete(), reason="needs environment nemo (yapbench install fastconformer)")
def test_it_hands_itself_over_to_the_environment_and_measures_both() -> None:
    words = ["--cells=tiny:2", "--rounds=2", "--minutes=0.1"]
    command = [sys.executable, "benchmarks/fastconformer_step.py", *words]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=115, check=False)

    assert done.returncode == 0, done.stderr
    assert "tiny B=2: engine" in done.stdout and "a stream of 0.1 minutes" in done.stdout
