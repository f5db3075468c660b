"""The three streaming wires of the echo server: raw PCM, JSON with base64, MessagePack."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import msgpack

from yapbench.clients.codec import Codec, Heard, Message, Reader, pcm16
from yapbench.clients.interface import Audio
from yapbench.schema import Outcome


class EchoPcm(Codec):
    """`/ws`: binary PCM16 in, JSON out; a `flush` brings the final."""

    path = "/ws"
    key_variable = "ECHO_KEY"
    keeps_open = True

    def encode(self, frame: Audio) -> Message:
        return pcm16(frame)

    def end(self, request_id: str) -> Sequence[Message]:
        return ['{"op": "flush"}']

    def reader(self, request_id: str) -> Reader:
        return _Reader(request_id)


class EchoJson(Codec):
    """`/ws/json`: everything is JSON text, audio in base64; the server says when it is ready."""

    path = "/ws/json"
    key_variable = "ECHO_KEY"
    keeps_open = True
    waits_for_ready = True

    def opening(self, request_id: str) -> Sequence[Message]:
        return ['{"op": "start"}']

    def encode(self, frame: Audio) -> Message:
        return json.dumps({"op": "audio", "audio": base64.b64encode(pcm16(frame)).decode()})

    def end(self, request_id: str) -> Sequence[Message]:
        return ['{"op": "flush"}']

    def reader(self, request_id: str) -> Reader:
        return _Reader(request_id)


class EchoMsgpack(Codec):
    """`/ws/msgpack`: the same messages as MessagePack in binary frames, audio as bytes."""

    path = "/ws/msgpack"
    key_variable = "ECHO_KEY"
    keeps_open = True
    waits_for_ready = True

    def opening(self, request_id: str) -> Sequence[Message]:
        return [_packed({"op": "start"})]

    def encode(self, frame: Audio) -> Message:
        return _packed({"op": "audio", "audio": pcm16(frame)})

    def end(self, request_id: str) -> Sequence[Message]:
        return [_packed({"op": "flush"})]

    def reader(self, request_id: str) -> Reader:
        return _Reader(request_id)


class _Reader:
    """Echo says the same on each wire: rows with `type`, `request_id` and the whole text so far."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id

    def read(self, message: Message, *, ended: bool) -> Heard:
        row: dict[str, Any] = json.loads(message) if isinstance(message, str) else msgpack.unpackb(message)
        data = None if isinstance(message, str) else json.dumps(row)
        kind, text = row["type"], row.get("text")
        if kind == "error":
            error = row["error"]
            full = error["code"] == "at_capacity"
            outcome = Outcome.REJECTED if full else Outcome.SERVER_ERROR
            words = f"{error['code']}: {error['message']}"
            return Heard("at_capacity" if full else kind, outcome=outcome, error=words, data=data)
        if kind not in ("ready", "partial", "final") or not isinstance(text, str | None):
            raise ValueError(f"unknown message {kind!r}")
        if row["request_id"] != self._request_id:
            words = f"asked {self._request_id!r}, the {kind} is for {row['request_id']!r}"
            return Heard(kind, text, Outcome.WRONG_RESULT, words, data)
        return Heard(kind, text, Outcome.OK if kind == "final" and ended else None, data=data)


def _packed(row: dict[str, object]) -> bytes:
    packed: bytes = msgpack.packb(row)
    return packed
