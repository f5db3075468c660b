"""How each streaming wire of `echo` writes and reads: the same rows and operations as PCM with JSON, JSON, MessagePack.

Pure. A wire's client is a codec of its own; what is heard and answered is the same on all of them.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final, Protocol

import msgpack

from servers.common.errors import BadInput
from servers.echo.protocol import Operation, check_operation, read_operation

Message = str | bytes


class Wire(Protocol):
    """One way to say things."""

    garbage: Message
    """What no client of this wire can read."""

    def read(self, message: Message) -> bytes | Operation:
        """Audio (PCM16) or an operation. Raises BadInput for anything else."""
        ...

    def write(self, row: dict[str, Any]) -> Message:
        """One message."""
        ...


class Pcm:
    """Binary frames are audio, text frames hold JSON."""

    garbage: Message = '{"type": "fin'

    def read(self, message: Message) -> bytes | Operation:
        return message if isinstance(message, bytes) else read_operation(message)

    def write(self, row: dict[str, Any]) -> Message:
        return json.dumps(row)


class Json:
    """Text frames of JSON only; {"op": "audio", "audio": base64 of PCM16}."""

    garbage: Message = '{"type": "fin'

    def read(self, message: Message) -> bytes | Operation:
        if isinstance(message, bytes):
            raise BadInput("this wire has text frames only", field="message")
        try:
            row = json.loads(message)
        except (ValueError, RecursionError):
            raise BadInput("a text frame holds one JSON object", field="message") from None
        if not (isinstance(row, dict) and row.get("op") == "audio"):
            return check_operation(row)
        try:
            return base64.b64decode(row["audio"], validate=True)
        except (KeyError, TypeError, ValueError):  # ValueError: also letters that are no ASCII
            raise BadInput("audio is base64 of 16-bit PCM", field="audio") from None

    def write(self, row: dict[str, Any]) -> Message:
        return json.dumps(row)


class MessagePack:
    """Binary frames of MessagePack only; {"op": "audio", "audio": PCM16 as bytes}."""

    garbage: Message = b"\x82\xa4type\xa5fi"

    def read(self, message: Message) -> bytes | Operation:
        if isinstance(message, str):
            raise BadInput("this wire has binary frames only", field="message")
        try:
            row = msgpack.unpackb(message)
        except ValueError:  # msgpack's own errors are among them
            raise BadInput("a binary frame holds one MessagePack map", field="message") from None
        if not (isinstance(row, dict) and row.get("op") == "audio"):
            return check_operation(row)
        if not isinstance(row.get("audio"), bytes):
            raise BadInput("audio is 16-bit PCM as bytes", field="audio")
        audio: bytes = row["audio"]
        return audio

    def write(self, row: dict[str, Any]) -> Message:
        packed: bytes = msgpack.packb(row)
        return packed


WIRES: Final[dict[str, Wire]] = {"/ws": Pcm(), "/ws/json": Json(), "/ws/msgpack": MessagePack()}
"""By path."""
