"""How it is noticed that the engine has gone."""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import replace

import pytest

from servers.voxtral.engine.place import Place
from servers.voxtral.engine.watch import Rhythm, until_gone
from tests.servers.voxtral.engine_folder import until
from tests.servers.voxtral.scripted_vllm import Script, ScriptedVllm

pytestmark = pytest.mark.slow

QUICK = Rhythm(
    processes_s=0.02, health_s=0.05, health_timeout_s=0.5, health_timeouts=2, silence_s=0.2, smoke_timeout_s=0.2
)
NO_SMOKE = Rhythm(processes_s=0.02, health_s=0.05, silence_s=60)


def alive() -> bool:
    return True


async def test_a_healthy_engine_is_left_alone_and_only_a_silent_one_is_asked() -> None:
    async with ScriptedVllm() as engine:
        place = Place(engine.url, "m")
        watching = asyncio.create_task(until_gone(place, alive, replace(QUICK, smoke_timeout_s=20)))
        await until(lambda: engine.ended >= 3)
        assert not watching.done()
        watching.cancel()
        begun = engine.begun
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(until_gone(place, alive, NO_SMOKE), 0.3)
        assert engine.begun == begun


async def test_a_process_that_ended() -> None:
    async with ScriptedVllm() as engine:
        assert "process" in await asyncio.wait_for(until_gone(Place(engine.url, "m"), lambda: False, NO_SMOKE), 5)


async def test_an_engine_that_says_it_is_dead() -> None:
    async with ScriptedVllm(Script(unhealthy=True)) as engine:
        assert "503" in await asyncio.wait_for(until_gone(Place(engine.url, "m"), alive, NO_SMOKE), 5)


async def test_an_engine_whose_port_is_closed() -> None:
    async with ScriptedVllm() as engine:
        place = Place(engine.url, "m")
    assert "/health" in await asyncio.wait_for(until_gone(place, alive, NO_SMOKE), 5)


async def test_an_engine_that_listens_and_does_not_answer() -> None:
    rhythm = Rhythm(processes_s=0.02, health_s=0.05, health_timeout_s=0.1, health_timeouts=2, silence_s=60)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = Place(f"ws://127.0.0.1:{listening.getsockname()[1]}/v1/realtime", "m")
        assert "did not answer 2 times" in await asyncio.wait_for(until_gone(place, alive, rhythm), 5)


async def test_a_healthy_engine_that_takes_nobody_in() -> None:
    """vllm-project/vllm#53130: only an utterance shows it."""
    async with ScriptedVllm(Script(stall_at=0)) as engine:
        reason = await asyncio.wait_for(until_gone(Place(engine.url, "m"), alive, QUICK), 5)
        assert "smoke" in reason and engine.begun == 2
        await until(lambda: engine.seats.taken == 0)


async def test_a_doubt_is_followed_at_once() -> None:
    async with ScriptedVllm() as engine:
        place = Place(engine.url, "m")
        watching = asyncio.create_task(until_gone(place, alive, Rhythm(health_s=60, silence_s=60)))
        await asyncio.sleep(0.05)
    place.pulse.doubt.set()
    began_s = time.monotonic()
    await asyncio.wait_for(watching, 5)
    assert time.monotonic() - began_s < 1
