"""Two processes tell the same as one, in the trials' order; one that dies costs time and no number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.yapbench import made_up, made_up_sessions
from yapbench import measures, measuring
from yapbench.store import TrialData


@pytest.fixture
def trials(tmp_path: Path) -> list[TrialData]:
    streams = [made_up_sessions.trial(tmp_path / f"s{k}", levels=(2,), count=6, repeats=2, seed=k) for k in range(2)]
    return [*streams, made_up.trial(tmp_path / "r", levels=(1,), requests=10)]


def test_half_of_the_rows_at_most_go_to_the_second_process(
    trials: list[TrialData], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measuring._half(trials) == []
    monkeypatch.setattr(measuring, "MUCH", 1)
    theirs = measuring._half(trials)
    rows = [len(trial.utterances) for trial in trials]
    assert theirs
    assert sum(rows[k] for k in theirs) <= sum(rows) / 2


@pytest.mark.slow
@pytest.mark.parametrize("dies", [False, True])
def test_two_processes_tell_the_same_as_one(
    trials: list[TrialData], monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    alone = measuring.told(trials)
    monkeypatch.setattr(measuring, "MUCH", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    if dies:
        monkeypatch.setattr(sys, "executable", "/bin/false")
    assert measuring.told(trials) == alone == [measures.points_and_summary(trial) for trial in trials]


def test_an_error_here_ends_the_other_process(trials: list[TrialData], monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Kept(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, _: list[str], **more: object) -> None:
            super().__init__([sys.executable, "-c", "import time; time.sleep(60)"], **more)  # type: ignore[call-overload]
            started.append(self)

    def broken(_: TrialData) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(measuring, "MUCH", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(subprocess, "Popen", Kept)
    monkeypatch.setattr(measures, "points_and_summary", broken)
    with pytest.raises(RuntimeError, match="broken"):
        measuring.told(trials)
    assert started[0].returncode == -9
