"""How it is noticed that an engine has gone: its processes, its /health, its silence.

`/health` alone is not enough: it is 200 while the scheduler takes nobody in any more (vllm-project/vllm#53130). And an
engine that answers somebody needs no probe: only a silent one is asked for a smoke utterance.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from servers.voxtral.engine.place import Place
from servers.voxtral.engine.smoke import smoke
from servers.voxtral.interfaces import EngineGone, EngineRefused


@dataclass(frozen=True, kw_only=True)
class Rhythm:
    """How often is looked, and how much is forgiven."""

    processes_s: float = 0.2
    health_s: float = 5.0
    health_timeout_s: float = 5.0
    health_timeouts: int = 6
    """In a row; a busy engine answers late. A refusal or a 5xx counts at once."""
    silence_s: float = 30.0
    smoke_timeout_s: float = 30.0
    smoke_failures: int = 2
    """In a row."""


async def until_gone(place: Place, alive: Callable[[], bool], rhythm: Rhythm) -> str:
    """Returns why the engine counts as gone."""
    return await _first(_until_dead(alive, rhythm), _until_unhealthy(place, rhythm), _until_mute(place, rhythm))


async def _until_dead(alive: Callable[[], bool], rhythm: Rhythm) -> str:
    while True:
        await asyncio.sleep(rhythm.processes_s)
        if not alive():
            return "a process of the engine has ended"


async def _until_unhealthy(place: Place, rhythm: Rhythm) -> str:
    late = 0
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(place.pulse.doubt.wait(), rhythm.health_s)
        place.pulse.doubt.clear()
        try:
            status, _ = await place.get("/health", timeout_s=rhythm.health_timeout_s)
        except TimeoutError:
            late += 1
            if late >= rhythm.health_timeouts:
                return f"/health did not answer {late} times"
        except OSError as error:
            return f"/health: {error}"
        else:
            late = 0
            if status >= 500:
                return f"/health answers {status}"


async def _until_mute(place: Place, rhythm: Rhythm) -> str:
    failures = 0
    while True:
        await asyncio.sleep(max(0.0, place.pulse.heard_s + rhythm.silence_s - time.monotonic()))
        if time.monotonic() < place.pulse.heard_s + rhythm.silence_s:
            failures = 0
            continue
        try:
            await smoke(place.begin, timeout_s=rhythm.smoke_timeout_s)
        except (TimeoutError, EngineGone, EngineRefused) as error:
            failures += 1
            if failures >= rhythm.smoke_failures:
                return f"{failures} smoke utterances failed, the last one: {error!r}"
            await asyncio.sleep(rhythm.processes_s)
        else:
            failures = 0
            place.pulse.heard()


async def _first(*waits: Coroutine[None, None, str]) -> str:
    """The first result; the others are given up."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
