"""What trials and sweeps make of a certificate, and how late a stream's client may be."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.yapbench import made_up_streams
from tests.yapbench.test_certificate import made_up
from yapbench import certificate, sweeping, validity
from yapbench.calibrate import command
from yapbench.engines.local import LocalEngine
from yapbench.errors import UsageError
from yapbench.monitoring.counters import Samples
from yapbench.runner import Run
from yapbench.sweep import Sweep
from yapbench.validity import Verdict, judge, lateness_limit_ms

MS = made_up_streams.MS
T0_NS = made_up_streams.T0_NS
STREAMING = {"client": "echo_pcm", "concurrency": 8, "requests": 8}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(certificate.FOLDER_VARIABLE, str(tmp_path / "certificates"))
    return tmp_path / "certificates"


def echo(**parameters: Any) -> Sweep:
    grid = {"notebook": "05_echo", "server": "echo", "parameters": STREAMING | parameters}
    return Sweep.from_mapping(grid, name="s")


def row(late_ms: float, **changes: Any) -> pd.DataFrame:
    return pd.DataFrame([made_up_streams.row(late_ms=late_ms, **changes)])


@pytest.mark.parametrize(
    ("frame_ms", "pace", "limit_ms"),
    [(20.0, 1.0, 5.0), (80.0, 1.0, 10.0), (80.0, 10.0, 2.0), (80.0, 0.0, 10.0), (None, None, 10.0)],
)
def test_a_stream_may_be_a_quarter_of_its_frame_late(
    frame_ms: float | None, pace: float | None, limit_ms: float
) -> None:
    none = Samples.of(pd.DataFrame([], columns=["at_ns", "source", "metric", "value"]))
    for late_ms, verdict in ((limit_ms, Verdict.VALID), (limit_ms + 0.01, Verdict.INVALID)):
        rows = row(late_ms, frame_ms=frame_ms, pace=pace)
        assert lateness_limit_ms(rows) == limit_ms
        assert judge(rows, none, [(T0_NS, T0_NS + MS)], cores=None).verdict is verdict


@given(frames=st.integers(1, 30), stalled=st.integers(0, 29), long_ms=st.integers(30, 90))
def test_frames_due_in_a_standstill_are_late_for_the_machine(frames: int, stalled: int, long_ms: int) -> None:
    # Every frame is on time but one, which was due when a standstill began.
    due_ns = T0_NS + (stalled + 1) * 100 * MS
    late_ns = [long_ms * MS if number == stalled else 0 for number in range(frames)]
    rows = row(1, lateness_ns=late_ns)
    stall = {"at_ns": due_ns + long_ms * MS, "source": "machine", "metric": "stall_ns", "value": long_ms * 1e6}
    found = judge(rows, Samples.of(pd.DataFrame([stall])), [(T0_NS, T0_NS + 4_000 * MS)], cores=None)
    assert found.verdict is (Verdict.DISTURBED if stalled < frames else Verdict.VALID)


def test_rows_of_requests_keep_their_limit() -> None:
    old = row(9).drop(columns=["frame_ms", "pace"])
    assert lateness_limit_ms(old) == validity.LATENESS_LIMIT_MS


def test_too_many_streams_are_refused_before_the_server_is_launched(tmp_path: Path) -> None:
    certificate.keep(made_up(most_streams={"80": 13}))
    [trial] = echo().trials()
    run = Run(trial, tmp_path / "trial")
    with pytest.raises(UsageError, match=r"^8 streams with a frame every 80 ms .* 60 %"):
        run.start()
    assert run.server is None
    assert not (tmp_path / "trial").exists()


@pytest.mark.slow
@pytest.mark.parametrize("found", [None, made_up(reasons=["as it was"])])
def test_a_trial_stores_the_certificate_that_stood(tmp_path: Path, found: dict[str, Any] | None) -> None:
    if found is not None:
        certificate.keep(found)
    [trial] = echo(client="echo", requests=1, concurrency=1).trials()
    (tmp_path / "trial").mkdir()
    with Run(trial, tmp_path / "trial") as run:
        run.start()
        run.measure()
    assert json.loads((tmp_path / "trial" / "trial.json").read_text())["certificate"] == found


def test_a_sweep_of_too_many_streams_does_not_begin(tmp_path: Path) -> None:
    certificate.keep(made_up(most_streams={"80": 13}))
    with pytest.raises(UsageError, match="load_workers=2"):
        sweeping.run(echo(), runs_dir=tmp_path, console=Console(file=io.StringIO()))
    assert not list(tmp_path.rglob("*.ipynb"))


@pytest.mark.parametrize(
    ("parameters", "calibrate", "kept", "made"),
    [
        ({}, True, False, 1),
        ({}, True, True, 0),
        ({}, False, False, 0),
        ({"client": "echo"}, True, False, 0),
    ],
)
def test_only_a_sweep_that_streams_is_calibrated_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, Any], calibrate: bool, kept: bool, made: int
) -> None:
    if kept:
        certificate.keep(made_up())
    asked: list[Console] = []

    def ensure(console: Console) -> dict[str, Any]:
        asked.append(console)
        return made_up()

    monkeypatch.setattr(command, "ensure", ensure)
    monkeypatch.setattr(LocalEngine, "run", lambda self, jobs: iter(()))
    monkeypatch.setattr(sweeping, "write_report", lambda folder, console, lost: 0)
    console = Console(file=io.StringIO())
    sweeping.run(echo(**parameters), runs_dir=tmp_path, calibrate=calibrate, console=console)
    assert len(asked) == made
