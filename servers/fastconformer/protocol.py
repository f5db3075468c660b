"""What is said on the wire: `init`, `flush` and `close` in, `interim`, `final` and `error` out. Pure."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, cast

from servers.common.audio import SAMPLE_RATE_HZ, check_sample_rate
from servers.common.errors import BadInput, ServerFault
from servers.common.sockets import describe

Sid = str | int | float
"""The client's name for its stream, given back as it came."""
Operation = Literal["flush", "close"]

MAX_TEXT: Final = 4096
"""Characters of a text frame; the longest that means anything has a sid of MAX_SID."""
MAX_SID: Final = 256


class NotInit(BadInput):
    """The first message does not begin a stream."""

    close_code = 1002


@dataclass(frozen=True, slots=True)
class Init:
    """A stream begins."""

    sid: Sid | None
    """None: the client gave none."""
    sample_rate_hz: int


def read_init(message: str | bytes) -> Init:
    """Raises NotInit unless the message is {"op": "init", "sid"?: text or number, "sr"?: 8000..48000}."""
    if isinstance(message, bytes):
        raise NotInit('audio came before {"op": "init"}', field="op", limit="init")
    try:
        row = _read(message)
        if row.get("op") != "init":
            raise NotInit('the first message is not {"op": "init"}', field="op", limit="init")
        return Init(_check_sid(row.get("sid")), _check_rate(row.get("sr")))
    except BadInput as error:
        raise NotInit(error.message, field=error.field, limit=error.limit) from None


def read_operation(message: str, sid: Sid) -> Operation:
    """Raises BadInput unless the message is {"op": "flush" | "close", "sid"?: the stream's own}."""
    row = _read(message)
    if row.get("op") not in ("flush", "close"):
        raise BadInput("unknown operation", field="op", limit="flush|close")
    if row.get("sid") is not None and row["sid"] != sid:
        raise BadInput("this connection's stream has another name", field="sid")
    return cast(Operation, row["op"])


def write_interim(sid: Sid, text: str) -> str:
    """All that has been heard so far."""
    return _write({"op": "interim", "sid": sid, "text": text, "final": False, "ts": _now_ms()})


def write_final(sid: Sid, text: str) -> str:
    """The whole text of a stream that has ended."""
    return _write({"op": "final", "sid": sid, "text": text, "final": True, "ts": _now_ms()})


def write_error(sid: Sid, fault: ServerFault) -> str:
    """What went wrong, with the field and what it may be, where that is known."""
    return _write({"op": "error", "sid": sid, "code": fault.code, "message": describe(fault)})


def _read(message: str) -> dict[str, Any]:
    if len(message) > MAX_TEXT:
        raise BadInput("the text frame is too long", field="message", limit=f"{MAX_TEXT} characters")
    try:
        row = json.loads(message, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise BadInput("a text frame holds one JSON object", field="message") from None
    if not isinstance(row, dict):
        raise BadInput("a text frame holds one JSON object", field="message")
    return row


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _check_sid(value: object) -> Sid | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadInput("neither text nor a number", field="sid")
    if len(str(value)) > MAX_SID or (isinstance(value, float) and not math.isfinite(value)):
        raise BadInput("too long", field="sid", limit=f"{MAX_SID} characters")
    return value


def _check_rate(value: object) -> int:
    if value is None:
        return SAMPLE_RATE_HZ
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadInput("not a whole number of Hz", field="sr", limit="8000..48000")
    return check_sample_rate(value, field="sr")


def _write(row: dict[str, object]) -> str:
    return json.dumps(row, separators=(",", ":"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
