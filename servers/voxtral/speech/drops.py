"""Tells a client that audio was dropped: the first time at once, then once a second what came together."""

from __future__ import annotations

import asyncio
from typing import Final

from servers.voxtral.interfaces import Listener
from servers.voxtral.settings import STEP_BYTES, STEP_S

EVERY_S: Final = 1.0


class Drops:
    """Of one utterance; on the event loop."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._bytes = 0
        self._timer: asyncio.Handle | None = None

    def add(self, count: int) -> None:
        """So many bytes were dropped; never tells from within."""
        self._bytes += count
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_soon(self._fire)

    def tell(self) -> None:
        """What was not told yet, now."""
        if self._bytes:
            seconds, self._bytes = self._bytes / STEP_BYTES * STEP_S, 0
            self._listener.noticed("overload_drop", {"dropped_seconds": round(seconds, 3)})

    def stop(self) -> None:
        """Nobody listens any more."""
        self._bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(EVERY_S, self._fire) if self._bytes else None
        self.tell()
