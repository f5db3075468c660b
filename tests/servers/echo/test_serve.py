"""A server process from start to end: refusals to start, warnings, draining after SIGTERM."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

pytestmark = pytest.mark.slow

StartEcho = Callable[..., Any]


def run_echo(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "servers.echo", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def post_in_background(url: str, body: bytes) -> tuple[threading.Thread, list[httpx.Response]]:
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(httpx.post(url, content=body, timeout=30)))
    thread.start()
    return thread, answers


def wait_until_in_flight(url: str, count: int) -> None:
    limit_s = time.monotonic() + 30
    while httpx.get(f"{url}/status").json()["in_flight"] < count:
        assert time.monotonic() < limit_s
        time.sleep(0.02)


def wait_until_draining(url: str) -> None:
    limit_s = time.monotonic() + 30
    while httpx.get(f"{url}/ready").status_code == 200:
        assert time.monotonic() < limit_s
        time.sleep(0.02)


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_echo("--host=127.0.0.1", f"--port={port}")
    assert done.returncode == 1
    assert done.stderr == (
        f"python -m servers.echo: port {port} on 127.0.0.1 is already in use; choose another with --port\n"
    )


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--script=/no/such/file"], "--script=/no/such/file"),
        (["--delay-log=/no/such/folder/x"], "cannot write /no/such/folder/x"),
        (["--host=203.0.113.1"], "cannot listen on 203.0.113.1"),
    ],
)
def test_a_start_that_cannot_be_ends_with_the_reason(flags: list[str], said: str) -> None:
    done = run_echo("--port=0", *flags)
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]


def test_a_usage_error_is_exit_2() -> None:
    done = run_echo("--error-rate=0.6", "--drop-rate=0.6")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "sum to more than 1" in done.stderr


def test_warnings_at_start(start_echo: StartEcho) -> None:
    echo = start_echo("--host=0.0.0.0", environ={"ECHO_DELAY_M": "5"})
    assert "no key is set" in echo.log_text()
    assert "ECHO_DELAY_M is not read; did you mean ECHO_DELAY_MS?" in echo.log_text()


@pytest.mark.parametrize(("host", "environ"), [("127.0.0.1", {}), ("0.0.0.0", {"ECHO_KEY": "s3cret"})])
def test_no_warning_with_a_key_or_on_loopback(start_echo: StartEcho, host: str, environ: dict[str, str]) -> None:
    echo = start_echo(f"--host={host}", environ=environ)
    assert "no key is set" not in echo.log_text()


def test_keys_never_reach_the_log(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--log-level=debug", environ={"ECHO_KEY": "s3cret"})
    httpx.post(f"{echo.url}/raw?api_key=s3cret", content=body)
    with connect(f"{echo.ws}?api_key=s3cret", additional_headers={"X-API-Key": "s3cret"}) as stream:
        stream.send('{"op": "close"}')
        assert json.loads(stream.recv(timeout=10))["type"] == "final"
    echo.process.send_signal(signal.SIGTERM)
    echo.process.wait(timeout=20)
    assert "POST /raw" in echo.log_text()
    assert "WS /ws" in echo.log_text()
    assert "s3cret" not in echo.log_text()


def test_an_idle_server_ends_at_once_with_0(start_echo: StartEcho) -> None:
    echo = start_echo()
    echo.process.send_signal(signal.SIGTERM)
    assert echo.process.wait(timeout=20) == 0


def test_sigterm_lets_running_requests_finish_and_takes_no_new_ones(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--delay-ms=2000")
    thread, answers = post_in_background(f"{echo.url}/raw", body)
    wait_until_in_flight(echo.url, 1)
    echo.process.send_signal(signal.SIGTERM)
    wait_until_draining(echo.url)
    refused = httpx.post(f"{echo.url}/raw", content=body)
    thread.join()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
    assert "retry-after" in refused.headers
    assert answers[0].status_code == 200
    assert echo.process.wait(timeout=20) == 0


def test_sigterm_lets_a_session_finish(start_echo: StartEcho) -> None:
    echo = start_echo()
    with connect(echo.ws) as stream:
        echo.process.send_signal(signal.SIGTERM)
        wait_until_draining(echo.url)
        stream.send('{"op": "close"}')
        assert json.loads(stream.recv(timeout=10))["type"] == "final"
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=10)
    assert stream.close_code == 1000
    assert echo.process.wait(timeout=20) == 0


def test_the_drain_has_an_end(start_echo: StartEcho) -> None:
    echo = start_echo("--drain-timeout-s=0.3")
    with connect(echo.ws) as stream:
        echo.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=20)
        assert stream.close_code == 1012
    assert echo.process.wait(timeout=20) == 0


def test_a_second_signal_ends_at_once(start_echo: StartEcho) -> None:
    echo = start_echo("--drain-timeout-s=600")
    with connect(echo.ws):
        echo.process.send_signal(signal.SIGTERM)
        wait_until_draining(echo.url)
        echo.process.send_signal(signal.SIGTERM)
        assert echo.process.wait(timeout=20) == 0


def test_the_trace_of_a_request_can_be_followed(start_echo: StartEcho, body: bytes, tmp_path: Path) -> None:
    echo = start_echo(f"--trace-path={tmp_path / 't.jsonl'}")
    httpx.post(f"{echo.url}/raw", content=body, headers={"X-Request-ID": "r1"})
    echo.process.send_signal(signal.SIGTERM)
    echo.process.wait(timeout=20)
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    mine = [row for row in rows if row.get("request_id") == "r1"]
    assert [row["event"] for row in mine] == ["received", "step_start", "step_end", "sent"]
    assert sorted(row["at_s"] for row in mine) == [row["at_s"] for row in mine]


def test_the_trace_of_a_stream_holds_its_final_and_no_partial(start_echo: StartEcho, tmp_path: Path) -> None:
    echo = start_echo(f"--trace-path={tmp_path / 't.jsonl'}", "--service-ms=20")
    with connect(echo.ws, additional_headers={"X-Request-ID": "s1"}) as session:
        session.send(bytes(32_000))
        session.send('{"op": "flush"}')
        while json.loads(session.recv())["type"] != "final":
            pass
    echo.process.send_signal(signal.SIGTERM)
    echo.process.wait(timeout=20)
    rows = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    mine = [row for row in rows if row.get("request_id") == "s1"]
    assert [row["event"] for row in mine] == ["received", "step_start", "step_end", "sent"]
    assert mine[2]["at_s"] - mine[1]["at_s"] == pytest.approx(0.02)
