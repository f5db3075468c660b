"""The connection edge: request ids, in-flight count, refusal while draining, access line, and the ONE place
where a fault becomes an HTTP answer or a WebSocket close. Pure ASGI; knows no route.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from servers.common.errors import Draining, ServerFault
from servers.common.lifecycle import Lifecycle
from servers.common.logs import REQUEST_ID
from servers.common.metrics import Metrics

_log = logging.getLogger("servers.access")
REQUEST_ID_LIMIT = 128
CLIENT_GONE = 499
_REASON_BYTES = 123


class Edge:
    """Outermost layer of an app. `open_paths` (health and the like) are answered even while draining."""

    def __init__(self, app: ASGIApp, *, lifecycle: Lifecycle, metrics: Metrics, open_paths: Collection[str]) -> None:
        self._app, self._lifecycle, self._metrics = app, lifecycle, metrics
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = accept_request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = request_id
        token = REQUEST_ID.set(request_id)
        counted = scope["path"] not in self._open_paths
        exchange = _Exchange(scope, receive, send, request_id)
        try:
            if counted and self._lifecycle.draining:
                await exchange.answer(Draining("the server is shutting down"))
            else:
                await self._run(exchange, counted=counted)
        finally:
            self._note(exchange, counted=counted)
            REQUEST_ID.reset(token)

    async def _run(self, exchange: _Exchange, *, counted: bool) -> None:
        self._lifecycle.in_flight += counted
        try:
            await self._app(exchange.scope, exchange.receive, exchange.send)
        except ServerFault as fault:
            await exchange.answer(fault)
        except (ClientDisconnect, WebSocketDisconnect):
            exchange.status = exchange.status or CLIENT_GONE
        except Exception:
            # The edge: whatever a route did not foresee is logged with its request id and answered as 500.
            _log.exception("unforeseen error")
            await exchange.answer(ServerFault("internal error"))
        finally:
            self._lifecycle.in_flight -= counted

    def _note(self, exchange: _Exchange, *, counted: bool) -> None:
        seconds = time.monotonic() - exchange.started_s
        scope = exchange.scope
        route = getattr(scope.get("route"), "path", "unmatched")
        self._metrics.observe_request(route=route, status=exchange.status, seconds=seconds)
        level = logging.INFO if counted else logging.DEBUG
        if _log.isEnabledFor(level):
            # The path alone: a query may hold a key.
            facts = {"status": exchange.status, "duration_ms": round(seconds * 1000, 3)}
            _log.log(level, "%s %s", scope.get("method", "WS"), scope["path"], extra={"facts": facts})


class _Exchange:
    """One request or session: remembers what was sent, so that a late fault is answered the right way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self.scope, self.receive = scope, receive
        self.started_s = time.monotonic()
        self.status = 0
        """HTTP status, or the close code of a session; 0 when nothing was sent."""
        self._send, self._request_id = send, request_id
        self._open = self._closed = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            headers = [*message.get("headers", ()), (b"x-request-id", self._request_id.encode())]
            message = {**message, "headers": headers}
            self._open = True
            self._closed = kind == "websocket.http.response.start"
            self.status = message.get("status", 101)
        elif kind == "websocket.close":
            self._closed = True
            self.status = message.get("code", 1000)
        await self._send(message)

    async def answer(self, fault: ServerFault) -> None:
        """Say what went wrong, as far as the protocol still allows it."""
        if not self._open:
            response = JSONResponse(fault.body(), status_code=fault.status, headers=fault.headers())
            await response(self.scope, self.receive, self.send)
        elif self.scope["type"] == "websocket" and not self._closed:
            reason = fault.message.encode()[:_REASON_BYTES].decode(errors="ignore")
            await self.send({"type": "websocket.close", "code": fault.close_code, "reason": reason})
        else:
            _log.warning("failed after the answer began: %s", fault.message, extra={"facts": {"code": fault.code}})


def accept_request_id(given: str | None) -> str:
    """The client's id, cut to 128 visible ASCII characters, or a new one where none is left."""
    kept = "".join(letter for letter in (given or "")[: 4 * REQUEST_ID_LIMIT] if "!" <= letter <= "~")
    return kept[:REQUEST_ID_LIMIT] or secrets.token_hex(8)
