"""What the load process makes of servers that freeze or die, and of an owner that does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest

from tests.yapbench.test_load import corpus_in_files, made_corpus
from tests.yapbench.turn_server import TurnServer, turn_server
from yapbench import load, store
from yapbench.load import LoadFailure, LoadProfile, LoadResult, Plan, Point
from yapbench.load.worker import LoopProbe
from yapbench.pacing.timer import Pacer
from yapbench.schema import UTTERANCES

pytestmark = pytest.mark.slow  # real processes

CHECKOUT = Path(__file__).resolve().parent.parent.parent
Callback = Callable[[dict[str, Any]], None]


def run(server: TurnServer, folder: Path, on_progress: Callback, **profile: Any) -> tuple[LoadResult, pd.DataFrame]:
    plan = Plan(client="smart_turn", url=server.url, corpus=made_corpus(), profile=LoadProfile(**profile))
    result = load.run(plan, folder=folder, on_progress=on_progress)
    return result, store.read_table(folder / "utterances.parquet", UTTERANCES)


def once_under_way(act: Callable[[], object], *, ok: int = 10) -> Callback:
    """A callback that acts a single time, when `ok` counted requests have succeeded."""
    acted = threading.Event()

    def callback(progress: dict[str, Any]) -> None:
        if progress["ok"] >= ok and not acted.is_set():
            acted.set()
            act()

    return callback


def freeze(server: TurnServer, seconds: float) -> Callable[[], None]:
    def act() -> None:
        server.process.send_signal(signal.SIGSTOP)
        threading.Timer(seconds, server.process.send_signal, [signal.SIGCONT]).start()

    return act


@pytest.mark.slow
def test_a_freeze_of_a_second_shows_in_everything_that_was_due_meanwhile(tmp_path: Path) -> None:
    with turn_server() as server:
        callback = once_under_way(freeze(server, 1.0))
        _, rows = run(server, tmp_path, callback, kind="poisson", levels=(50,), requests=120, seed=2)
    steady = rows[rows["phase"] == "steady"]
    latency_s = (steady["ended_ns"] - steady["intended_ns"]) / 1e9
    assert len(steady) == 120
    assert latency_s.max() >= 0.9
    # 50 arrivals fell into the frozen second; a client that waits for answers would have sent only a few of them.
    assert (latency_s > 0.5).sum() >= 12
    assert (rows["sent_ns"] >= rows["intended_ns"]).all()
    assert np.percentile(np.concatenate(rows["lateness_ns"].to_list()), 50) < 100_000_000  # they left when due


PROFILES: list[dict[str, Any]] = [
    {"kind": "closed", "levels": (4, 5), "requests": 2000},
    {"kind": "ramp", "levels": (4, 5), "requests": 2000},
    {"kind": "poisson", "levels": (60, 70), "requests": 2000},
    {"kind": "burst", "levels": (4, 5), "requests": 2000, "period_s": 0.05},
]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile["kind"])
def test_a_killed_server_leaves_a_row_for_every_intended_request(tmp_path: Path, profile: dict[str, Any]) -> None:
    with turn_server(delay_ms=30) as server:
        callback = once_under_way(server.process.kill)
        result, rows = run(server, tmp_path, callback, warmup=3, **profile)
    assert isinstance(result.failure, LoadFailure)
    assert result.failure.code == "server_gone"
    assert "onnect" in result.failure.message
    assert result.unmeasured == [Point(profile["levels"][1], 0)]
    assert sorted(rows["index"]) == list(range(2003))
    assert set(rows["outcome"]) <= {"ok", "server_died", "refused"}
    assert (rows["outcome"] == "ok").sum() >= 10
    assert (rows["outcome"] == "refused").sum() > 1000
    assert rows.loc[rows["outcome"] != "ok", "error"].str.len().min() > 0
    assert (rows["ended_ns"] >= rows["intended_ns"]).all()
    [point] = result.points
    assert point["end_ns"] >= point["start_ns"]


@pytest.mark.slow
def test_a_server_that_comes_back_is_not_gone(tmp_path: Path) -> None:
    """It froze for longer than the timeout: the level goes on, with typed failures."""
    with turn_server() as server:
        callback = once_under_way(freeze(server, 1.5))
        result, rows = run(server, tmp_path, callback, levels=(2,), requests=100, timeout_s=0.4)
    assert result.failure is None
    assert len(rows[rows["phase"] == "steady"]) == 100
    assert (rows["outcome"] == "timeout").sum() >= 2
    assert set(rows["outcome"]) <= {"ok", "timeout"}


@pytest.mark.slow
def test_nothing_survives_an_owner_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from yapbench.load import *\n"
        "from tests.yapbench.test_load import made_corpus\n"
        "profile = LoadProfile(duration_s=600.0)\n"
        "plan = Plan(client='smart_turn', url=sys.argv[1], corpus=made_corpus(), profile=profile)\n"
        "run(plan, folder=Path(sys.argv[2]), on_progress=lambda progress: print(progress['ok'], flush=True))\n"
    )
    command = [sys.executable, "-c", script]
    with turn_server() as server:
        words = [*command, server.url, str(tmp_path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=CHECKOUT) as owner:
            assert owner.stdout is not None
            while int(owner.stdout.readline()) < 5:
                pass
            [worker] = psutil.Process(owner.pid).children()
            owner.kill()
        _, alive = psutil.wait_procs([worker], timeout=10)
    assert alive == []
    assert not (tmp_path / "utterances.parquet").exists()


def test_an_owner_that_does_not_listen_does_not_stop_the_clock(tmp_path: Path) -> None:
    with turn_server(delay_ms=1) as server:
        profile = LoadProfile(requests=50)
        plan = Plan(client="smart_turn", url=server.url, corpus=corpus_in_files(tmp_path), profile=profile)
        store.write_json(tmp_path / "plan.json", plan.as_json())
        read, write = os.pipe()
        os.set_blocking(write, False)
        while True:  # fill the pipe to the brim
            try:
                os.write(write, bytes(4096))
            except BlockingIOError:
                break
        command = [sys.executable, "-m", "yapbench.load.worker", str(tmp_path / "plan.json")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=write, cwd=CHECKOUT) as process:
            assert process.wait(timeout=60) == 0
    os.close(read)
    os.close(write)
    assert len(store.read_table(tmp_path / "utterances.parquet", UTTERANCES)) >= 50


def test_a_plan_can_be_run_by_hand(tmp_path: Path) -> None:
    with turn_server() as server:
        plan = Plan(
            client="smart_turn", url=server.url, corpus=corpus_in_files(tmp_path), profile=LoadProfile(requests=5)
        )
        store.write_json(tmp_path / "plan.json", plan.as_json())
        command = [sys.executable, "-m", "yapbench.load.worker", str(tmp_path / "plan.json")]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=CHECKOUT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.splitlines()[-1])["ok"] == 5


async def test_a_long_load_keeps_fewer_samples_of_its_loop() -> None:
    probe, pacer = LoopProbe(), Pacer()
    task = asyncio.create_task(probe.run(pacer))
    await asyncio.sleep(1.0)
    time.sleep(0.05)  # noqa: ASYNC251 (blocked on purpose)
    await asyncio.sleep(0.2)
    task.cancel()
    pacer.close()
    fine, coarse = probe.longest(), probe.longest(within_ns=10_000_000_000)
    assert len(fine) >= 10 > len(coarse)
    assert max(lag for _, _, lag in coarse) == max(lag for _, _, lag in fine) >= 40_000_000
    assert max(lag for _, _, lag in probe.late()) == max(lag for _, _, lag in fine)


def test_a_key_travels_by_environment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTH_KEY", raising=False)
    with turn_server() as server:
        plan = Plan(client="smart_turn", url=server.url, corpus=made_corpus(), profile=LoadProfile(requests=3))
        load.run(plan, folder=tmp_path, secrets={"AUTH_KEY": "very-secret"})
        assert server.stats()["keys"] == ["Key very-secret"]
    for path in tmp_path.iterdir():
        assert b"very-secret" not in path.read_bytes()


def _free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


def _wait_until_ready(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/ready", timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"{url} did not become ready")


def _injected_ms(log: Path) -> dict[str, float]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return {line["request_id"]: line["injected_s"] * 1000 for line in lines if line.get("event") == "delay"}


def test_what_echo_injects_is_what_is_measured(tmp_path: Path) -> None:
    port, log = _free_port(), tmp_path / "delays.jsonl"
    flags = ["--delay-ms=40", "--delay-sigma=0.3", f"--delay-log={log}", f"--port={port}", "--host=127.0.0.1"]
    with subprocess.Popen([sys.executable, "-m", "servers.echo", *flags], cwd=CHECKOUT) as echo:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(url)
            profile = LoadProfile(levels=(2,), requests=40, warmup=4)
            result = load.run(Plan(client="echo", url=url, corpus=made_corpus(), profile=profile), folder=tmp_path)
        finally:
            echo.terminate()
    assert result.failure is None
    rows = store.read_table(tmp_path / "utterances.parquet", UTTERANCES)
    injected_ms = _injected_ms(log)
    latency_ms = (rows["ended_ns"] - rows["sent_ns"]).astype(float) / 1e6
    error_ms = latency_ms - rows["request_id"].map(injected_ms)
    assert (rows["outcome"] == "ok").all()
    assert error_ms.min() >= 0
    # Of the best tenth: what the measurement itself would add is in each of them, a stall of this machine in some.
    assert error_ms.quantile(0.1) < 15
