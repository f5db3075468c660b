"""Five minutes of a hundred live sessions, each with its own words: none lost, none elsewhere, memory flat."""

from __future__ import annotations

import asyncio
import statistics

import pytest

from tests.servers.leaks import resident_kib
from tests.servers.parakeet.conftest import Start, clean_environment, start
from tests.servers.parakeet.test_many import check_all_is_heard, stream, turns_of

__all__ = ["clean_environment", "start"]

SESSIONS, SECONDS, LOOK_S = 100, 300.0, 5.0


async def watch_memory(found: list[int]) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        found.append(resident_kib())


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_hundred_live_sessions_for_five_minutes(start: Start) -> None:
    server = start(window_ms=20, idle_gap_ms=5)
    said = [turns_of(number, SECONDS) for number in range(SESSIONS)]
    memory_kib: list[int] = []
    watching = asyncio.create_task(watch_memory(memory_kib))
    calls = await asyncio.gather(*(stream(server, turns, times_real=1.0) for turns in said))
    watching.cancel()

    for call, turns in zip(calls, said, strict=True):
        check_all_is_heard(call, turns)
    status = server.status()
    assert (status["rejected"], status["failed"], status["expired"], status["queue_depth"]) == (0, 0, 0, 0)
    assert server.free == 128
    third = len(memory_kib) // 3
    assert statistics.median(memory_kib[-third:]) < 1.05 * statistics.median(memory_kib[third : 2 * third])
