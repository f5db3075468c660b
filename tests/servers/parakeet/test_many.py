"""Many sessions at once, each with its own words: whose result is whose, in which order, and what stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from servers.common.audio import SAMPLE_RATE_HZ, float_to_pcm16
from servers.common.interfaces import Audio
from servers.parakeet.live.session import Session
from servers.parakeet.live.speaker import Speaker
from tests.servers.leaks import check_nothing_stays
from tests.servers.parakeet.conftest import Call, Running, Start, dial
from tests.servers.parakeet.fake import POISON, say, silence, text_of
from tests.servers.parakeet.test_session import FLUSHED, talk
from tests.waiting import until

pytestmark = pytest.mark.slow

Turns = list[tuple[int, ...]]
SENTENCE = 2
"""Words a turn."""


def turns_of(number: int, seconds: float, *, every_s: float = 6.0) -> Turns:
    """What session `number` says, a turn every so often; no other says the same."""
    chance = random.Random(number)
    return [tuple(chance.sample(range(100), SENTENCE)) for _ in range(round(seconds / every_s))]


def audio_of(turn: tuple[int, ...], *, every_s: float = 6.0) -> Audio:
    """A turn and the silence up to the next one."""
    words = say(*turn)
    return np.concatenate([words, silence(every_s - len(words) / SAMPLE_RATE_HZ)])


async def stream(
    server: Running, turns: Turns, *, times_real: float, frame_s: float = 0.1, every_s: float = 6.0
) -> Call:
    """One session that says `turns` so many times faster than speech; what it heard."""
    step = round(frame_s * SAMPLE_RATE_HZ) * 2
    async with dial(server, ping_interval=None, open_timeout=60) as call:

        async def speak() -> None:
            due_s = time.monotonic()
            for turn in turns:
                data = float_to_pcm16(audio_of(turn, every_s=every_s))
                for start in range(0, len(data), step):
                    await asyncio.sleep(due_s - time.monotonic())
                    await call.ws.send(data[start : start + step])
                    due_s += frame_s / times_real
            await call.flush()

        speaking = asyncio.create_task(speak())
        while await call.hear(within_s=60) != FLUSHED:
            pass
        await speaking
    return call


def check_all_is_heard(call: Call, turns: Turns) -> None:
    """Each turn once, in order, none of anybody else's."""
    assert call.texts == [text_of(*turn) for turn in turns]
    assert call.queued == len(turns) and not any("error" in row for row in call.rows)


async def test_a_hundred_sessions_hear_each_its_own_words_in_order(start: Start) -> None:
    server = start(window_ms=20, idle_gap_ms=5)
    said = [turns_of(number, 60.0) for number in range(100)]
    calls = await asyncio.gather(*(stream(server, turns, times_real=8.0, frame_s=0.2) for turns in said))
    for call, turns in zip(calls, said, strict=True):
        check_all_is_heard(call, turns)
    status = server.status()
    assert (status["answered"], status["rejected"], status["failed"], status["expired"]) == (1000, 0, 0, 0)
    assert server.free == 128


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_neighbours_do_a_session_hears_its_own_words(start: Start, seed: int) -> None:
    chance = random.Random(seed)
    server = start(batch_size=chance.choice((1, 3, 16)), window_ms=chance.choice((0, 5)), delay_s=0.002)

    async def speak(number: int) -> None:
        turns = turns_of(100 * seed + number, 12.0, every_s=2.0)
        check_all_is_heard(await stream(server, turns, times_real=20.0, frame_s=0.03, every_s=2.0), turns)

    async def disturb(number: int) -> None:
        call = Call(await connect(server.ws, compression=None, proxy=None))
        with contextlib.suppress(ConnectionClosed):
            for _ in range(5):
                await call.say(talk((POISON,) if number % 3 else (1, 2)), portion=4000)
                await call.ws.send("nonsense" if number % 2 else '{"type":"flush"}')
                await asyncio.sleep(0.05 * chance.random())
        call.ws.transport.abort()

    await asyncio.gather(*(speak(number) for number in range(12)), *(disturb(number) for number in range(12)))
    await until(lambda: server.free == 128)


async def test_the_loop_is_free_while_the_model_computes(start: Start) -> None:
    server = start(delay_s=0.5)
    async with dial(server) as call:
        await call.say(talk((1,)))
        await until(server.model.entered.is_set)
        waits_s = []
        for _ in range(20):
            asked_s = time.monotonic()
            await asyncio.wait_for(await call.ws.ping(), 10)
            waits_s.append(time.monotonic() - asked_s)
        assert sorted(waits_s)[10] < 0.1
        assert (await call.result())["text"] == "w1"


async def test_a_greedy_client_is_read_no_faster_than_it_is_heard(start: Start) -> None:
    server = start()
    server.model.gate.clear()
    turns = turns_of(0, 300.0)
    async with dial(server) as call:
        sending = asyncio.create_task(call.say(np.concatenate([audio_of(turn) for turn in turns]), portion=6400))
        await until(lambda: server.status()["queue_depth"] == 1)  # one with the model, one in line
        await asyncio.sleep(0.5)
        assert not sending.done()
        server.model.gate.set()
        while len(call.texts) < len(turns):
            await call.hear()
        await sending
    check_all_is_heard(call, turns)


async def come_and_go(server: Running, count: int) -> None:
    """Sessions that end in each of the ways in which clients go."""
    turn = asyncio.Semaphore(16)

    async def one(number: int) -> None:
        async with turn:
            call = Call(await connect(server.ws, compression=None, proxy=None, max_queue=None))
            await call.say(talk((number % 100,)), portion=4000)
            if number % 4 == 0:
                assert (await call.result())["text"] == text_of(number % 100)
            elif number % 4 == 1:
                await call.flush()
            elif number % 4 == 2:
                await call.ws.close()
            call.ws.transport.abort()

    await asyncio.gather(*(one(number) for number in range(count)))
    await until(lambda: server.free == 128)


async def test_hundreds_of_clients_that_come_and_go_leave_nothing(start: Start) -> None:
    server = start()
    loop = server.server.servers[0].get_loop()
    assert await check_nothing_stays(lambda: come_and_go(server, 300), loop=loop, kinds=(Session, Speaker)) < 12_000
