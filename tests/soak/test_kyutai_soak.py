"""Long hours in short: a thousand clients at the pace of speech, and minutes of full seats; memory stays flat."""

from __future__ import annotations

import asyncio
import statistics

import numpy as np
import pytest

from tests.servers.kyutai.conftest import Call, Start, clean_environment, dial, start
from tests.servers.kyutai.fake import say
from tests.servers.kyutai.test_many import check_nothing_leaks
from tests.servers.leaks import resident_kib

__all__ = ["clean_environment", "start"]

STREAMS, ROUNDS = 64, 10
WORDS = " ".join(f"{chr(97 + number)}{chr(98 + number)}" for number in range(24))


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_thousand_clients_at_the_pace_of_speech_leave_nothing(start: Start) -> None:
    server = start(seats=40, step_ms=10, delay_s=0.005, marker_patience_ms=50)
    assert await check_nothing_leaks(server, at_once=32, frames=30, pause_s=0.08) < 12_000


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_full_seats_for_minutes(start: Start) -> None:
    server = start(seats=STREAMS, step_ms=10, delay_s=0.02, marker_patience_ms=500)
    audio, memory_kib = say(WORDS, before=1, after=1), list[int]()

    async def speak(number: int) -> None:
        await asyncio.sleep(number / STREAMS * 0.08)
        async with dial(server) as call:
            hearing = asyncio.create_task(listen(call))
            for part in np.split(audio, len(audio) // 1920):
                await call.say(part)
                await asyncio.sleep(0.08)
            await call.tell("Flush")
            assert await hearing == 1000
        assert call.final == call.words == WORDS
        assert len(call.of("Step")) == len(audio) // 1920

    for _ in range(ROUNDS):
        await asyncio.gather(*(speak(number) for number in range(STREAMS)))
        memory_kib.append(resident_kib())
    assert server.free == STREAMS
    assert statistics.median(memory_kib[-3:]) < 1.05 * statistics.median(memory_kib[1:4])


async def listen(call: Call) -> int:
    return await call.end()
