"""The trace can be read back, loses nothing quietly and never makes the caller wait."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from servers.common.errors import StartupRefused
from servers.common.trace import LineFile, Trace


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_spans_are_read_back_between_header_and_count(tmp_path: Path) -> None:
    trace = Trace(tmp_path / "t.jsonl", server="demo")
    trace.note("received", request_id="a", at_s=1.5)
    trace.note("step_start", request_id="a", batch_size=2, slot=0)
    trace.close()
    first, received, step, last = rows(tmp_path / "t.jsonl")
    assert (first["event"], first["server"], first["clock"]) == ("opened", "demo", "CLOCK_MONOTONIC")
    assert received == {"at_s": 1.5, "event": "received", "request_id": "a"}
    assert (step["batch_size"], step["slot"]) == (2, 0)
    assert last == {"event": "closed", "written": 3, "dropped": 0}


def test_the_header_ties_the_two_clocks(tmp_path: Path) -> None:
    Trace(tmp_path / "t.jsonl", server="demo").close()
    first = rows(tmp_path / "t.jsonl")[0]
    offset_s = float(str(first["wall_s"])) - float(str(first["monotonic_s"]))
    assert offset_s == pytest.approx(time.time() - time.monotonic(), abs=1)
    assert first["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_restart_appends(tmp_path: Path) -> None:
    for _ in range(2):
        Trace(tmp_path / "t.jsonl", server="demo").close()
    assert [row["event"] for row in rows(tmp_path / "t.jsonl")] == ["opened", "closed"] * 2


def test_a_slow_disk_costs_rows_not_time(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    lines = LineFile(fifo, limit=100)
    started_s = time.monotonic()
    while lines.dropped == 0 and time.monotonic() - started_s < 30:
        lines.add({"pad": "x" * 4096})
    assert lines.dropped > 0
    os.close(reader)
    lines.close()


def test_dropped_rows_are_counted_in_the_file(tmp_path: Path) -> None:
    lines = LineFile(tmp_path / "t.jsonl", limit=0)
    lines.add({"a": 1})
    lines.add({"a": 2})
    lines.close()
    assert rows(tmp_path / "t.jsonl") == [{"event": "closed", "written": 0, "dropped": 2}]
    assert lines.dropped == 2


def test_without_a_path_nothing_happens() -> None:
    trace = Trace(None, server="demo")
    trace.note("received", request_id="a")
    trace.close()
    assert not trace.enabled
    assert trace.dropped == 0


def test_a_path_that_cannot_be_written_refuses_the_start(tmp_path: Path) -> None:
    with pytest.raises(StartupRefused, match="no/such"):
        Trace(tmp_path / "no" / "such", server="demo")
