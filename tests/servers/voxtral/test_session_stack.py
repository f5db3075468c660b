"""Gateway and scripted engine as processes, nothing in the gateway faked: what one keeps of the other's clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers.voxtral.conftest import dial
from tests.servers.voxtral.fake_engine_gateway import Pair, running
from tests.servers.voxtral.marked_speech import silence, speech, text
from tests.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with running(tmp_path, gateway=("--max-connections=32", "--max-cancels-per-window=0")) as found:
        yield found


def taken(pair: Pair) -> float:
    """Seats of the engine."""
    lines = httpx.get(f"http://127.0.0.1:{pair.engine_port}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("vllm:num_requests_running"))


def used(pair: Pair) -> int:
    return int(httpx.get(f"http://{pair.address}/health").json()["seats"]["used"])


async def test_who_comes_and_goes_leaves_nothing_in_gateway_and_engine(pair: Pair) -> None:
    turn = asyncio.Semaphore(16)

    async def go(number: int) -> None:
        async with turn, dial(pair.url) as call:
            await call.begin()
            await call.say(speech([1, 2]) + silence(0.4))
            await call.hear_until("transcription.delta")
            if number % 4 == 0:
                await call.begin("another")
            elif number % 4 == 1:
                await call.tell("cancel")
                await call.hear_until("cancelled")
            call.ws.transport.abort()

    async def come_and_go() -> tuple[int, int]:
        """Open files and memory of the gateway afterwards."""
        await asyncio.gather(*(go(number) for number in range(100)))
        await until(lambda: used(pair) == 0 and taken(pair) == 0)
        await asyncio.sleep(0.2)
        return pair.open_files, pair.resident_kib

    first, second = await come_and_go(), await come_and_go()
    assert second[0] <= first[0] + 1 and second[1] < first[1] + 8_000


async def test_real_time_speech_and_a_second_utterance(pair: Pair) -> None:
    async with dial(pair.url) as call:
        await call.tell("session.update", {"model": "tiny"})
        for turn in range(2):
            await call.begin(f"turn-{turn}")
            await call.say(speech(range(4)))
            await call.finish()
            assert await call.done() == text(range(4))
        assert taken(pair) == 0
        usage = call.of("transcription.done")[0]["payload"]["usage"]
    deltas = [row for row in call.of("transcription.delta") if row["request_id"] == "turn-0"]
    assert usage["completion_tokens"] == len(deltas)


async def test_a_killed_engine_is_told_within_a_second(pair: Pair) -> None:
    async with dial(pair.url) as idle, dial(pair.url) as busy:
        await busy.begin()
        await busy.say(speech([1]) + silence(0.8))
        await busy.hear_until("transcription.delta")
        pair.engine.kill()
        killed_s = time.monotonic()
        assert await busy.end() == 1013
        assert time.monotonic() - killed_s < 1.0
        assert await idle.end() == 1013
        assert time.monotonic() - killed_s < 3.0
    for call in (idle, busy):
        assert call.rows[-1]["payload"]["reason_code"] == "engine_unavailable"
    async with dial(pair.url, created=False) as late:
        assert await late.end() == 1013
    assert (status_of(pair, "/ready"), status_of(pair, "/health")) == (503, 200)


def status_of(pair: Pair, path: str) -> int:
    return httpx.get(f"http://{pair.address}{path}").status_code
