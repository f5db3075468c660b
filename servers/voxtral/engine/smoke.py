"""A second of sound through the whole engine: what /health cannot see, such as a missing audio library."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import numpy as np

from servers.voxtral.interfaces import Delta, Done, EngineRefused, Request
from servers.voxtral.settings import SAMPLE_RATE_HZ

LOUDNESS: Final = 200
"""Of the noise: an engine must not depend on silence being zeros."""


async def smoke(begin: Callable[[], Awaitable[Request]], *, timeout_s: float | None) -> float:
    """One utterance; returns the seconds that it took. `timeout_s=None`: as long as it takes.

    Raises EngineGone, EngineRefused, and TimeoutError when it is not done in time.
    """
    began_s = time.monotonic()
    async with asyncio.timeout(timeout_s):
        request = await begin()
        try:
            await request.send(_noise())
            await request.finish()
            steps, done = 0, False
            async for event in request.events():
                steps += isinstance(event, Delta)
                done = isinstance(event, Done)
        finally:
            await request.abort()
    if not done or not steps:
        raise EngineRefused("no_answer", f"a second of sound brought {steps} steps")
    return time.monotonic() - began_s


def _noise() -> bytes:
    """One second, always the same."""
    draw = np.random.default_rng(0)
    return draw.integers(-LOUDNESS, LOUDNESS + 1, SAMPLE_RATE_HZ).astype("<i2").tobytes()
