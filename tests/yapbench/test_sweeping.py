"""What a sweep says of each trial that ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from yapbench.engines.job import Done, Job
from yapbench.sweeping import _ended_line

JOB = Job("05_echo", "echo", {}, Path("runs/s/t"))


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        ("done", "", "[1/2] pcm: done, about 9 s left"),
        (
            "done",
            "its notebook ended early: ImportError: x\ntrace",
            "done, but its notebook ended early: ImportError: x,",
        ),
        ("failed", "no server\ntrace", "FAILED: no server,"),
    ],
)
def test_a_line_for_each_trial(status: str, error: str, words: str) -> None:
    assert words in _ended_line(Done(JOB, status, error), "pcm", 1, 2, 9.0)
