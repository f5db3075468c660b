"""The servers' one error tree. A fault keeps facts as attributes; `edge.py` maps it to the wire, once.

ServerFault                 500 internal_error       close 1011
├── BadInput                400 bad_input            close 1007
├── Unauthorized            401 unauthorized         close 4001
├── BodyTimeout             408 body_timeout         close 1008
├── HeadTimeout         408 head_timeout         close 1008
├── IdleTimeout             408 idle_timeout         close 4000
├── TooLarge                413 too_large            close 1009
├── Unsupported             415 unsupported          close 1003
├── HeadTooLarge        431 head_too_large       close 1009
├── InferenceFailed         500 inference_failed     close 1011
├── Overloaded              503 at_capacity          close 1013   Retry-After
│   ├── Draining            503 draining             close 1012   Retry-After
│   └── NotReady            503 not_ready            close 1013   Retry-After
└── DeadlineExceeded        504 deadline_exceeded    close 1013

Close codes are the WebSocket's defaults; a protocol with codes of its own (4000, 4002 ...) sends those.
"""

from __future__ import annotations

import math
from typing import ClassVar


class ServerFault(Exception):
    """Root of the tree. `field` names what the client got wrong, `limit` what would have been allowed."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    close_code: ClassVar[int] = 1011

    def __init__(self, message: str, *, field: str | None = None, limit: object = None) -> None:
        self.message, self.field, self.limit = message, field, limit
        super().__init__(message)

    def body(self) -> dict[str, object]:
        """The JSON answer: {"error": {code, message, field, limit}}, the last two null when unknown."""
        return {"error": {"code": self.code, "message": self.message, "field": self.field, "limit": self.limit}}

    def headers(self) -> dict[str, str]:
        """HTTP headers that belong to this answer."""
        return {}


class BadInput(ServerFault):
    """The request cannot be understood or breaks a rule of its format."""

    status, code, close_code = 400, "bad_input", 1007


class Unauthorized(ServerFault):
    """The key is missing or wrong. The message never repeats it."""

    status, code, close_code = 401, "unauthorized", 4001

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class BodyTimeout(ServerFault):
    """The client stopped sending before its body was complete."""

    status, code, close_code = 408, "body_timeout", 1008


class HeadTimeout(ServerFault):
    """The client stopped sending before its request's head was complete. Said before there is an app's request."""

    status, code, close_code = 408, "head_timeout", 1008


class IdleTimeout(ServerFault):
    """Nothing came from the client for too long."""

    status, code, close_code = 408, "idle_timeout", 4000


class TooLarge(ServerFault):
    """More bytes or seconds than the server takes."""

    status, code, close_code = 413, "too_large", 1009


class HeadTooLarge(ServerFault):
    """A URL, a header, or all of them together are larger than any request here needs."""

    status, code, close_code = 431, "head_too_large", 1009


class Unsupported(ServerFault):
    """A media type, encoding or message kind that this server does not speak."""

    status, code, close_code = 415, "unsupported", 1003


class InferenceFailed(ServerFault):
    """The model raised for this request."""

    status, code, close_code = 500, "inference_failed", 1011


class Overloaded(ServerFault):
    """Refused early because there is no room; worth trying again after `retry_after_s`."""

    status, code, close_code = 503, "at_capacity", 1013

    def __init__(
        self, message: str, *, retry_after_s: float = 1.0, field: str | None = None, limit: object = None
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, field=field, limit=limit)

    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}


class Draining(Overloaded):
    """The server is going away and takes nothing new."""

    code, close_code = "draining", 1012


class NotReady(Overloaded):
    """The model is not loaded and warm yet."""

    code = "not_ready"


class DeadlineExceeded(ServerFault):
    """The answer would have come after the request's deadline."""

    status, code, close_code = 504, "deadline_exceeded", 1013


class StartupRefused(Exception):
    """The server cannot start with these settings on this machine: `serve` prints the line and exits 1."""
