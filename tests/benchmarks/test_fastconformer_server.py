"""The comparison with a plain server: how cells become capacities, ratios and goals, and that it runs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fastconformer_server import heard_s, options, read_histogram
from benchmarks.peers import streams
from benchmarks.peers.streams import Cell
from servers.fastconformer.weights import TINY
from yapbench import envs

NEMO = envs.environment("nemo")
ROOT = Path(__file__).resolve().parents[2]
OURS = Cell("ours", 16, 0, ended=40, failed=0, cpu_s_per_stream_s=0.01, flush_p95_ms=30.0)
PLAIN = replace(OURS, peer="plain", cpu_s_per_stream_s=0.04)
LATE = 900.0


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=5), st.floats(1.1, 9))
def test_ratios_are_taken_within_a_round(costs: list[float], factor: float) -> None:
    cells = [replace(OURS, round=n, cpu_s_per_stream_s=cost) for n, cost in enumerate(costs)]
    cells += [replace(PLAIN, round=n, cpu_s_per_stream_s=cost * factor) for n, cost in enumerate(costs)]

    assert streams.ratios(cells, 16) == pytest.approx([factor] * len(costs))
    assert streams.ratios(cells, 8) == []


def test_capacity_ends_at_the_first_number_that_most_rounds_do_not_keep_up_with() -> None:
    by_round: dict[int, list[float]] = {8: [30, 30, 30], 16: [30, LATE, 30], 24: [LATE, LATE, 30], 48: [30, 30, 30]}
    cells = [
        replace(OURS, streams=count, round=number, flush_p95_ms=flush_ms)
        for count, rounds in by_round.items()
        for number, flush_ms in enumerate(rounds)
    ]

    assert streams.capacity(cells, "ours") == 16
    assert streams.capacity(cells, "plain") == 0


@pytest.mark.parametrize("change", [{"failed": 1}, {"ended": 0}, {"flush_p95_ms": 500.1}])
def test_a_stream_that_failed_or_came_late_is_not_kept_up_with(change: dict[str, float]) -> None:
    assert OURS.keeps_up and not replace(OURS, **change).keeps_up  # type: ignore[arg-type]


def test_goals_are_met_or_missed_and_left_out_where_nothing_was_measured() -> None:
    cells = [replace(OURS, streams=count) for count in (8, 16, 24)] + [replace(PLAIN, streams=8), PLAIN]
    cells[-1] = replace(PLAIN, flush_p95_ms=LATE)
    half = replace(OURS, streams=12, stall_p99_ms=6.0, flush_p95_ms=14.0)

    found = streams.bars(cells, half, streams=16, step_ms=5.0)

    assert [(goal["value"], goal["met"]) for goal in found] == [(3.0, True), (4.0, True), (6.0, False), (14.0, True)]
    assert "(24 to 8)" in found[0]["goal"] and found[3]["bound"] == "at most 15.0"
    assert streams.bars([], None, streams=16, step_ms=None) == []


def test_a_core_carries_as_many_streams_as_one_of_them_costs() -> None:
    assert streams.per_core([OURS, replace(OURS, cpu_s_per_stream_s=0.03, round=1)], "ours", 16) == pytest.approx(50)
    assert streams.per_core([OURS], "plain", 16) is None
    assert "| 16 | ours | 1 | 0/40 | 0.0100 | 30.0 | 1 of 1 |" in streams.table([OURS])


def test_only_the_audio_between_the_stamps_counts() -> None:
    second = 1_000_000_000
    base = {"outcome": "ok", "audio_s": 4.0, "lateness_ns": [0] * 50, "frame_ms": 80.0, "pace": 1.0, "events": []}
    rows = pd.DataFrame([{**base, "intended_ns": at * second, "ended_ns": (at + 5) * second} for at in (0, 8)])

    assert heard_s(rows, 1 * second, 10 * second) == pytest.approx(3.0 + 2.0)


def test_a_histogram_is_read_from_prometheus_text() -> None:
    text = '# TYPE x\nyap_step_seconds_bucket{le="1"} 3\nyap_step_seconds_sum 1.5\nyap_step_seconds_count 3.0\n'
    assert read_histogram(text, "step_seconds") == (1.5, 3.0)
    with pytest.raises(ValueError, match="no histogram"):
        read_histogram(text, "other_seconds")


def test_wrong_numbers_are_refused() -> None:
    assert options(["--streams=16,4,4"]).streams == [4, 16]
    for words in (["--streams=a"], ["--rounds=0"], ["--streams=0"]):
        with pytest.raises(SystemExit):
            options(words)


@pytest.mark.soak
@pytest.mark.skipif(not NEMO.is_complete(), reason="needs environment nemo (yapbench install fastconformer)")
def test_both_servers_answer_the_same_streams(tmp_path: Path) -> None:
    assert TINY.is_file()
    script = "benchmarks/fastconformer_server.py"
    words = ["--streams=2", "--beside=2", "--rounds=1", "--seconds=2", "--corpus=samples?kind=turn&limit=4"]
    command = [sys.executable, script, *words, f"--output={tmp_path / 'found.json'}"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=115, check=False)

    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "found.json").read_text())["cells"]
    assert [(cell["peer"], cell["failed"]) for cell in cells] == [("ours", 0), ("plain", 0)]
    assert all(cell["ended"] > 0 and 0 < cell["cpu_s_per_stream_s"] < 10 for cell in cells)
