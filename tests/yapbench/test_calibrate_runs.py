"""Calibrations as they are: real servers, real load processes, and neighbours made for the purpose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from yapbench import certificate
from yapbench.calibrate import command, plan
from yapbench.calibrate.flags import Flags
from yapbench.calibrate.places import places
from yapbench.calibrate.plan import CalibrationPlan, DelayCase, SearchCase, StreamCase
from yapbench.errors import ExitCode

ROOT = Path(__file__).resolve().parents[2]
SMALL = CalibrationPlan(
    seconds=2.0,
    quick=True,
    streams=(StreamCase(64, 20, target="sink"),),
    delays=(DelayCase(20, 0.5, streams=16),),
    searches=(SearchCase(80, 16, 0.5, thorough=False),),
)
BUSY = """import os, sys
cpu, owner = map(int, sys.argv[1:])
os.sched_setaffinity(0, [cpu])
print(flush=True)
while os.getppid() == owner:
    pass
"""
needs_two = pytest.mark.skipif(not places().apart, reason="one CPU only: load and target cannot be kept apart")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(certificate.FOLDER_VARIABLE, str(tmp_path / "certificates"))
    return tmp_path / "certificates"


@contextmanager
def busy(cpus: Sequence[int], *, each: int) -> Iterator[None]:
    """So many processes on each CPU that do nothing but use it."""
    with ExitStack() as held:
        for cpu in list(cpus) * each:
            line = [sys.executable, "-c", BUSY, str(cpu), str(os.getpid())]
            process = held.enter_context(subprocess.Popen(line, stdout=subprocess.PIPE))
            held.callback(process.kill)
            assert process.stdout is not None
            process.stdout.readline()
        yield


def calibrated(monkeypatch: pytest.MonkeyPatch) -> tuple[ExitCode, dict[str, Any]]:
    """The verb itself with the small plan: its exit code and the certificate that it kept."""
    monkeypatch.setattr(plan, "quick", lambda seconds: SMALL)
    code = command.run(Flags(quick=True), console=Console(stderr=True))
    found = certificate.current()
    assert found is not None
    return code, found


@pytest.mark.slow
def test_the_verb_measures_keeps_and_says_how_it_went(tmp_path: Path) -> None:
    output = tmp_path / "certificate.json"
    line = [sys.executable, "-m", "yapbench", "calibrate", "--quick", "--seconds=1", "--json", "--output", str(output)]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    found = certificate.current()
    assert found is not None, done.stderr
    assert json.loads(done.stdout) == json.loads(output.read_text()) == found
    assert done.returncode == (5 if found["verdict"] == "INVALID" else 0)
    measured = {bar["bar"] for bar in found["bars"] if bar["value"] is not None}
    assert {"H1", "H2", "H3", "H4"} <= measured
    counts = [bar for bar in found["bars"] if bar["unit"] == "frames"]
    assert [(bar["value"], bar["verdict"]) for bar in counts] == [(0, "goal")] * 2
    assert all(bar["n"] > 1000 for bar in counts)


@needs_two
@pytest.mark.soak  # minutes on a machine of two slow cores: each level is tried again while it is disturbed
def test_a_busy_neighbour_of_the_load_makes_it_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    with busy([places().load], each=3):
        code, found = calibrated(monkeypatch)
    assert (code, found["verdict"]) == (ExitCode.INVALID_RUN, "INVALID"), found["reasons"]
    assert found["reasons"][0].startswith("other processes used")


@needs_two
@pytest.mark.soak  # on a machine that others use it may be INVALID for their sake
def test_a_busy_neighbour_of_the_target_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with busy(places().target, each=3):
        code, found = calibrated(monkeypatch)
    assert code is ExitCode.OK, found["reasons"]
    assert found["verdict"] in ("VALID", "DISTURBED")


@pytest.mark.slow
def test_h5_sees_a_frozen_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "SMALL", CalibrationPlan(seconds=4.0, quick=True, freeze_s=1.0))
    _, found = calibrated(monkeypatch)
    [bar] = [bar for bar in found["bars"] if bar["bar"] == "H5"]
    assert bar["n"] > 50
    assert bar["value"] < 10, bar
