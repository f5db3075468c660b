"""One WebSocket connection: dialled, its messages put together and stamped, hung up.

Knows sockets (picows). What is said on it, and for how long, is the business of whoever listens: a call or a session.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, NamedTuple, Protocol

from picows import (
    WSCloseCode,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    ws_connect,
)

from yapbench.clients.codec import Message
from yapbench.clients.interface import Event, outcome_of_status, storable
from yapbench.clients.smart_turn import words_of
from yapbench.schema import Outcome

MOST_MESSAGE_BYTES: Final = 16 << 20
"""A message that comes in pieces is given up at this size."""

_NO_CLOSE_FRAME: Final = 1006

_silent = logging.getLogger("yapbench.picows")  # what happens to a connection is in the rows
_silent.setLevel(logging.CRITICAL + 1)


class Verdict(NamedTuple):
    """How an utterance, or a connection, ended."""

    outcome: Outcome
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Sight:
    """One thing that an observer sees on a connection, as it happens."""

    at_ns: int
    way: Literal["sent", "received", "line"]
    """A message of ours, one of the server's, or what happened to the connection itself."""
    kind: str
    """Ours: "opening", "frame", "end", "ping", "close". The server's: as in Event, or "pong". The connection's: "dial",
    "connected", "refused", "lost", and "t0", whose stamp may lie ahead: audio second 0."""
    size_bytes: int = 0
    words: str = ""
    """The message, where it can be read, or the reason."""
    text: str | None = None
    """The server's: the whole transcript as it stands."""


Observer = Callable[[Sight], None]


class Listener(Protocol):
    """Who hears what comes on a line."""

    def hear(self, at_ns: int, message: bytes, *, binary: bool) -> None:
        """A whole message."""
        ...

    def hear_close(self, at_ns: int, code: int, reason: str) -> None:
        """The server's close frame. The connection is as good as gone."""
        ...

    def hear_pong(self) -> None:
        """The answer to a ping."""
        ...

    def hear_end(self, verdict: Verdict) -> None:
        """The connection broke, or what came cannot be taken."""
        ...

    def hear_blocked(self, blocked: bool) -> None:
        """The kernel takes no more bytes, or takes them again."""
        ...


class Line(WSListener):
    """Used for one connection: `dial`, then `send`, at last `hang_up`. The rest is called by picows."""

    def __init__(self, listener: Listener, *, timeout_s: float, observer: Observer | None = None) -> None:
        self.listener: Listener | None = listener
        self.observer = observer
        self.dialled_ns = time.monotonic_ns()
        self.connected_ns: int | None = None
        self.blocked = False
        self._timeout_s = timeout_s
        self._transport: WSTransport | None = None
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._parts_binary = False
        self._over = False

    @property
    def stands(self) -> bool:
        """Connected, and not gone."""
        return self._transport is not None and not self._transport.is_disconnected

    async def dial(self, url: str, headers: dict[str, str]) -> tuple[Verdict, Event | None] | None:
        """Connect and upgrade; None: the line stands. Else how it failed, with the server's answer if it gave one."""
        self.dialled_ns = time.monotonic_ns()
        self._tell("line", "dial", words=url)
        failure = await self._connect(url, headers)
        if failure is not None:
            self._tell("line", "refused", words=f"{failure[0].outcome}: {failure[0].error}")
        return failure

    async def _connect(self, url: str, headers: dict[str, str]) -> tuple[Verdict, Event | None] | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await ws_connect(
                    lambda: self,
                    url,
                    # Its own limit, too: a dial that is cancelled from outside must not leave its socket open.
                    websocket_handshake_timeout=self._timeout_s + 1,
                    max_redirects=0,
                    logger_name=_silent,
                    extra_headers=headers,
                    use_aiofastnet=False,
                )
        except TimeoutError:
            return Verdict(Outcome.TIMEOUT, error=f"no connection within {self._timeout_s:g} s"), None
        except WSHandshakeError as refusal:
            return _refused(refusal)
        except OSError as cause:
            return Verdict(Outcome.REFUSED, error=str(cause) or type(cause).__name__), None
        if self.connected_ns is None:
            return Verdict(Outcome.SERVER_DIED, error="the connection was closed during the handshake"), None
        return None

    def send(self, message: Message, kind: str) -> None:
        """A message of ours; nothing happens where the connection is gone. `kind`: what an observer is told."""
        if self._transport is not None:
            self._tell("sent", kind, len(message), message if isinstance(message, str) else "")
            self._transport.send(WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY, message)

    def frames(self, *, binary: bool) -> Callable[[bytes], object]:
        """What sends one frame of audio: the hot path, so it is the transport's own method unless somebody observes."""
        assert self._transport is not None
        write = partial(self._transport.send, WSMsgType.BINARY if binary else WSMsgType.TEXT)
        return write if self.observer is None else partial(self._observed, write)

    def ping(self) -> None:
        """Is the server still there?"""
        if self._transport is not None:
            self._tell("sent", "ping")
            self._transport.send_ping()

    async def explain(self, verdict: Verdict) -> Verdict:
        """The same, or what the server did against the WebSocket protocol, where that broke the connection."""
        if self._transport is not None and verdict.status == _NO_CLOSE_FRAME:
            try:
                await self._transport.wait_disconnected()
            except WSProtocolError as cause:
                return Verdict(Outcome.PROTOCOL, error=f"not the WebSocket protocol: {cause}")
        return verdict

    def hang_up(self) -> None:
        """Say goodbye and close; a server that takes no bytes is not waited for. May be called again."""
        self._over, self.listener = True, None
        transport, self._transport = self._transport, None
        if transport is None or transport.is_disconnected:
            return
        if not self.blocked:
            self._tell("sent", "close", words="1000")
            transport.send_close(WSCloseCode.OK)
        transport.disconnect(graceful=not self.blocked)  # the goodbye itself may not have been taken

    def _observed(self, write: Callable[[bytes], object], frame: bytes) -> None:
        write(frame)
        self._tell("sent", "frame", len(frame))

    def _tell(self, way: Literal["sent", "received", "line"], kind: str, size: int = 0, words: str = "") -> None:
        if self.observer is not None:
            self.observer(Sight(time.monotonic_ns(), way, kind, size, words))

    # What picows calls:

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._over:  # given up meanwhile: nobody would ever close it
            transport.disconnect(graceful=False)
            return
        self.connected_ns = time.monotonic_ns()
        # What the kernel does not take at once is back-pressure, from the first byte on. TLS stops at the limit itself,
        # not above it: 0 would never let anything through.
        has_tls = transport.underlying_transport.get_extra_info("ssl_object") is not None
        transport.underlying_transport.set_write_buffer_limits(high=1 if has_tls else 0)
        self._transport = transport
        self._tell("line", "connected")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        at_ns = time.monotonic_ns()
        listener = self.listener
        if listener is None:
            return
        kind = frame.msg_type
        if kind == WSMsgType.TEXT or kind == WSMsgType.BINARY or kind == WSMsgType.CONTINUATION:
            if kind != WSMsgType.CONTINUATION:
                self._parts_binary = kind == WSMsgType.BINARY
                if frame.fin:
                    listener.hear(at_ns, frame.get_payload_as_bytes(), binary=self._parts_binary)
                    return
            self._piece(listener, at_ns, frame)
        elif kind == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            listener.hear_close(at_ns, code, payload[2:].decode(errors="replace"))
        elif kind == WSMsgType.PONG:
            self._tell("received", "pong")
            listener.hear_pong()

    def _piece(self, listener: Listener, at_ns: int, frame: WSFrame) -> None:
        part = frame.get_payload_as_bytes()
        self._parts_bytes += len(part)
        if self._parts_bytes > MOST_MESSAGE_BYTES:
            self._parts.clear()
            listener.hear_end(Verdict(Outcome.PROTOCOL, error=f"flooded: over {MOST_MESSAGE_BYTES} bytes in a message"))
            return
        self._parts.append(part)
        if frame.fin:
            message, self._parts, self._parts_bytes = b"".join(self._parts), [], 0
            listener.hear(at_ns, message, binary=self._parts_binary)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        error = "the connection ended without a close frame"
        if self.listener is not None:
            self._tell("line", "lost", words=error)
            self.listener.hear_end(Verdict(Outcome.SERVER_DIED, _NO_CLOSE_FRAME, error))

    def pause_writing(self) -> None:
        self.blocked = True
        if self.listener is not None:
            self.listener.hear_blocked(True)

    def resume_writing(self) -> None:
        self.blocked = False
        if self.listener is not None:
            self.listener.hear_blocked(False)


def _refused(refusal: WSHandshakeError) -> tuple[Verdict, Event | None]:
    """What an answer that is no upgrade means."""
    at_ns = time.monotonic_ns()
    if refusal.response is None:
        return Verdict(Outcome.PROTOCOL, error=f"not a WebSocket: {refusal}"), None
    status = int(refusal.response.status)
    if status == 101:
        return Verdict(Outcome.PROTOCOL, status, f"not a WebSocket: {refusal}"), None
    outcome, words = outcome_of_status(status), storable(words_of(refusal.raw_body or b""))
    kind = "at_capacity" if outcome is Outcome.REJECTED else "error"
    event = Event(at_ns, kind, data=json.dumps({"status": status, "words": words}))
    return Verdict(outcome, status, words or f"status {status}"), event
