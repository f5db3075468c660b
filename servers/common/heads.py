"""HTTP connections held in bounds: how long and how large a request's head may be, how many connections there are.

uvicorn has no limit for any of these: a client may send one header line for ever, or one byte of it a minute.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from servers.common.errors import BadInput, HeadTimeout, HeadTooLarge, Overloaded, ServerFault
from servers.common.patience import SECOND_LOOK_S

MAX_LINE_BYTES: Final = 8192
"""Of one header, or of the URL. The parser of WebSockets behind takes no more."""
MAX_HEADERS: Final = 100
MAX_HEAD_BYTES: Final = 65_536
"""Of all of a head."""
DISCARD_S: Final = 5.0
"""A client that has its answer may go on sending its body for so long; what comes is thrown away."""


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """What an operator may choose."""

    timeout_s: float
    """From the connection, or from the first byte of a later request, to the end of the request's head."""
    connections: int
    """At once, WebSockets among them."""


class BoundedHttp(HttpToolsProtocol):
    """A connection until it ends or becomes a WebSocket. Made by uvicorn; see `bounded`."""

    limits: ClassVar[HeadLimits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._in_body, self._has_begun = True, False, False
        self._fed = self._named = 0
        """Bytes since the head began, and bytes of its complete headers."""
        self._fault: ServerFault | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._discard_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(Overloaded("too many connections", field="connections", limit=self.limits.connections))
        else:
            self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head and self._head_timer is None:
            # Also where nothing begins yet: empty lines before a request would keep a connection for ever.
            self._wait_for_head()
        self._fed += len(data)
        super().data_received(data)
        if self._in_head and self._fed > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HeadTooLarge("the request's head is too large", field="head", limit=MAX_HEAD_BYTES))

    def handle_websocket_upgrade(self) -> None:
        self._stop_timers()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What one of the methods below raised while the parser ran, or what the parser itself could not read."""
        self._refuse(self._fault or BadInput("this is no HTTP request", field="request"))

    def on_message_begin(self) -> None:
        self._in_head, self._has_begun, self._named = True, True, 0
        if self._head_timer is None:  # it came together with the end of the one before
            self._wait_for_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_LINE_BYTES:
            self._raise(HeadTooLarge("the URL is too long", field="url", limit=MAX_LINE_BYTES))

    def on_header(self, name: bytes, value: bytes) -> None:
        size = len(name) + len(b": ") + len(value)
        self._named += size
        if size > MAX_LINE_BYTES:
            field = name[:80].decode("ascii", "replace")
            self._raise(HeadTooLarge("the header is too long", field=field, limit=MAX_LINE_BYTES))
        if len(self.headers) >= MAX_HEADERS:
            self._raise(HeadTooLarge("the request has too many headers", field="head", limit=MAX_HEADERS))
        if self._named > MAX_HEAD_BYTES:
            self._raise(HeadTooLarge("the request's head is too large", field="head", limit=MAX_HEAD_BYTES))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._stop_timers()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head, self._in_body, self._has_begun, self._fed = True, False, False, 0
        self._stop_timers()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._discard_timer = self.loop.call_later(DISCARD_S, self.transport.abort)

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.timeout_s, self._look_again)

    def _look_again(self) -> None:
        """A loop that stood still runs its timers before it reads what came meanwhile: it gets a chance to."""
        self._head_timer = self.loop.call_later(SECOND_LOOK_S, self._give_up)

    def _give_up(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._wait_for_head()  # an earlier request is still being answered: this one is not read meanwhile
        elif self._has_begun:
            limit = f"{self.limits.timeout_s:g} s"
            self._refuse(HeadTimeout("the request's head did not come in time", field="head", limit=limit))
        else:
            self.transport.close()

    def _raise(self, fault: ServerFault) -> None:
        """Out of the parser, which stops there."""
        self._fault = fault
        raise fault

    def _refuse(self, fault: ServerFault) -> None:
        """Without the app, which has seen nothing of this request."""
        self._stop_timers()
        body = json.dumps(fault.body()).encode()
        headers = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "connection": "close",
            **fault.headers(),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[fault.status] + lines.encode() + b"\r\n" + body)
        self.transport.close()

    def _stop_timers(self) -> None:
        for timer in (self._head_timer, self._discard_timer):
            if timer is not None:
                timer.cancel()
        self._head_timer = self._discard_timer = None


def bounded(limits: HeadLimits) -> type[BoundedHttp]:
    """The class for uvicorn's `http`."""
    return type("BoundedHttp", (BoundedHttp,), {"limits": limits})
