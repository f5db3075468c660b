"""Tells one client what was heard: the newest text, never a queue of older ones, and how its stream ended."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

from servers.common.errors import ServerFault
from servers.common.sockets import close, send
from servers.fastconformer.heard import Transcript
from servers.fastconformer.protocol import Sid, write_error, write_final, write_interim

_log = logging.getLogger("servers.fastconformer")


class Speaker:
    """Everything that leaves on one connection leaves from `run`; the other methods only say what there is to tell."""

    def __init__(
        self,
        websocket: WebSocket,
        *,
        sid: Sid,
        transcript: Transcript,
        pause_s: float,
        patience_s: float,
        on_sent: Callable[[], None],
    ) -> None:
        """At most one unasked-for interim every `pause_s`. A client that takes nothing for `patience_s` (0: for
        however long) is given up. `on_sent`: a text has left."""
        self._websocket, self._sid, self._transcript = websocket, sid, transcript
        self._pause_s, self._patience_s, self._on_sent = pause_s, patience_s, on_sent
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._sent_s = 0.0
        self._warning: ServerFault | None = None
        self._has_changed = self._owes_answer = self._has_ended = False
        self._fault: ServerFault | None = None
        self._ends_with_text = False

    def tell_change(self) -> None:
        """The transcript has grown."""
        self._has_changed = True
        self._news.set()

    def answer(self) -> None:
        """Send an interim whether or not the text is new."""
        self._owes_answer = True
        self._news.set()

    def warn(self, fault: ServerFault) -> None:
        """Something is wrong that does not end the stream; told before the next text."""
        self._warning = fault
        self._news.set()

    def end(self, fault: ServerFault | None, *, with_text: bool = False) -> None:
        """The last thing to be told: the whole text, or what went wrong. Only the first end counts.

        `with_text`: the whole text all the same, and of the fault only how the connection closes.
        """
        if not self._has_ended:
            self._has_ended, self._fault, self._ends_with_text = True, fault, with_text or fault is None
            self._news.set()

    async def run(self) -> None:
        """Until the end is told, or the client is gone, or takes nothing any more."""
        try:
            while not self._has_ended:
                await self._news.wait()
                self._news.clear()
                await self._tell_news()
            await self._tell_end()
        except WebSocketDisconnect:
            return
        except TimeoutError:
            _log.warning("the client reads nothing; giving it up")
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def _tell_news(self) -> None:
        await self._tell_warning()
        if self._has_ended or not (self._has_changed or self._owes_answer):
            return
        early_s = self._sent_s + self._pause_s - time.monotonic()
        if early_s > 0 and not self._owes_answer:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(early_s, self._look_again)
            return
        self._has_changed = self._owes_answer = False
        await self._send(write_interim(self._sid, self._transcript.text))
        self._sent_s = time.monotonic()
        self._on_sent()

    async def _tell_warning(self) -> None:
        if self._warning is not None:
            warning, self._warning = self._warning, None
            await self._send(write_error(self._sid, warning))

    def _look_again(self) -> None:
        self._timer = None
        self._news.set()

    async def _tell_end(self) -> None:
        fault = self._fault
        if fault is not None and fault.__cause__ is not None:
            _log.error("%s", fault.message, exc_info=fault.__cause__)
        await self._tell_warning()
        if self._ends_with_text:
            # Older clients know no final: they take the last interim.
            await self._send(write_interim(self._sid, self._transcript.text))
            await self._send(write_final(self._sid, self._transcript.text))
            self._on_sent()
        elif fault is not None:
            await self._send(write_error(self._sid, fault))
        await self._close(fault)

    async def _send(self, message: str) -> None:
        async with asyncio.timeout(self._patience_s or None):
            await send(self._websocket, message)

    async def _close(self, fault: ServerFault | None) -> None:
        async with asyncio.timeout(self._patience_s or None):
            await close(self._websocket, fault)
