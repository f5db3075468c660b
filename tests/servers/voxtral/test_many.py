"""Many clients, and clients that are slow, greedy or suddenly gone: what they cost the others, and what stays."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import time

import pytest
from websockets.asyncio.client import connect

from servers.voxtral.app import PATH
from servers.voxtral.session.connection import Session
from servers.voxtral.session.machine import Machine
from servers.voxtral.session.outbox import Outbox
from servers.voxtral.session.turn import Turn
from tests.raw_socket import Deaf
from tests.servers.leaks import check_nothing_stays
from tests.servers.voxtral.conftest import KEY, Call, Running, Start, dial
from tests.servers.voxtral.fake_engine import FakeUtterance
from tests.servers.voxtral.marked_speech import silence, speech, text
from tests.waiting import until

pytestmark = pytest.mark.slow

KEPT = (Session, Machine, Outbox, Turn, FakeUtterance)
"""What of sessions could be kept by mistake."""
SECOND = json.dumps(
    {"type": "input_audio_buffer.append", "payload": {"audio": base64.b64encode(silence(1.0)).decode()}}
)


async def test_hundred_clients_on_64_seats(start: Start) -> None:
    server = start(max_connections=64)
    all_there, codes = asyncio.Barrier(100), list[int]()

    async def speak(number: int) -> None:
        async with dial(server, created=False) as call:
            first = await call.hear(within_s=60)
            await all_there.wait()
            if first["type"] == "session.created":
                await call.begin()
                await call.say(speech([number]))
                await call.finish()
                assert await call.done() == text([number])
                await call.tell("end")
            codes.append(await call.end())

    await asyncio.gather(*(speak(number) for number in range(100)))
    assert (codes.count(1000), codes.count(4002)) == (64, 36)
    await until(lambda: server.used == 0)


async def test_a_flood_of_one_leaves_the_loop_to_the_others(start: Start) -> None:
    server = start(max_messages_per_window=0, inbound_queue_max=1_000_000)
    async with dial(server) as greedy, dial(server) as other:
        flood = asyncio.create_task(send_all(greedy, [SECOND] * 300))
        waits_s = []
        while not flood.done():
            asked_s = time.monotonic()
            await other.tell("ping")
            await other.hear_until("pong")
            waits_s.append(time.monotonic() - asked_s)
        await greedy.tell("ping")
        await greedy.hear_until("pong")
    assert waits_s and sorted(waits_s)[len(waits_s) // 2] < 0.25


async def send_all(call: Call, messages: list[str]) -> None:
    for message in messages:
        await call.ws.send(message)


@pytest.mark.parametrize("limit", ["bytes", "seconds"])
async def test_a_client_that_reads_nothing_is_given_up(
    start: Start, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    bounds = {"LIMIT_BYTES": 300_000} if limit == "bytes" else {"PATIENCE_S": 0.5}
    for name, value in {"FAREWELL_S": 0.5, **bounds}.items():
        monkeypatch.setattr(f"servers.voxtral.session.outbox.{name}", value)
        monkeypatch.setattr(f"servers.voxtral.session.connection.{name}", value, raising=False)
    server = start(max_messages_per_window=0)
    deaf = await asyncio.to_thread(Deaf, server.address, PATH, f"X-API-Key: {KEY}")
    await until(lambda: server.used == 1)
    large = json.dumps({"type": "ping", "payload": "x" * 60_000})

    def talk() -> bool:
        if server.metric("slow_readers_total") == 0:
            for _ in range(10):
                deaf.send(large)  # whoever speaks is not idle, and reads are never held up
        return server.used == 0

    async with dial(server) as other:
        await other.begin()
        await until(lambda: talk() or server.used == 1, within_s=30)
        await other.say(speech([6]))
        await other.finish()
        assert await other.done() == text([6])
    await until(lambda: server.used == 0)
    assert server.metric('sessions_ended_total{reason="slow_reader"}') == 1
    deaf.socket.close()


async def cycle(server: Running, number: int, chance: random.Random) -> None:
    """Connect, say something, and go in one of the ways in which clients go."""
    ws = await connect(server.ws(), additional_headers={"X-API-Key": KEY}, compression=None, proxy=None, max_queue=None)
    call = Call(ws)
    try:
        if number % 5 or number % 6 == 1:
            await call.begin()
            await call.say(speech(range(chance.randrange(4))))
        match number % 6:
            case 0:
                await call.tell("end")
                assert await call.end() == 1000
            case 1:
                await call.finish()
                await call.done()
            case 2:
                await call.begin("another")
                await call.tell("nonsense")
            case 3:
                await ws.close()
            case 4:
                await call.finish()
                await call.begin("held")
                await call.say(speech([1]))
            case _:
                pass
    finally:
        ws.transport.abort()


async def run_cycles(server: Running, count: int, *, at_once: int = 16) -> None:
    chance, turn = random.Random(0), asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with turn:
            await cycle(server, number, chance)

    await asyncio.gather(*(one(number) for number in range(count)))
    await until(lambda: server.used == 0 and not server.hearing.living)
    await until(lambda: server.get("/status").json()["in_flight"] == 0)


async def test_a_thousand_clients_that_come_and_go_leave_nothing(start: Start) -> None:
    server = start(max_connections=32)
    loop = server.server.servers[0].get_loop()
    grown_kib = await check_nothing_stays(lambda: run_cycles(server, 500), loop=loop, kinds=KEPT)
    assert grown_kib < 12_000


async def test_200_aborts_in_mid_utterance_free_every_utterance(start: Start) -> None:
    server = start(max_connections=32)
    server.hearing.is_mute = True

    async def go(number: int) -> None:
        async with turn, dial(server) as call:
            await call.begin()
            await call.say(silence(0.16))
            call.ws.transport.abort()

    turn = asyncio.Semaphore(16)
    await asyncio.gather(*(go(number) for number in range(200)))
    await until(lambda: server.used == 0)
    assert not server.hearing.living and server.hearing.begun == server.hearing.aborted
