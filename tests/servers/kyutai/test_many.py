"""Many clients at once, clients that are slow, greedy or suddenly gone: what they cost the others, and what stays."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import time
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from servers.common.slots import Slot
from servers.kyutai.live.session import Session
from servers.kyutai.live.speaker import Speaker
from servers.kyutai.stream import Stream
from tests.raw_socket import Deaf
from tests.servers.kyutai.conftest import KEY, PATH, Call, JsonCall, Running, Start, dial, noise, packed_audio
from tests.servers.kyutai.fake import say, silence
from tests.servers.leaks import check_nothing_stays, count_of
from tests.waiting import until

KEPT = (Session, Slot, Speaker, Stream)
"""What of sessions could be kept by mistake."""

pytestmark = pytest.mark.slow


async def test_100_clients_on_64_seats(start: Start) -> None:
    server = start(seats=64)
    all_begun = asyncio.Barrier(100)
    codes: list[int] = []

    async def speak(number: int) -> None:
        async with dial(server) as call:
            first = await call.hear(within_s=60)
            await all_begun.wait()
            if first["type"] == "Ready":
                text = f"voice {chr(97 + number % 26)}{chr(97 + number // 26)}"
                await call.say(say(text))
                codes.append(await call.flush())
                assert call.final == text
            else:
                codes.append(await call.end())

    await asyncio.gather(*(speak(number) for number in range(100)))
    assert (codes.count(1000), codes.count(1013)) == (64, 36)
    assert server.free == 64
    assert server.status()["seats"]["refused"] == 36


@pytest.mark.parametrize("seed", range(3))
async def test_sixteen_clients_get_each_its_own_words(start: Start, seed: int) -> None:
    chance = random.Random(seed)
    server = start(seats=16, delay_s=0.001, marker_patience_ms=20)

    async def speak(number: int) -> None:
        path, kind = chance.choice([("/", JsonCall), ("/", Call), ("/api/asr-streaming", Call)])
        words = [f"{chr(97 + number)}{chr(97 + turn)}" for turn in range(chance.randint(0, 4))]
        await asyncio.sleep(chance.random() * 0.1)
        async with dial(server, path, kind=kind) as call:
            for number, word in enumerate(words):
                await call.say(say(word), portion=chance.choice((137, 1920, 5001)))
                if kind is Call and chance.random() < 0.5:
                    await call.tell("Marker", id=number)
                    await asyncio.sleep(chance.random() * 0.05)
            assert await call.flush() == 1000
        assert call.final == call.words == " ".join(words)

    await asyncio.gather(*(speak(number) for number in range(16)))


async def test_the_loop_is_free_while_the_model_computes(start: Start) -> None:
    server = start(delay_s=0.5)
    async with dial(server) as call:
        await call.say(silence(20))
        await asyncio.to_thread(server.listener.entered.wait, 10)
        waits_s = []
        for _ in range(20):
            asked_s = time.monotonic()
            await asyncio.wait_for(await call.ws.ping(), 10)
            waits_s.append(time.monotonic() - asked_s)
        assert sorted(waits_s)[10] < 0.1
        assert server.status()["steps"] < 5


async def test_a_greedy_client_is_read_no_faster_than_it_is_heard(start: Start) -> None:
    pings = {"ws_ping_interval": 0.2, "ws_ping_timeout": None}
    server = start(max_buffer_s=2, marker_patience_ms=50, idle_timeout_s=1, uvicorn=pings)
    audio = np.concatenate([say("first"), noise(120.0), say("last")])
    server.listener.gate.clear()
    async with dial(server) as call:
        sending = asyncio.create_task(call.say(audio, portion=19_200))
        await asyncio.sleep(1.5)
        assert not sending.done()
        assert server.status()["backlog_s"] < 2 + 0.9  # the bound, and the message that went over it
        server.listener.gate.set()
        await sending
        assert await call.flush() == 1000
    assert call.final == "first last"  # nothing was lost
    assert len(call.of("Step")) == -(-len(audio) // 1920)


async def test_a_slow_reader_is_read_no_more_and_costs_no_memory(start: Start) -> None:
    server = start(pause_heads=1000)  # Steps of 5 kB
    ten_seconds = packed_audio(np.zeros(125 * 1920, np.float32))
    async with dial(server, max_queue=1) as call:
        await asyncio.sleep(0.1)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sending = asyncio.create_task(send_all(call, [ten_seconds] * 400))
        await until(lambda: stands_still(server))
        assert not sending.done()
        stood_at = server.listener.frames_seen
        assert stood_at < 10_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100_000
        await call.hear_until("Step", step_idx=stood_at)
        await until(lambda: server.listener.frames_seen > stood_at)
        sending.cancel()
        call.ws.transport.abort()
    await until(lambda: server.free == 4)


def stands_still(server: Running) -> bool:
    seen = server.listener.frames_seen
    time.sleep(0.5)
    return seen == server.listener.frames_seen > 1000


async def send_all(call: Call, messages: list[bytes]) -> None:
    for message in messages:
        await call.ws.send(message)


async def test_a_client_that_reads_nothing_is_given_up(start: Start) -> None:
    server, kept = start(idle_timeout_s=1.0, pause_heads=4000), count_of(KEPT)
    deaf = await asyncio.to_thread(Deaf, server.address, PATH, f"kyutai-api-key: {KEY}")
    await until(lambda: server.free == 3)
    deaf.socket.settimeout(0.2)

    def speak() -> bool:
        with contextlib.suppress(OSError):
            deaf.send(packed_audio(np.zeros(1920 * 50, np.float32)))  # whoever speaks is not idle
        return server.free == 4

    await until(speak, within_s=60)
    deaf.socket.close()
    await until(lambda: count_of(KEPT) <= kept)


async def test_a_client_that_answers_no_ping_is_gone(start: Start) -> None:
    server = start(uvicorn={"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2})
    deaf = await asyncio.to_thread(Deaf, server.address, PATH, f"kyutai-api-key: {KEY}")
    await until(lambda: server.free == 3)
    await until(lambda: server.free == 4)
    deaf.socket.close()


async def test_who_is_gone_is_stepped_no_more(start: Start) -> None:
    server = start(seats=1)
    server.listener.gate.clear()
    async with dial(server) as call:
        await call.say(silence(200))
        await asyncio.to_thread(server.listener.entered.wait, 10)
        await asyncio.sleep(0.2)
        call.ws.transport.abort()
    await asyncio.sleep(0.2)
    assert server.free == 0  # its step runs
    server.listener.gate.set()
    await until(lambda: server.free == 1)
    assert server.listener.frames_seen == 1


async def cycle(server: Running, number: int, chance: random.Random, *, frames: int, pause_s: float) -> None:
    """Connect, stream, and go in one of the ways in which clients go."""
    path, kind = (("/", JsonCall), ("/api/asr-streaming", Call))[number % 2]
    url, key = server.ws(path), {"kyutai-api-key": KEY}
    call = kind(await connect(url, additional_headers=key, compression=None, proxy=None, max_queue=None))
    try:
        audio = say("ab" * frames)
        for at in range(chance.randrange(frames)):
            await call.say(audio[at * 1920 : (at + 1) * 1920])
            await asyncio.sleep(pause_s)
        match number // 2 % 4:
            case 0:
                await call.flush()
                assert call.of("Final")
            case 1:
                await call.tell(chance.choice(("Flush", "Marker", "nonsense")))
                call.ws.transport.abort()
            case 2:
                await call.ws.close()
            case _:
                call.ws.transport.abort()
    finally:
        call.ws.transport.abort()


async def run_cycles(server: Running, count: int, *, at_once: int, frames: int, pause_s: float) -> None:
    chance, turn = random.Random(0), asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with turn:
            await cycle(server, number, chance, frames=frames, pause_s=pause_s)

    await asyncio.gather(*(one(number) for number in range(count)))
    await until(lambda: server.free == server.status()["seats"]["total"])
    await until(lambda: server.status()["in_flight"] == 0)


async def check_nothing_leaks(server: Running, **how: Any) -> int:
    """1,000 clients come and go; returns by how many KiB the process grew in their second half."""
    loop = server.server.servers[0].get_loop()
    return await check_nothing_stays(lambda: run_cycles(server, 500, **how), loop=loop, kinds=KEPT)


async def test_a_thousand_clients_that_come_and_go_leave_nothing(start: Start) -> None:
    server = start(seats=24)
    grown_kib = await check_nothing_leaks(server, at_once=16, frames=6, pause_s=0.0)
    assert grown_kib < 12_000
