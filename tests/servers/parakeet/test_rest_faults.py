"""Each fault gets its reason, and a neighbour that is served at the same time gets the right words."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import httpx
import numpy as np
import pytest

from tests.servers.parakeet.conftest import Running, Start, file_of
from tests.servers.parakeet.fake import DEADLY, POISON, say, silence
from tests.waiting import until

Fault = Callable[[httpx.AsyncClient], Coroutine[Any, Any, httpx.Response]]
AUDIO = {"content-type": "audio/wav"}


def two_hours_in_a_kilobyte() -> bytes:
    """A FLAC whose header promises 2 h; a WAV of that kind is taken as far as it goes (test_decode.py)."""
    data = bytearray(file_of(say(1, 2, 3), kind="FLAC"))
    data[21:26] = bytes([data[21] & 0xF0, *struct.pack(">I", 2 * 3600 * 16_000)])
    return bytes(data[:1024])


def infinite() -> bytes:
    return file_of(np.array([0, np.inf, 0], np.float32), subtype="FLOAT")


FAULTS = [
    ("file", b"hello " * 1000, 415, "not audio"),
    ("file", b"", 400, "empty"),
    ("file", file_of(say()), 400, "no audio"),
    ("file", two_hours_in_a_kilobyte(), 415, "damaged"),
    ("file", infinite(), 400, "NaN or Inf"),
    ("file", file_of(silence(61)), 413, r"longer than 60 s (MAX_FILE_DURATION)"),
    ("file", file_of(silence(70)), 413, r"larger than 2 MB (MAX_UPLOAD_MB)"),
    ("audio", file_of(say(1)), 400, "came in the field 'audio'"),
    ("file", file_of(say(POISON)), 500, "the model failed"),
]


@pytest.mark.parametrize("path", ["/transcribe", "/v1/audio/transcriptions"])
async def test_what_is_wrong_with_a_file_is_said_and_harms_nobody(start: Start, path: str) -> None:
    server = start(max_file_s=60, max_upload_mb=2, batch_size=8, window_ms=5)
    async with httpx.AsyncClient(timeout=30, base_url=server.url) as client:
        bad = [client.post(path, files={field: ("a", data)}) for field, data, _, _ in FAULTS]
        good = [client.post(path, files={"file": file_of(say(number, 9))}) for number in range(len(FAULTS))]
        answers = await asyncio.gather(*bad, *good)
    for (_, _, status, message), answer in zip(FAULTS, answers, strict=False):
        assert answer.status_code == status, answer.text
        assert message in answer.json()["error"]["message"]
    assert [answer.json()["text"] for answer in answers[len(FAULTS) :]] == [f"w{n} w9" for n in range(len(FAULTS))]


async def test_a_full_queue_refuses_and_serves_those_in_it(start: Start) -> None:
    server = start(batch_size=1, queue_limit=2)
    server.model.gate.clear()
    async with httpx.AsyncClient(timeout=30) as client:
        asked = [asyncio.create_task(post(client, server, number)) for number in range(3)]
        await until(lambda: server.status()["queue_depth"] == 2)
        refused = await post(client, server, 9)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "at_capacity")
        assert int(refused.headers["retry-after"]) >= 1
        server.model.gate.set()
        assert [(await each).json()["text"] for each in asked] == ["w0", "w1", "w2"]


async def test_as_many_requests_as_there_are_seats(start: Start) -> None:
    server = start(max_requests=1)
    server.model.gate.clear()
    async with httpx.AsyncClient(timeout=30) as client:
        first = asyncio.create_task(post(client, server, 1))
        await asyncio.to_thread(server.model.entered.wait, 10)
        refused = await post(client, server, 2)
        assert (refused.status_code, refused.json()["error"]["limit"]) == (503, 1)
        assert "retry-after" in refused.headers
        server.model.gate.set()
        assert (await first).json() == {"text": "w1"}
    assert server.status()["refused"]["requests"] == 1


def test_too_long_in_processing(start: Start) -> None:
    server = start(processing_timeout_s=0.3)
    server.model.gate.clear()
    answer = server.post("/transcribe", content=file_of(say(1)), headers=AUDIO)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert answer.json()["error"]["limit"] == 0.3
    server.model.gate.set()
    assert server.post("/transcribe", content=file_of(say(1)), headers=AUDIO).json() == {"text": "w1"}


async def test_a_file_that_is_half_done_waits_for_room(start: Start) -> None:
    """Its later pieces find the queue full of others' and come when there is room; it is not lost."""
    server = start(batch_size=2, queue_limit=2, max_audio_s=2, delay_s=0.03, window_ms=0)
    async with httpx.AsyncClient(timeout=60) as client:
        long = asyncio.create_task(
            client.post(f"{server.url}/transcribe", content=file_of(say(*range(60))), headers=AUDIO)
        )
        await asyncio.to_thread(server.model.entered.wait, 10)
        others = await asyncio.gather(*(post(client, server, number) for number in range(12)))
        assert {answer.status_code for answer in others} == {200, 503}
        assert (await long).json()["text"] == " ".join(f"w{number}" for number in range(60))


async def test_draining_refuses_the_new_and_finishes_the_old(start: Start) -> None:
    server = start()
    server.model.gate.clear()
    async with httpx.AsyncClient(timeout=30) as client:
        running = asyncio.create_task(post(client, server, 5))
        await asyncio.to_thread(server.model.entered.wait, 10)
        server.server.config.app.state.lifecycle.begin_drain()  # type: ignore[union-attr]
        refused = await post(client, server, 6)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "draining")
        server.model.gate.set()
        assert (await running).json() == {"text": "w5"}


async def test_a_model_thread_that_ends_is_said(start: Start) -> None:
    """The rest of the batch is harmed with it, as nobody can say whose fault it was; nobody hangs."""
    server = start(batch_size=1)
    answer = await asyncio.to_thread(server.post, "/transcribe", content=file_of(say(DEADLY)), headers=AUDIO)
    assert answer.status_code == 500


@pytest.mark.slow
async def test_a_slow_sender_keeps_nobody_waiting(start: Start) -> None:
    """A body that trickles: its neighbour is answered long before it is complete."""

    async def trickle(data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), len(data) // 8):
            yield data[at : at + len(data) // 8]
            await asyncio.sleep(0.1)

    server = start()
    async with httpx.AsyncClient(timeout=30) as client:
        slow = asyncio.create_task(
            client.post(f"{server.url}/transcribe", content=trickle(file_of(say(8))), headers=AUDIO)
        )
        await asyncio.sleep(0.1)
        assert (await post(client, server, 1)).json() == {"text": "w1"}
        assert not slow.done()
        assert (await slow).json() == {"text": "w8"}


async def post(client: httpx.AsyncClient, server: Running, number: int) -> httpx.Response:
    return await client.post(f"{server.url}/transcribe", content=file_of(say(number)), headers=AUDIO)
