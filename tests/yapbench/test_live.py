"""What people see while a trial runs."""

from __future__ import annotations

import json
from pathlib import Path

from yapbench.live import LiveStatus, said, server_facts
from yapbench.runner import read_progress

PROGRESS = {"level": 8.0, "phase": "steady", "points_done": 2, "points": 3, "done": 40, "total": 130, "p50_ms": 81.25}


def test_progress_is_said_in_words() -> None:
    assert said(PROGRESS) == {
        "load": "8, steady (point 3 of 3)",
        "requests": "40 of 130",
        "failed": "0",
        "p50 so far": "81.2 ms",
    }


def test_a_level_that_ends_by_time_has_no_total() -> None:
    assert said({"level": 1.0, "done": 3, "total": None, "points": 1})["requests"] == "3"


def test_a_snapshot_without_a_gpu_does_not_speak_of_one() -> None:
    assert server_facts({"cpu_percent": 190.4, "rss_mib": 371.0}) == {"CPU": "190 %", "memory": "371 MiB"}


def test_the_progress_file_is_there_while_it_runs_and_gone_afterwards(tmp_path: Path) -> None:
    with LiveStatus(tmp_path) as live:
        live.update(PROGRESS)
        assert read_progress(tmp_path) == json.loads(json.dumps(PROGRESS))
    assert read_progress(tmp_path) is None
