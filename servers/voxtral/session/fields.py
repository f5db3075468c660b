"""What each field of the envelope may be, and how little of a wrong one is shown. Every refusal is a WireFault."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from servers.voxtral.faults import WireFault, invalid_message, invalid_payload

ID_LENGTH: Final = 128
REASON_LENGTH: Final = 256
PING_LENGTH: Final = 65_536
"""Characters of a ping's whole message: what is echoed is kept small."""
SHOWN_LENGTH: Final = 64
"""Of a wrong value, in what is said of it."""
DEFAULT_REASON: Final = "client"


def read_object(text: str) -> dict[str, Any]:
    """A text frame's JSON object."""
    try:
        row = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise invalid_message("not_json", "the message is not JSON", value=text[:SHOWN_LENGTH]) from None
    if not isinstance(row, dict):
        raise invalid_message("not_an_object", "the message is not a JSON object", value=shown(row))
    return row


def read_id(row: Mapping[str, Any], field: str) -> str | None:
    """An id, None where there is none."""
    value = row.get(field)
    if value is None or (isinstance(value, str) and 0 < len(value) <= ID_LENGTH):
        return value
    limit = f"text of 1 to {ID_LENGTH} characters"
    raise invalid_message("invalid_id", f"{field} is {limit}", field=field, value=shown(value), limit=limit)


def read_payload(row: Mapping[str, Any]) -> dict[str, Any]:
    """Empty where there is none."""
    payload = row.get("payload")
    if payload is None:
        return {}
    if not isinstance(payload, dict):
        raise invalid_payload("wrong_type", "the payload is not an object", field="payload", value=shown(payload))
    return payload


def read_final(payload: Mapping[str, Any]) -> bool:
    """`final`, false where it is missing, as in vLLM."""
    final = payload.get("final", False)
    if not isinstance(final, bool):
        raise invalid_payload(
            "wrong_type", "final is true or false", field="final", value=shown(final), limit=[False, True]
        )
    return final


def read_reason(payload: Mapping[str, Any]) -> str:
    """Of a cancel."""
    reason = payload.get("reason")
    if reason is None:
        return DEFAULT_REASON
    if not isinstance(reason, str) or len(reason) > REASON_LENGTH:
        limit = f"text of at most {REASON_LENGTH} characters"
        raise invalid_payload("wrong_type", f"reason is {limit}", field="reason", value=shown(reason), limit=limit)
    return reason


def read_ping(row: Mapping[str, Any], length: int) -> Any:
    """A ping's payload, any JSON; `length` is the whole message's."""
    if length > PING_LENGTH:
        raise invalid_payload(
            "payload_too_large", "a ping is small", field="payload", value=length, limit=f"{PING_LENGTH} characters"
        )
    payload = row.get("payload")
    return {} if payload is None else payload


def bad_audio(what: str, **details: Any) -> WireFault:
    """`audio` that is none."""
    limit = "base64 of PCM16, 16 kHz, mono"
    return invalid_payload("invalid_audio", f"audio {what}", field="audio", limit=limit, **details)


def shown(value: Any) -> str:
    """As little of it as shows what it was."""
    if isinstance(value, str):
        return value[:SHOWN_LENGTH]
    if isinstance(value, bool | int | float) or value is None:
        return encode(value)[:SHOWN_LENGTH]
    return "an object" if isinstance(value, dict) else "a list"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("too large a number")
    return number


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)
encode = json.JSONEncoder(separators=(",", ":"), check_circular=False, allow_nan=False).encode
