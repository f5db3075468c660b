"""Tells one client what was heard: chunks' answers in the chunks' order, everything else at once, and how it ends."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import ServerFault
from servers.common.sockets import close, send
from servers.parakeet.live.protocol import FLUSHED, QUEUED, write_error

_log = logging.getLogger("servers.parakeet")
LINES: Final = 64
"""Messages that may wait for a client that reads slowly; then it is not read either."""


@dataclass(eq=False, slots=True)
class Owed:
    """A place in the order of answers."""

    is_chunk: bool
    message: str | None = None


class Speaker:
    """Everything that leaves on one connection leaves from `run`; the other methods only say what there is to tell."""

    def __init__(self, websocket: WebSocket, *, chunks: int, patience_s: float, on_sent: Callable[[], None]) -> None:
        """`has_room_for_a_chunk` waits while so many `chunks` are unanswered. A client that takes nothing for
        `patience_s` (0: for however long) is given up. `on_sent`: a chunk's answer has left."""
        self._websocket, self._chunks = websocket, chunks
        self._patience_s, self._on_sent = patience_s, on_sent
        self._now: deque[str] = deque()
        self._owed: deque[Owed] = deque()
        self._partial: str | None = None
        self._unanswered = 0
        self._fault: ServerFault | None = None
        self._news, self._progress = asyncio.Event(), asyncio.Event()

    @property
    def is_full(self) -> bool:
        """More messages wait to be sent, or to be known, than may."""
        return len(self._now) + len(self._owed) > LINES

    def say(self, message: str) -> None:
        """To be sent before any answer that is not sent yet."""
        self._now.append(message)
        self._news.set()

    def queue(self) -> Owed:
        """Announces a chunk; its answer is owed from now on."""
        owed = Owed(is_chunk=True)
        self._owed.append(owed)
        self._unanswered += 1
        self.say(QUEUED)
        return owed

    def answer(self, owed: Owed, message: str) -> None:
        owed.message = message
        self._news.set()

    def tell_flushed(self) -> None:
        """When all that is owed by now is answered."""
        self._owed.append(Owed(is_chunk=False, message=FLUSHED))
        self._news.set()

    def show(self, partial: str | None) -> None:
        """Only the newest is sent; None withdraws one that is not sent yet."""
        self._partial = partial
        self._news.set()

    def end(self, fault: ServerFault) -> None:
        """When all that is owed by now is answered, the fault is told and the connection closed."""
        self._fault = self._fault or fault
        self._news.set()

    async def has_room_for_a_chunk(self) -> None:
        while self._unanswered >= self._chunks:
            self._progress.clear()
            await self._progress.wait()

    async def has_room_for_words(self) -> None:
        while self.is_full:
            self._progress.clear()
            await self._progress.wait()

    async def run(self) -> None:
        """Until the end is told, or the client is gone, or takes nothing any more."""
        try:
            while not (self._fault and not self._owed):
                self._news.clear()
                await self._tell_all()
                if not (self._fault and not self._owed):
                    await self._news.wait()
            await self._end(self._fault)
        except WebSocketDisconnect:
            return
        except TimeoutError:
            _log.warning("the client reads nothing; giving it up")

    async def _tell_all(self) -> None:
        while self._now or self._partial is not None or (self._owed and self._owed[0].message is not None):
            if self._now:
                await self._send(self._now.popleft())
            elif self._owed and (message := self._owed[0].message) is not None:
                owed = self._owed.popleft()
                await self._send(message)
                if owed.is_chunk:
                    self._unanswered -= 1
                    self._on_sent()
            elif self._partial is not None:
                partial, self._partial = self._partial, None
                await self._send(partial)
            self._progress.set()

    async def _end(self, fault: ServerFault) -> None:
        if fault.__cause__ is not None:
            _log.error("%s", fault.message, exc_info=fault.__cause__)
        await self._send(write_error(fault))
        async with asyncio.timeout(self._patience_s or None):
            await close(self._websocket, fault)

    async def _send(self, message: str) -> None:
        async with asyncio.timeout(self._patience_s or None):
            await send(self._websocket, message)
