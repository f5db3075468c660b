"""Everything that leaves on one connection leaves from here, in order; nothing else ever waits for the client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.sockets import REASON_BYTES, send

LIMIT_BYTES: Final = 4 * 1024 * 1024
"""What may wait for a client that reads slowly: an hour of deltas."""
PATIENCE_S: Final = 30.0
"""A client that takes nothing for so long, while there is something for it, is given up."""
FAREWELL_S: Final = 5.0
"""What the last messages and the close frame may take."""
SLOW_READER: Final = 1008
"""Its close code, should it read on."""


class Outbox:
    """`put` from anywhere on the loop; `run` is the one task that writes."""

    def __init__(
        self, websocket: WebSocket, *, on_stuck: Callable[[], None], on_sent: Callable[[], None] | None = None
    ) -> None:
        """`on_stuck`: the client reads nothing; called once, and nothing is kept for it any more. `on_sent`: a message
        that was put as a result has left."""
        self._websocket, self._on_stuck, self._on_sent = websocket, on_stuck, on_sent
        self._texts: deque[tuple[str, bool]] = deque()
        self._size = 0
        self._writing_since_s: float | None = None
        self._news = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self._is_stuck = False
        self._task: asyncio.Task[None] | None = None

    def put(self, text: str, *, is_result: bool = False) -> None:
        """Nothing is sent behind a close."""
        if self._close is not None or self._is_stuck:
            return
        self._texts.append((text, is_result))
        self._size += len(text)
        self._news.set()
        if self._size > LIMIT_BYTES:
            self._give_up()

    def close(self, code: int, reason: str) -> None:
        """Behind what has been put. Only the first close counts."""
        if self._close is None:
            self._close = (code, reason)
            self._news.set()

    def abandon(self) -> None:
        """Nothing more is written: it has taken too long."""
        if self._task is not None:
            self._task.cancel()

    def look(self, at_s: float) -> None:
        """At every tick: is the client stuck?"""
        since_s = self._writing_since_s
        if since_s is not None and at_s - since_s > PATIENCE_S:
            self._give_up()

    async def run(self) -> None:
        """Until the close frame is written, the client is gone, or it is abandoned."""
        self._task = asyncio.current_task()
        with contextlib.suppress(WebSocketDisconnect):
            while not (self._close is not None and not self._texts):
                await self._news.wait()
                self._news.clear()
                await self._write_all()
            await self._write_close()

    async def _write_all(self) -> None:
        while self._texts:
            text, is_result = self._texts.popleft()
            self._writing_since_s = time.monotonic()
            await send(self._websocket, text)
            self._writing_since_s = None
            self._size -= len(text)
            if is_result and self._on_sent is not None:
                self._on_sent()

    async def _write_close(self) -> None:
        assert self._close is not None
        code, reason = self._close
        try:
            await self._websocket.close(code, reason.encode()[:REASON_BYTES].decode(errors="ignore"))
        except RuntimeError as error:
            # uvicorn has closed this connection itself and has not said so yet.
            raise WebSocketDisconnect(1006) from error

    def _give_up(self) -> None:
        if not self._is_stuck:
            self._is_stuck = True
            self._texts.clear()
            self._on_stuck()
