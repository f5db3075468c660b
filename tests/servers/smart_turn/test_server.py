"""A real server process around a model of known speed and temper."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest


def body(value: float) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.full(1600, value, np.float32))
    return stream.getvalue()


async def ask_all(url: str, values: list[float]) -> list[tuple[httpx.Response, float]]:
    """All at once; each answer with its latency in seconds."""
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=httpx.Limits(max_connections=200)) as client:

        async def ask(value: float) -> tuple[httpx.Response, float]:
            started_s = time.monotonic()
            response = await client.post("/raw", content=body(value))
            return response, time.monotonic() - started_s

        return await asyncio.gather(*(ask(value) for value in values))


@pytest.fixture(scope="module")
def quick(start: Callable[..., Any]) -> Any:
    return start("--sessions=1", "--window-ms=200", "--idle-gap-ms=100")


@pytest.fixture(scope="module")
def slow(start: Callable[..., Any]) -> Any:
    return start("--sessions=1", "--queue-limit=4", "--deadline-ms=1500", STUB_MS="500")


async def test_requests_that_come_together_share_a_batch(quick: Any) -> None:
    answers = [response.json() for response, _ in await ask_all(quick.url, [0.25, 0.5, 0.75])]

    assert [answer["probability"] for answer in answers] == [0.25, 0.5, 0.75]
    assert [answer["prediction"] for answer in answers] == [0, 0, 1]
    assert {answer["metrics"]["batch_size"] for answer in answers} == {3}
    assert all(0 < answer["metrics"]["queue_time"] <= answer["metrics"]["total_time"] for answer in answers)


async def test_a_bad_row_harms_nobody(quick: Any) -> None:
    responses = [response for response, _ in await ask_all(quick.url, [0.25, 2.0, 0.75])]

    assert [response.status_code for response in responses] == [200, 500, 200]
    assert [responses[at].json()["probability"] for at in (0, 2)] == [0.25, 0.75]
    assert responses[1].json()["error"]["code"] == "inference_failed"
    assert "ArithmeticError: a bad row" in quick.log.read_text()


def test_no_probability_is_an_error_not_an_answer(quick: Any) -> None:
    assert quick.ask(3.0).status_code == 500


def test_the_request_id_comes_back(quick: Any) -> None:
    assert quick.ask(0.5, headers={"X-Request-ID": "turn-7"}).headers["x-request-id"] == "turn-7"


def test_the_status_says_what_runs(quick: Any) -> None:
    quick.ask(0.5)

    status = quick.status()

    assert (status["server"], status["model"]["model_id"], status["sessions"]) == ("smart_turn", "stub", 1)
    assert (status["buckets"], status["compiled_ready"], status["queue_depth"]) == ([1, 2, 4, 6], False, 0)
    assert status["settings"]["window_ms"] == 200
    assert sum(status["batch_sizes"].values()) == sum(status["close_reasons"].values()) >= 1


def test_the_metrics_count_batches(quick: Any) -> None:
    quick.ask(0.5)

    text = httpx.get(f"{quick.url}/metrics").text

    for line in (
        'smart_turn_batches_total{size="1"}',
        'smart_turn_batch_starts_total{reason="gap"}',
        'smart_turn_outcomes_total{outcome="answered"}',
        "smart_turn_queue_seconds_count",
        "smart_turn_queue_depth 0.0",
    ):
        assert line in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Key wrong"}, 401),
        ({"Authorization": "right"}, 401),
        ({"Authorization": "Key right"}, 200),
    ],
)
def test_the_key(locked: Any, headers: dict[str, str], status: int) -> None:
    response = locked.ask(0.5, headers=headers)

    assert response.status_code == status
    assert "right" not in locked.log.read_text()
    assert locked.status()["settings"]["auth_key"] == "***"


@pytest.fixture(scope="module")
def locked(start: Callable[..., Any]) -> Any:
    return start(AUTH_KEY="right")


@pytest.mark.slow
async def test_overload_is_refused_at_once_and_the_accepted_keep_their_deadline(slow: Any) -> None:
    results = await ask_all(slow.url, [0.5] * 24)

    refused = [(response, latency_s) for response, latency_s in results if response.status_code == 503]
    accepted_s = [latency_s for response, latency_s in results if response.status_code == 200]
    assert len(refused) + len(accepted_s) == 24
    assert len(refused) >= 12
    # 24 connections are opened in the same moment, so the median and not the last is the server's own time.
    assert statistics.median(latency_s for _, latency_s in refused) < 0.25
    assert max(accepted_s) < 1.6
    assert all(int(response.headers["Retry-After"]) >= 1 for response, _ in refused)
    assert refused[0][0].json()["error"]["code"] == "at_capacity"


def test_health_answers_while_the_model_computes(slow: Any) -> None:
    busy = threading.Thread(target=slow.ask, args=(0.5,))
    busy.start()
    with httpx.Client(base_url=slow.url) as client:
        latencies_s = []
        while busy.is_alive():
            started_s = time.monotonic()
            assert client.get("/health").status_code == 200
            latencies_s.append(time.monotonic() - started_s)
            time.sleep(0.01)
    busy.join()

    assert len(latencies_s) > 10
    assert statistics.quantiles(latencies_s, n=10)[-1] < 0.05


def test_a_client_that_hangs_up_is_withdrawn_before_the_batch(slow: Any) -> None:
    before = slow.status()
    busy = threading.Thread(target=slow.ask, args=(0.5,))
    busy.start()
    wait_until(lambda: sum(slow.status()["batch_sizes"].values()) > sum(before["batch_sizes"].values()))

    hang_up(slow.port, body(0.5))
    wait_until(lambda: slow.status()["cancelled"] > before["cancelled"])
    busy.join()
    after = slow.status()

    assert after["queue_depth"] == 0
    assert sum(after["batch_sizes"].values()) == sum(before["batch_sizes"].values()) + 1
    levels = {json.loads(line)["level"] for line in slow.log.read_text().splitlines()}
    assert "error" not in levels


async def test_a_request_past_its_deadline_gets_504(start: Callable[..., Any]) -> None:
    hasty = start("--sessions=1", "--deadline-ms=50", STUB_MS="400")

    response, latency_s = (await ask_all(hasty.url, [0.5]))[0]

    assert response.status_code == 504
    assert response.json()["error"]["limit"] == 0.05
    assert latency_s < 0.35
    assert hasty.status()["expired"] == 1


@pytest.mark.slow
def test_a_trace_tells_the_way_of_a_request(start: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    traced = start(f"--trace-path={path}")
    traced.ask(0.5, headers={"X-Request-ID": "turn-8"})
    wait_until(lambda: '"sent"' in path.read_text())

    rows = [json.loads(line) for line in path.read_text().splitlines()]

    stamps = [(row["event"], row["at_s"]) for row in rows if row.get("request_id") == "turn-8"]
    assert [event for event, _ in stamps] == ["received", "queued", "step_start", "step_end", "sent"]
    assert [at_s for _, at_s in stamps] == sorted(at_s for _, at_s in stamps)


def hang_up(port: int, payload: bytes) -> None:
    """Sends a whole request, stays for a moment and closes the connection without reading."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: {len(payload)}\r\n\r\n"
        connection.sendall(head.encode() + payload)
        time.sleep(0.1)


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)
