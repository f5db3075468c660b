"""WebSocket connections held in bounds: pings of who reads nothing, messages in countless fragments, missing ends.

uvicorn leaves these to the client: it buffers a pong for each ping, keeps an object for each fragment, waits for an
unread buffer to be read before it closes, and for ever for a client whose handshake it could not read.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

NO_HANDSHAKE: Final = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CLOSE_TIMEOUT_S: Final = 5.0
"""A client has so long to answer a close, and as long again to take what was sent to it."""


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """One connection, from its upgrade on. Made by uvicorn."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_TIMEOUT_S
        self._joined = bytearray()
        self._pong = b""
        self._abort_timer: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            # The parser has written its refusal, if it could; nothing else would send it or end the connection.
            refusal = b"".join(self.conn.data_to_send())
            self.transport.write(refusal or NO_HANDSHAKE)
            self.transport.close()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._pong and not self.transport.is_closing():
            self.transport.write(self._pong)
        self._pong = b""

    def handle_ping(self) -> None:
        """While the client takes nothing only the newest ping is answered, later (RFC 6455, 5.5.3)."""
        if self.writable.is_set():
            super().handle_ping()
        elif output := self.conn.data_to_send():
            self._pong = output[-1]

    def handle_text(self, event: Frame) -> None:
        self._joined = bytearray()
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._joined = bytearray()
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """Fragments are joined as they come: an object for each byte would take sixty times the memory."""
        if not self._joined:
            self._joined += self.frames[0]
        self._joined += event.data
        if event.fin:
            self.frames, self._joined = [bytes(self._joined)], bytearray()
            self.send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._end_soon(CLOSE_TIMEOUT_S)

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        super().on_task_complete(task)
        self._end_soon(2 * CLOSE_TIMEOUT_S)

    def _end_soon(self, limit_s: float) -> None:
        """Whether or not the client takes what is left to be sent."""
        if self._abort_timer is None and not self.disconnected:
            self._abort_timer = self.loop.call_later(limit_s, self.transport.abort)
