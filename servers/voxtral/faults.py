"""What a client is told when something is wrong: payload {code, message, reason_code, details}, and how it is closed.

Codes, reasons and close codes are listed in README.md. Knows no socket.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final, Literal

Code = Literal[
    "authentication_failed",
    "server_at_capacity",
    "invalid_message",
    "invalid_payload",
    "rate_limited",
    "internal_error",
]


class CloseCode(IntEnum):
    """Of the WebSocket; others are the protocol's own (1009 a too large message, 1012 shutting down)."""

    END = 1000
    ENGINE_UNAVAILABLE = 1013
    IDLE = 4000
    UNAUTHORIZED = 4001
    AT_CAPACITY = 4002
    MAX_DURATION = 4003


class WireFault(Exception):
    """One `error` message. `closes`: the session ends with it, by this close code."""

    def __init__(
        self,
        code: Code,
        reason_code: str,
        message: str,
        *,
        closes: CloseCode | None = None,
        **details: Any,
    ) -> None:
        self.code, self.reason_code, self.message = code, reason_code, message
        self.closes, self.details = closes, details
        super().__init__(message)

    def payload(self) -> dict[str, Any]:
        """As it goes out."""
        return {
            "code": self.code,
            "message": self.message,
            "reason_code": self.reason_code,
            "details": dict(self.details),
        }


def invalid_message(reason_code: str, message: str, **details: Any) -> WireFault:
    """The message cannot be understood, or does not fit the moment."""
    return WireFault("invalid_message", reason_code, message, **details)


def invalid_payload(reason_code: str, message: str, *, field: str, **details: Any) -> WireFault:
    """A value of the payload is wrong; `field` names it, `limit` and `value` say how where that helps."""
    return WireFault("invalid_payload", reason_code, message, field=field, **details)


def engine_unavailable(message: str = "the speech engine is not running; try again later") -> WireFault:
    """Ends the session: 1013."""
    return WireFault("internal_error", "engine_unavailable", message, closes=CloseCode.ENGINE_UNAVAILABLE)


ENGINE_STALLED: Final = "engine_stalled"
TRUNCATED: Final = "truncated"
ENGINE_ERROR: Final = "engine_error"


def engine_failed(reason_code: str, message: str, details: Mapping[str, Any] | None = None) -> WireFault:
    """The engine gave up one utterance: it ends without a `transcription.done`, the session goes on."""
    return WireFault("internal_error", reason_code, message, **(details or {}))
