"""Patience for what comes true in a server, sooner or later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], *, within_s: float = 15.0) -> None:
    """Asks again and again, from a thread, because the question may go over the wire."""
    end_s = time.monotonic() + within_s
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end_s
        await asyncio.sleep(0.01)
