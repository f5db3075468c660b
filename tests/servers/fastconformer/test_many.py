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
from websockets.exceptions import ConnectionClosed

from servers.common.slots import Slot
from servers.fastconformer.session import Session
from servers.fastconformer.speaker import Speaker
from tests.raw_socket import Deaf
from tests.servers.fastconformer.conftest import Call, Running, Start, dial, floats, pcm
from tests.servers.fastconformer.fake import words_of
from tests.servers.leaks import check_nothing_stays, count_of
from tests.waiting import until

KEPT = (Session, Slot, Speaker)
"""What of sessions could be kept by mistake."""

pytestmark = pytest.mark.slow


async def test_200_clients_on_128_seats(start: Start) -> None:
    server = start(max_streams=128, max_batch=64, step_ms=20)
    audio = [pcm(0.6, seed=number) for number in range(200)]
    all_begun = asyncio.Barrier(200)
    results: list[tuple[int, str]] = []

    async def speak(number: int) -> None:
        async with dial(server, init={"sid": number}) as call:
            await call.tell("flush")
            first = await call.hear(within_s=60)
            await all_begun.wait()
            if first["op"] == "error":
                assert first["code"] == "at_capacity"
                results.append((await call.end(), ""))
                return
            await call.say(audio[number])
            results.append((await call.close(), call.final))
            assert call.final == words_of(floats(audio[number]))

    await asyncio.gather(*(speak(number) for number in range(200)))
    codes = [code for code, _ in results]
    assert (codes.count(1000), codes.count(1013)) == (128, 72)
    assert server.free == 128
    assert server.status()["seats"]["refused"] == 72


@pytest.mark.parametrize("seed", range(4))
async def test_sixteen_clients_get_each_its_own_text(start: Start, seed: int) -> None:
    chance = random.Random(seed)
    server = start(max_streams=16, max_batch=chance.choice((3, 16)), delay_s=0.001)

    async def speak(number: int) -> None:
        turns = [pcm(chance.uniform(0, 0.8), seed=100 * number + turn) for turn in range(chance.randint(1, 3))]
        await asyncio.sleep(chance.random() * 0.1)
        async with dial(server, init={"sid": number}) as call:
            for turn in turns:
                if turn is not turns[0]:
                    await call.tell("flush")
                for at in range(0, len(turn), portion := chance.choice((37, 640, 5001)) * 3):
                    await call.ws.send(turn[at : at + portion])
                    if chance.random() < 0.05:
                        await asyncio.sleep(0.01)
            odd = sum(len(turn) for turn in turns) % 2
            assert await call.close() == (1007 if odd else 1000)
        assert call.final == words_of(*(floats(turn) for turn in heard(turns)))
        assert {row["sid"] for row in call.rows} == {number}

    await asyncio.gather(*(speak(number) for number in range(16)))


def heard(turns: list[bytes]) -> list[bytes]:
    """A flush without new audio adds nothing."""
    return [turn for turn in turns[:-1] if turn] + turns[-1:]


async def test_the_loop_is_free_while_the_model_computes(start: Start) -> None:
    server = start(delay_s=0.5)
    async with dial(server, init={}) as call:
        await call.say(pcm(2.0))
        await asyncio.to_thread(server.ears.entered.wait, 10)
        waits_s = []
        for _ in range(20):
            asked_s = time.monotonic()
            await asyncio.wait_for(await call.ws.ping(), 10)
            waits_s.append(time.monotonic() - asked_s)
        assert sorted(waits_s)[10] < 0.1
        assert server.status()["steps"] < 5


async def test_a_message_of_ten_megabytes_is_heard_and_delays_nobody(start: Start) -> None:
    server = start()
    long, short = pcm(327.0), pcm(0.5, seed=7)
    assert len(long) > 10_000_000
    async with dial(server, init={"sid": "long"}) as call, dial(server, init={"sid": "short"}) as other:
        await call.ws.send(long)
        await other.say(short)
        await other.tell("flush")
        while not (await other.hear())["text"]:
            pass
        assert server.ears.frames_seen < len(long) / 2 / 2560  # the long one is still being heard
        await other.tell("close")
        await other.end()
        assert await call.close() == 1000
    assert other.final == words_of(floats(short), np.zeros(0, np.float32))
    assert call.final == words_of(floats(long))


@pytest.mark.slow
async def test_a_greedy_client_is_read_no_faster_than_it_is_heard(start: Start) -> None:
    pings = {"ws_ping_interval": 0.2, "ws_ping_timeout": None}
    server = start(max_buffer_s=2, flush_after_ms=50, idle_timeout_s=1, uvicorn=pings)
    audio = pcm(600.0)
    server.ears.gate.clear()
    async with dial(server, init={}) as call:
        sending = asyncio.create_task(call.say(audio, portion=6400))
        await asyncio.sleep(1.5)
        assert not sending.done()
        assert server.status()["backlog_s"] < 2 + 1.1  # the bound, and the slice that went over it
        server.ears.gate.set()
        await sending
        assert await call.close() == 1000
    assert call.final == words_of(floats(audio))  # no silence was put in, and nothing was lost


async def test_a_message_too_large_is_refused_by_its_size(start: Start) -> None:
    server = start()
    async with dial(server, init={}) as call:
        with contextlib.suppress(ConnectionClosed):  # the answer may come before all is sent
            await call.ws.send(bytes(16 * 1024 * 1024 + 2))
        assert await call.end() == 1009
    await until(lambda: server.free == 4)


async def test_a_slow_reader_gets_the_newest_text_and_costs_no_memory(start: Start) -> None:
    server = start(delay_s=0.0)
    audio = pcm(160.0)
    async with dial(server, init={}, max_queue=1) as call:
        await asyncio.sleep(0.1)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await call.say(audio, portion=3200)
        await until(lambda: server.ears.frames_seen >= 999)
        await asyncio.sleep(0.2)
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        assert await call.close() == 1000
    # All interims together are 1,000 texts of up to 8 kB: 4 MB in each of the places that could keep them.
    assert grown_kib < 60_000
    assert call.final == words_of(floats(audio))


async def test_a_client_that_reads_nothing_is_given_up(start: Start) -> None:
    server, kept = start(idle_timeout_s=1.0, step_ms=1), count_of(KEPT)
    deaf = await asyncio.to_thread(Deaf, server.address, "/")
    deaf.send('{"op":"init"}')
    await until(lambda: server.free == 3)

    def speak() -> bool:
        for _ in range(8):
            deaf.send(pcm(2.0))  # whoever speaks is not idle
        return server.free == 4

    await until(speak, within_s=60)
    deaf.socket.close()
    await until(lambda: count_of(KEPT) <= kept)


async def test_a_client_that_answers_no_ping_is_gone(start: Start) -> None:
    server = start(uvicorn={"ws_ping_interval": 0.2, "ws_ping_timeout": 0.2})
    deaf = await asyncio.to_thread(Deaf, server.address, "/")
    deaf.send('{"op":"init"}')
    await until(lambda: server.free == 3)
    await until(lambda: server.free == 4)
    deaf.socket.close()


async def test_who_is_gone_is_stepped_no_more(start: Start) -> None:
    server = start(max_streams=1, max_buffer_s=60)
    server.ears.gate.clear()
    async with dial(server, init={}) as call:
        await call.say(pcm(20.0))
        await asyncio.to_thread(server.ears.entered.wait, 10)
        await asyncio.sleep(0.2)
        call.ws.transport.abort()
    await asyncio.sleep(0.2)
    assert server.free == 0  # its step runs
    server.ears.gate.set()
    await until(lambda: server.free == 1)
    assert server.ears.frames_seen == 1


async def cycle(server: Running, number: int, chance: random.Random, *, seconds: float, pause_s: float) -> None:
    """Connect, stream, and go in one of the ways in which clients go."""
    call = Call(await connect(server.ws, compression=None, proxy=None, max_queue=None))
    try:
        await call.tell("init", sid=number)
        data = pcm(seconds, seed=number % 16)
        for at in range(0, chance.randrange(len(data)), 3200):
            await call.ws.send(data[at : at + 3200])
            await asyncio.sleep(pause_s)
        match number % 4:
            case 0:
                await call.close()
                assert call.of("final")
            case 1:
                await call.tell(chance.choice(("close", "flush", "nonsense")))
                call.ws.transport.abort()
            case 2:
                await call.ws.close()
            case _:
                call.ws.transport.abort()
    finally:
        call.ws.transport.abort()


async def run_cycles(server: Running, count: int, *, at_once: int, seconds: float, pause_s: float) -> None:
    chance, turn = random.Random(0), asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with turn:
            await cycle(server, number, chance, seconds=seconds, pause_s=pause_s)

    await asyncio.gather(*(one(number) for number in range(count)))
    await until(lambda: server.free == server.status()["seats"]["total"])
    await until(lambda: server.status()["in_flight"] == 0)


async def check_nothing_leaks(server: Running, **how: Any) -> int:
    """1,000 clients come and go; returns by how many KiB the process grew in their second half."""
    loop = server.server.servers[0].get_loop()
    return await check_nothing_stays(lambda: run_cycles(server, 500, **how), loop=loop, kinds=KEPT)


@pytest.mark.slow
async def test_a_thousand_clients_that_come_and_go_leave_nothing(start: Start) -> None:
    server = start(max_streams=24)
    grown_kib = await check_nothing_leaks(server, at_once=16, seconds=0.5, pause_s=0.0)
    assert grown_kib < 12_000


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_thousand_clients_at_the_pace_of_speech_leave_nothing(start: Start) -> None:
    server = start(max_streams=40, step_ms=20, delay_s=0.005)
    grown_kib = await check_nothing_leaks(server, at_once=32, seconds=5.0, pause_s=0.1)
    assert grown_kib < 12_000
