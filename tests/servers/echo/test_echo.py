"""`echo` over real sockets: scripted answers, delays, stalls, faults, queue mode, and clients that misbehave."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

StartEcho = Callable[..., Any]
SECOND = b"\0" * 32_000


def receive_all(stream: ClientConnection) -> list[dict[str, Any]]:
    """Every message until the server closes."""
    return [json.loads(message) for message in stream]


def read_rows(path: Path, event: str, count: int) -> list[dict[str, Any]]:
    """The log's rows of one kind, once there are `count` (it is written from another thread)."""
    limit_s = time.monotonic() + 20
    while True:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        found = [row for row in rows if row["event"] == event]
        if len(found) >= count:
            return found
        assert time.monotonic() < limit_s
        time.sleep(0.05)


def test_raw_answers_like_smart_turn(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--probability=0.25")
    answer = httpx.post(f"{echo.url}/raw", content=body, headers={"X-Request-ID": "r1"})
    assert answer.json()["prediction"] == 0
    assert answer.json()["probability"] == 0.25
    assert set(answer.json()["metrics"]) == {"inference_time", "total_time", "queue_time", "batch_size"}
    assert answer.headers["x-request-id"] == "r1"


def test_raw_refuses_what_it_must(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--max-body-bytes=40000", environ={"ECHO_KEY": "k"})
    key = {"Authorization": "Key k"}
    statuses = [
        httpx.post(f"{echo.url}/raw", content=content, headers=headers).status_code
        for content, headers in [
            (body, {}),
            (body, {"X-API-Key": "no"}),
            (b"", key),
            (b"RIFF", key),
            (b"x" * 40001, key),
        ]
    ]
    assert statuses == [401, 401, 400, 400, 413]
    assert httpx.post(f"{echo.url}/raw", content=body, headers=key).status_code == 200


def test_the_key_is_asked_for_before_the_upgrade(start_echo: StartEcho) -> None:
    echo = start_echo(environ={"ECHO_KEY": "k"})
    with pytest.raises(InvalidStatus) as refusal, connect(echo.ws):
        pass
    assert refusal.value.response.status_code == 401


def test_partials_and_final_come_with_their_audio_times(start_echo: StartEcho) -> None:
    with connect(start_echo().ws) as stream:
        stream.send(SECOND)
        stream.send('{"op": "close"}')
        messages = receive_all(stream)
    assert [message["type"] for message in messages] == ["partial"] * 3 + ["final"]
    assert messages[2]["text"] == "the quick brown"
    assert messages[3]["text"].endswith("lazy dog")
    assert messages[3]["audio_s"] == 1.0
    assert stream.close_code == 1000


def test_after_a_flush_the_next_utterance_begins(start_echo: StartEcho, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('[{"final": "one"}, {"final": "two"}]')
    with connect(start_echo(f"--script={script}").ws) as stream:
        for operation in ("flush", "flush", "close"):
            stream.send(json.dumps({"op": operation}))
        messages = receive_all(stream)
    assert [(row["text"], row["utterance"]) for row in messages] == [("one", 0), ("two", 1), ("one", 2)]


def test_every_injected_delay_is_logged_with_its_request(start_echo: StartEcho, body: bytes, tmp_path: Path) -> None:
    log = tmp_path / "delays.jsonl"
    echo = start_echo("--delay-ms=30", "--delay-sigma=0.5", "--seed=4", f"--delay-log={log}")
    elapsed_s = {}
    with httpx.Client() as client:
        for number in range(10):
            started_s = time.monotonic()
            client.post(f"{echo.url}/raw", content=body, headers={"X-Request-ID": f"r{number}"})
            elapsed_s[f"r{number}"] = time.monotonic() - started_s
    rows = read_rows(log, "delay", 10)
    assert {row["request_id"] for row in rows} == set(elapsed_s)
    assert len({row["asked_s"] for row in rows}) == 10
    for row in rows:
        assert row["asked_s"] - 0.002 <= row["injected_s"] <= elapsed_s[row["request_id"]]


def test_partials_have_a_delay_of_their_own(start_echo: StartEcho, tmp_path: Path) -> None:
    log = tmp_path / "delays.jsonl"
    echo = start_echo("--partial-delay-ms=40", "--delay-ms=10", f"--delay-log={log}")
    with connect(echo.ws, additional_headers={"X-Request-ID": "s1"}) as stream:
        stream.send(SECOND)
        stream.send('{"op": "close"}')
        receive_all(stream)
    rows = read_rows(log, "delay", 4)
    asked = [(row["kind"], row["request_id"], round(row["asked_s"], 3)) for row in rows]
    assert asked == [("partial", "s1", 0.04)] * 3 + [("final", "s1", 0.01)]


@pytest.mark.slow
def test_a_stall_freezes_the_whole_server_health_included(start_echo: StartEcho, body: bytes, tmp_path: Path) -> None:
    log = tmp_path / "delays.jsonl"
    echo = start_echo("--stall-at-s=0.2", "--stall-for-s=1.5", f"--delay-log={log}")
    httpx.post(f"{echo.url}/raw", content=body)
    slowest_s, until_s = 0.0, time.monotonic() + 2.5
    while time.monotonic() < until_s:
        started_s = time.monotonic()
        httpx.get(f"{echo.url}/health", timeout=30)
        slowest_s = max(slowest_s, time.monotonic() - started_s)
    assert slowest_s > 1.0
    assert [row["injected_s"] >= 1.5 for row in read_rows(log, "stall", 1)] == [True]


@pytest.mark.slow
def test_scripted_errors_over_http(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--error-rate=0.5", "--error-status=418", "--seed=1")
    statuses = [httpx.post(f"{echo.url}/raw", content=body).status_code for _ in range(20)]
    assert set(statuses) == {200, 418}


@pytest.mark.slow
def test_garbage_and_a_cut_connection_over_http(start_echo: StartEcho, body: bytes) -> None:
    garbage = httpx.post(f"{start_echo('--garbage-rate=1').url}/raw", content=body)
    assert garbage.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        garbage.json()
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{start_echo('--drop-rate=1').url}/raw", content=body)


@pytest.mark.slow
def test_an_answer_that_never_comes(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--never-final-rate=1")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{echo.url}/raw", content=body, timeout=0.5)
    with connect(echo.ws) as stream:
        stream.send('{"op": "close"}')
        with pytest.raises(TimeoutError):
            stream.recv(timeout=0.5)
    wait_until_idle(echo.url)


def wait_until_idle(url: str) -> None:
    """Nothing of the clients that left stays behind."""
    limit_s = time.monotonic() + 20
    while httpx.get(f"{url}/status").json()["in_flight"]:
        assert time.monotonic() < limit_s
        time.sleep(0.05)


def test_faults_of_a_stream(start_echo: StartEcho) -> None:
    with connect(start_echo("--error-rate=1").ws) as stream:
        stream.send('{"op": "flush"}')
        assert json.loads(stream.recv(timeout=10))["error"]["code"] == "scripted_error"
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=10)
        assert stream.close_code == 1011
    with connect(start_echo("--garbage-rate=1").ws) as stream:
        stream.send('{"op": "flush"}')
        with pytest.raises(json.JSONDecodeError):
            json.loads(stream.recv(timeout=10))


def test_crosstalk_gives_another_sessions_text_under_the_right_name(start_echo: StartEcho, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    sounds = {text: bytes([number]) * 3200 for number, text in enumerate(("one", "two"), start=1)}
    heard = {text: hashlib.sha256(sound).hexdigest() for text, sound in sounds.items()}
    script.write_text(json.dumps([{"final": text, "heard": digest} for text, digest in heard.items()]))
    url, told = start_echo(f"--script={script}", "--crosstalk-rate=1").ws, []
    for text in ("one", "two"):
        with connect(url, additional_headers={"X-Request-ID": text}) as stream:
            stream.send(sounds[text])
            stream.send('{"op": "close"}')
            told += [(row["request_id"], row["text"]) for row in receive_all(stream)]
    assert told == [("one", "one"), ("two", "one")]  # the first had nobody to be mixed up with


@pytest.mark.parametrize("message", ["hello", '{"op": "fly"}', "[]"])
def test_garbage_from_a_client_is_named_and_ends_the_session(start_echo: StartEcho, message: str) -> None:
    with connect(start_echo().ws) as stream:
        stream.send(message)
        assert json.loads(stream.recv(timeout=10))["error"]["code"] == "bad_input"
        with pytest.raises(ConnectionClosed):
            stream.recv(timeout=10)
        assert stream.close_code == 1007


@pytest.mark.slow
def test_half_open_and_garbled_connections_harm_nobody(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--body-timeout-s=0.5")
    head = b"POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", echo.port)) as silent,
        socket.create_connection(("127.0.0.1", echo.port), timeout=20) as slow,
        socket.create_connection(("127.0.0.1", echo.port), timeout=20) as garbled,
    ):
        silent.sendall(b"POST /ra")
        slow.sendall(head + b"\x93NUM")
        garbled.sendall(b"\x00\xff\x13nonsense\r\n\r\n")
        assert garbled.recv(4096).startswith(b"HTTP/1.1 400")
        assert slow.recv(4096).startswith(b"HTTP/1.1 408")
        assert httpx.post(f"{echo.url}/raw", content=body).status_code == 200
    wait_until_idle(echo.url)


@pytest.mark.slow
def test_queue_mode_serves_at_its_capacity_in_order(start_echo: StartEcho, body: bytes, tmp_path: Path) -> None:
    log = tmp_path / "delays.jsonl"
    echo = start_echo("--service-ms=50", "--workers=2", f"--delay-log={log}")
    with httpx.Client() as client, ThreadPoolExecutor(20) as pool:
        started_s = time.monotonic()
        answers = list(pool.map(lambda _: client.post(f"{echo.url}/raw", content=body, timeout=30), range(20)))
        elapsed_s = time.monotonic() - started_s
    assert {answer.status_code for answer in answers} == {200}
    assert [answer.json()["metrics"]["inference_time"] for answer in answers] == pytest.approx([0.05] * 20)
    assert 0.5 <= elapsed_s < 5
    assert httpx.get(f"{echo.url}/status").json()["capacity_per_s"] == pytest.approx(40)
    rows = sorted(read_rows(log, "delay", 20), key=lambda row: float(row["at_s"] - row["injected_s"]))
    finished_s = [row["at_s"] - row["injected_s"] + row["asked_s"] for row in rows]
    assert finished_s == sorted(finished_s)


@pytest.mark.slow
def test_a_full_queue_refuses_at_once(start_echo: StartEcho, body: bytes) -> None:
    echo = start_echo("--service-ms=1000", "--queue-limit=1")
    with httpx.Client() as client, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: client.post(f"{echo.url}/raw", content=body, timeout=30), range(6)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) >= 3
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
    assert all(answer.elapsed.total_seconds() < 1 for answer in refused)


def test_status_shows_the_settings_in_force(start_echo: StartEcho) -> None:
    echo = start_echo("--delay_ms", "3", environ={"ECHO_KEY": "k", "ECHO_WORKERS": "4"})
    status = httpx.get(f"{echo.url}/status").json()
    assert (status["server"], status["pid"]) == ("echo", echo.process.pid)
    assert (status["settings"]["delay_ms"], status["settings"]["workers"]) == (3.0, 4)
    assert status["settings"]["auth_key"] == "***"
