"""The client verbs against real servers: numbers, files, failures by type, exit codes."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.yapbench.turn_server import TurnServer, turn_server
from yapbench import process
from yapbench.command import CHECKOUT, free_port
from yapbench.errors import ExitCode, ServerNotReady, UsageError
from yapbench.verbs import quick, talking
from yapbench.verbs.options import Options

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log_path = tmp_path_factory.mktemp("echo") / "log"
    with process.launch("echo", settings={"delay_ms": 5}, log_path=log_path) as server:
        yield server.url


@pytest.fixture(scope="module")
def turns() -> Iterator[TurnServer]:
    """A server that has /raw and nothing else: what a foreign one offers."""
    with turn_server(delay_ms=20) as server:
        yield server


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files go to a folder of the test's; no .env, no keys."""
    for name in ("AUTH_KEY", "ECHO_KEY", "RUNPOD_TCP_HOST", "RUNPOD_TCP_PORT", "RUNPOD_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(quick, "LOOKS", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_bench_counts_shows_and_writes(echo: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(url=echo, requests=20, concurrency="2", file="mid.wav", output=runs / "out" / "table.csv")
    assert quick.bench("echo", options) == ExitCode.OK
    said = capsys.readouterr().out
    assert "p50 ms" in said and "CPU %" in said and "no failures" in said and "probability" not in said
    rows = lines(runs / "echo" / "bench" / "bench_metrics.jsonl")
    assert [row["phase"] for row in rows].count("steady") == 20
    assert all(row["outcome"] == "ok" and row["latency_ms"] >= 5 and row["probability"] == 0.9 for row in rows)
    assert (runs / "echo" / "bench" / "bench_errors.txt").read_text() == ""
    (point,) = table(runs / "out" / "table.csv")
    assert (float(point["level"]), int(point["n"]), int(point["failed"])) == (2, 20, 0)
    assert float(point["latency_p50_ms"]) >= 5 and float(point["cpu_percent"]) > 0


def test_a_ramp_has_a_line_for_each_level(turns: TurnServer, runs: Path) -> None:
    output = runs / "table.csv"
    options = Options(url=turns.url, requests=8, concurrency="1,3", file="mid.wav", output=output)
    assert quick.bench("smart_turn", options) == ExitCode.OK
    points = table(output)
    assert [float(point["level"]) for point in points] == [1, 3]
    assert [point["cpu_percent"] for point in points] == ["", ""]  # nobody says whose processes those are
    assert turns.stats()["most_at_once"] >= 3


def test_warmup_is_one_clip_with_its_times(echo: str, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quick.warmup("echo", Options(url=echo, file="mid.wav", seconds=1.5)) == ExitCode.OK
    (row,) = lines(runs / "echo" / "warmup" / "warmup_metrics.jsonl")
    assert row["connect_ms"] > 0 and row["audio_s"] == 1.5
    said = capsys.readouterr().out
    assert "connect " in said and "no failures" in said and "p95 ms" not in said


def test_throughput_runs_for_a_time(turns: TurnServer, runs: Path) -> None:
    options = Options(url=turns.url, duration=0.5, concurrency="4", file="mid.wav")
    assert quick.throughput("smart_turn", options) == ExitCode.OK
    rows = lines(runs / "smart_turn" / "throughput" / "throughput_metrics.jsonl")
    assert 8 < len(rows) < 200


def test_verbose_says_how_each_request_went(echo: str, capsys: pytest.CaptureFixture[str]) -> None:
    quick.bench("echo", Options(url=echo, requests=3, file="mid.wav", verbose=True))
    assert capsys.readouterr().out.count("probability 0.900") >= 3


def test_failures_are_told_by_type(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"error_rate": 0.5, "garbage_rate": 0.5, "seed": 1}
    with process.launch("echo", settings=settings, log_path=tmp_path / "log") as server:
        code = quick.bench("echo", Options(url=server.url, requests=20, file="mid.wav"))
    assert code == ExitCode.SERVER_FAILED  # not one answer
    said = capsys.readouterr().out
    assert "x server_error" in said and "x protocol_mismatch" in said
    errors = (runs / "echo" / "bench" / "bench_errors.txt").read_text().splitlines()
    assert len(errors) == 28  # warm-up ones, too
    assert any(line.startswith("server_error 500 ") for line in errors)


def test_an_answer_after_the_timeout_is_a_failure(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with turn_server(delay_ms=3000) as server:
        options = Options(url=server.url, requests=1, timeout=0.2, file="mid.wav")
        assert quick.warmup("smart_turn", options) == ExitCode.SERVER_FAILED
    assert "1 x timeout" in capsys.readouterr().out


def test_a_key_goes_to_the_server_and_nowhere_else(
    turns: TurnServer, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quick.warmup("smart_turn", Options(url=turns.url, key="hidden-key", file="mid.wav")) == ExitCode.OK
    assert "Key hidden-key" in turns.stats()["keys"]
    said = capsys.readouterr()
    assert "hidden-key" not in said.out + said.err
    assert all(b"hidden-key" not in path.read_bytes() for path in runs.rglob("*") if path.is_file())


def test_remote_asks_the_host_of_the_file(turns: TurnServer, runs: Path) -> None:
    host, port = turns.url.removeprefix("http://").split(":")
    Path(".env").write_text(f"RUNPOD_TCP_HOST={host}\nRUNPOD_TCP_PORT={port}\nRUNPOD_API_KEY=rp\n")
    assert quick.remote("smart_turn", Options(requests=2, file="mid.wav")) == ExitCode.OK
    assert "Bearer rp" in turns.stats()["keys"]
    assert (runs / "smart_turn" / "remote" / "remote_metrics.jsonl").exists()


def test_nobody_there_is_a_failed_server() -> None:
    with pytest.raises(ServerNotReady, match="does not answer"):
        quick.bench("echo", Options(url=f"127.0.0.1:{free_port()}", file="mid.wav"))


def test_client_asks_for_clip_after_clip(echo: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = iter(["", "mid.wav", "no-such-file", "q"])
    options = Options(url=echo, verbose=True)
    assert talking.client("echo", options, read=lambda _: next(lines)) == ExitCode.OK
    said = capsys.readouterr().out
    assert said.count("complete (0.900)") == 3 and said.count("'metrics'") == 3
    assert "no-such-file" in said


def test_client_without_a_terminal_goes_through_the_clips(echo: str, capsys: pytest.CaptureFixture[str]) -> None:
    def end(_: str) -> str:
        raise EOFError

    assert talking.client("echo", Options(url=echo, file="mid.wav"), read=end) == ExitCode.OK
    assert capsys.readouterr().out.count("complete (0.900)") == 1
    with pytest.raises(UsageError, match="--concurrency"):
        talking.client("echo", Options(url=echo, concurrency="2"))


def yapbench(run: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"YAPBENCH_RUN": str(run)}
    words = [sys.executable, "-m", "yapbench", *arguments]
    return subprocess.run(words, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)


def test_up_bench_down_in_a_shell(tmp_path: Path) -> None:
    run = tmp_path / "run"
    try:
        up = yapbench(run, "up", "smart_turn", f"--port={free_port()}", "--model=v3-onnx", "--sessions=1")
        assert up.returncode == 0, up.stderr
        bench = yapbench(run, "bench", "smart_turn", "--n", "50", "--concurrency", "4", "--seconds", "1")
        assert bench.returncode == 0, bench.stdout + bench.stderr
        assert "no failures" in bench.stdout
        assert yapbench(run, "status", "smart_turn").returncode == 0
        asked = yapbench(run, "client", "smart_turn", "--n=2")
        assert asked.returncode == 0 and asked.stdout.count("truth") == 2, asked.stdout + asked.stderr
    finally:
        down = yapbench(run, "down", "smart_turn")
    assert down.returncode == 0 and "has ended" in down.stdout
    assert yapbench(run, "status", "smart_turn").returncode == 6
