"""Tells one client what happened in its stream, in order, and how the stream ended."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import ServerFault
from servers.common.sockets import close, send
from servers.kyutai.events import Event, Failed, Word
from servers.kyutai.events import Final as FinalText
from servers.kyutai.live.codec import Codec, Wire

_log = logging.getLogger("servers.kyutai")
YIELD_EVERY: Final = 16
"""A client that begins to read again is told a lot at once; after so many events the others get their turn."""
FULL_EVENTS: Final = 1000
"""More wait only of audio that is here already: a client that does not read is not read."""


class Speaker:
    """Everything that leaves on one connection leaves from `run`."""

    def __init__(self, websocket: WebSocket, codec: Codec, *, patience_s: float, on_sent: Callable[[], None]) -> None:
        """A client that takes nothing for `patience_s` (0: for however long) is given up. `on_sent`: words left."""
        self._websocket, self._codec = websocket, codec
        self._patience_s, self._on_sent = patience_s or None, on_sent
        self._events: deque[Event] = deque()
        self._told = 0
        self._news, self._has_room = asyncio.Event(), asyncio.Event()

    @property
    def is_full(self) -> bool:
        return len(self._events) > FULL_EVENTS

    def tell(self, event: Event) -> None:
        """Soon, behind what was told before. Nothing is sent behind a Final or a Failed."""
        self._events.append(event)
        self._news.set()

    async def wait_for_room(self) -> None:
        """Until it is not full."""
        while self.is_full:
            self._has_room.clear()
            await self._has_room.wait()

    async def run(self) -> None:
        """Until the end is told, or the client is gone, or takes nothing any more."""
        try:
            while not await self._tell_news():
                await self._news.wait()
                self._news.clear()
        except WebSocketDisconnect:
            return
        except TimeoutError:
            _log.warning("the client reads nothing; giving it up")

    async def _tell_news(self) -> bool:
        """Whether the end was among it."""
        while self._events:
            event = self._events.popleft()
            self._has_room.set()
            self._told += 1
            if self._told % YIELD_EVERY == 0:
                await asyncio.sleep(0)
            for message in self._codec.write(event):
                await self._send(message)
            if isinstance(event, Word | FinalText):
                self._on_sent()
            if isinstance(event, FinalText | Failed):
                await self._close(event.fault if isinstance(event, Failed) else None)
                return True
        for message in self._codec.rest():
            await self._send(message)
        return False

    async def _send(self, message: Wire) -> None:
        async with asyncio.timeout(self._patience_s):
            await send(self._websocket, message)

    async def _close(self, fault: ServerFault | None) -> None:
        if fault is not None and fault.__cause__ is not None:
            _log.error("%s", fault.message, exc_info=fault.__cause__)
        async with asyncio.timeout(self._patience_s):
            await close(self._websocket, fault)
