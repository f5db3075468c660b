"""What a client of /ws can get wrong and what can go wrong with it: its reason, and nobody else's harm."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from servers.common.audio import float_to_pcm16
from servers.common.interfaces import Audio
from tests.raw_socket import Deaf
from tests.server_process import Child, launching
from tests.servers.parakeet.conftest import Call, Running, Start, dial
from tests.servers.parakeet.fake import DEADLY, POISON, FakeDetector, say, silence, text_of
from tests.servers.parakeet.test_session import FLUSHED, talk, until_flushed
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def server(start: Start) -> Running:
    return start()


@pytest.mark.parametrize(
    ("text", "field"),
    [("hello", "message"), ('{"type":"config"}', "type"), ('{"audio":"AAAA"}', "type"), ("x" * 5000, "message")],
)
async def test_a_text_that_means_nothing_is_told_and_the_session_goes_on(
    server: Running, text: str, field: str
) -> None:
    async with dial(server) as call:
        await call.say(say(1))
        await call.ws.send(text)
        row = await call.hear()
        assert (row["code"], row["field"]) == ("bad_input", field) and "start" not in row
        await call.say(talk((2,)))
        await until_flushed(call)
    assert call.texts == [text_of(1, 2)]


async def test_an_odd_byte_waits_for_its_other_half(server: Running) -> None:
    data = float_to_pcm16(talk((1, 2)))
    async with dial(server) as call:
        for start in range(0, len(data), 641):
            await call.ws.send(data[start : start + 641])
        await until_flushed(call)
    assert call.texts == [text_of(1, 2)]


async def test_half_a_sample_at_a_flush_is_told_and_the_next_begins_anew(server: Running) -> None:
    async with dial(server) as call:
        await call.say(say(1))
        await call.ws.send(b"\x01")
        await until_flushed(call)
        assert [row["field"] for row in call.rows if "error" in row] == ["audio"]
        await call.say(talk((2,)))
        await until_flushed(call)
    assert call.texts == ["w1", "w2"]


@pytest.mark.parametrize("number", [POISON, DEADLY])
async def test_a_chunk_that_fails_has_its_error_in_its_place(start: Start, number: int) -> None:
    server = start(window_ms=50)
    async with dial(server) as call, dial(server) as other:
        await call.say(talk((1,)))
        assert (await call.result())["text"] == "w1"
        await asyncio.gather(call.say(talk((number,))), other.say(talk((3,))))
        row = await call.result()
        assert (row["code"], "start" in row, "text" in row) == ("inference_failed", True, False)
        neighbour = await other.result()
        assert number == DEADLY or neighbour["text"] == "w3"
        await call.say(talk((4,)))
        assert number == DEADLY or (await call.result())["text"] == "w4"
        assert server.free == 126


async def test_a_full_queue_and_a_late_answer_are_the_chunks_errors(start: Start) -> None:
    server = start(batch_size=1, queue_limit=1, processing_timeout_s=1)
    server.model.gate.clear()
    async with dial(server) as first, dial(server) as second, dial(server) as third:
        await first.say(talk((1,)))
        await until(server.model.entered.is_set)
        await second.say(talk((2,)))
        await until(lambda: server.status()["queue_depth"] == 1)
        await third.say(talk((3,)))
        assert (await third.result())["code"] == "at_capacity"
        assert (await second.result())["code"] == "deadline_exceeded"
        server.model.gate.set()
        await third.say(talk((4,)))
        assert (await third.result())["text"] == "w4"


async def test_a_session_too_many_is_told_and_the_seat_comes_back(start: Start) -> None:
    server = start(max_sessions=1)
    async with dial(server) as first:
        await until(lambda: server.free == 0)
        async with dial(server) as second:
            assert await second.end() == 1013
        assert [(row["code"], row["limit"]) for row in second.rows] == [("at_capacity", 1)]
        first.ws.transport.abort()
    await until(lambda: server.free == 1)
    assert server.status()["refused"]["sessions"] == 1


async def test_who_says_nothing_is_answered_and_closed(start: Start) -> None:
    server = start(idle_timeout_s=0.4)
    async with dial(server) as call:
        await call.say(say(1, 2))
        assert await call.end() == 4000
    assert call.texts == [text_of(1, 2)] and call.rows[-1]["code"] == "idle_timeout"
    assert server.free == 128


async def test_whoever_speaks_is_not_idle(start: Start) -> None:
    async with dial(start(idle_timeout_s=0.4)) as call:
        for _ in range(8):
            await call.say(silence(0.02))
            await asyncio.sleep(0.1)
        await until_flushed(call)


async def test_a_frame_of_ten_megabytes_is_heard_and_one_too_large_refused(server: Running) -> None:
    long = np.concatenate([silence(310), talk((1, 2, 3))])
    async with dial(server) as call, dial(server) as other:
        await call.ws.send(float_to_pcm16(long))
        await other.say(talk((5,)))
        assert (await other.result())["text"] == "w5"
        await until_flushed(call)
        assert call.texts == [text_of(1, 2, 3)]
        with contextlib.suppress(ConnectionClosed):  # the answer may come before all is sent
            await call.ws.send(bytes(16 * 1024 * 1024 + 2))
        assert await call.end() == 1009
    await until(lambda: server.free == 128)


async def test_a_flood_of_texts_is_answered_one_by_one(server: Running) -> None:
    async with dial(server) as call, dial(server) as other:
        for _ in range(3000):
            await call.ws.send("nonsense")
        await call.flush()
        await other.say(talk((5,)))
        assert (await other.result())["text"] == "w5"
        while await call.hear() != FLUSHED:
            pass
    assert sum(row.get("field") == "message" for row in call.rows) == 3000


async def test_a_flood_of_flushes_holds_up_its_own_client_only(start: Start) -> None:
    server = start(batch_size=1)
    server.model.gate.clear()
    async with dial(server) as call:
        await call.say(talk((1,), (2,)))
        for _ in range(2000):
            await call.flush()
        await asyncio.sleep(0.2)
        server.model.gate.set()
        while call.rows.count(FLUSHED) < 2000:
            await call.hear()
    assert call.texts == ["w1", "w2"]


async def test_a_client_that_reads_nothing_is_given_up(start: Start) -> None:
    server = start(idle_timeout_s=1.0)
    deaf = await asyncio.to_thread(Deaf, server.address, "/ws")
    await until(lambda: server.free == 127)
    deaf.socket.setblocking(False)

    def flood() -> bool:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(5000):
                deaf.send("nonsense")
        return server.free == 128

    await until(flood, within_s=30)
    deaf.socket.close()


async def test_a_client_that_answers_no_ping_is_gone(start: Start) -> None:
    server = start(uvicorn={"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2})
    deaf = await asyncio.to_thread(Deaf, server.address, "/ws")
    await until(lambda: server.free == 127)
    await until(lambda: server.free == 128)
    deaf.socket.close()


async def test_a_session_killed_with_queued_chunks_costs_the_model_nothing(start: Start) -> None:
    server = start(batch_size=1)
    async with dial(server) as call, dial(server) as other:
        server.model.gate.clear()
        await other.say(talk((1,)))
        await until(server.model.entered.is_set)
        await call.say(talk((2,), (3,), (4,), (5,)))
        await until(lambda: server.status()["queue_depth"] == 2)
        call.ws.transport.abort()
        await until(lambda: server.free == 127)
        server.model.gate.set()
        assert (await other.result())["text"] == "w1"
        await other.say(talk((6,)))
        assert (await other.result())["text"] == "w6"
    assert len(server.model.batches) == 2


async def test_a_lost_detector_ends_the_session_and_says_so(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FakeDetector.hear

    def hear(self: FakeDetector, state: Any, samples: Audio) -> Any:
        if np.abs(samples).max() > 0.8:
            raise ArithmeticError("no such sound")
        return whole(self, state, samples)

    monkeypatch.setattr(FakeDetector, "hear", hear)
    async with dial(server) as call, dial(server) as other:
        await call.say(say(1, 2))
        await asyncio.sleep(0.2)
        await call.say(say(3, level=0.9))
        assert await call.end() == 1011
        await other.say(talk((5,)))
        assert (await other.result())["text"] == "w5"
    assert call.texts == [text_of(1, 2)] and call.rows[-1]["code"] == "inference_failed"


async def test_a_key_is_asked_for_before_the_upgrade(start: Start) -> None:
    server = start(api_key="secret")
    with pytest.raises(InvalidStatus) as refusal:
        async with dial(f"{server.ws}?api_key=wrong"):
            pass
    assert refusal.value.response.status_code == 401
    async with dial(f"{server.ws}?api_key=secret") as call:
        await until_flushed(call)


Launch = Callable[..., Child]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    """`launch("--drain-timeout-s=2", STUB_MS="50")`; the processes are gone after the test."""
    with launching(Child, tmp_path, str(Path(__file__).with_name("stub_server.py")), "--device=cpu") as launch:
        yield launch


async def test_a_draining_server_lets_the_open_chunk_end_and_answers_it(launch: Launch) -> None:
    child = launch("--drain-timeout-s=20", STUB_MS="50")
    async with dial(f"ws://{child.address}/ws") as call, dial(f"ws://{child.address}/ws") as quiet:
        await call.say(say(1, 2))
        child.process.send_signal(signal.SIGTERM)
        assert await quiet.end() == 1012
        assert (await asyncio.to_thread(httpx.get, f"http://{child.address}/ready")).status_code == 503
        await call.say(talk((3,)))
        assert await call.end() == 1012
    assert call.texts == [text_of(1, 2, 3)] and call.rows[-1]["code"] == "draining"
    assert await asyncio.to_thread(child.process.wait, 20) == 0


async def test_a_client_that_goes_on_speaking_is_answered_within_the_drain_time(launch: Launch) -> None:
    child = launch("--drain-timeout-s=4")

    async def speak(call: Call) -> None:
        with contextlib.suppress(ConnectionClosed):
            for _ in range(100):
                await call.say(say(7))
                await asyncio.sleep(0.1)

    async with dial(f"ws://{child.address}/ws") as call:
        await call.say(talk((1,)))
        assert (await call.result())["text"] == "w1"  # the session stands before the server is told to go
        speaking = asyncio.create_task(speak(call))
        await asyncio.sleep(0.3)
        child.process.send_signal(signal.SIGTERM)
        assert await call.end() == 1012
        await speaking
    _, text = call.texts
    assert set(text.removesuffix("-").split()) == {"w7"} and call.rows[-1]["code"] == "draining"
    assert await asyncio.to_thread(child.process.wait, 20) == 0
