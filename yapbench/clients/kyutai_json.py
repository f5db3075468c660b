"""The JSON wire of the Kyutai server, on `/`: StartSTT, 16-bit PCM in base64 at 24 kHz, Flush; words, texts, a Final.

The server says nothing before our first message, which fixes the encoding; only a refusal comes as MessagePack, too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import msgpack

from yapbench.clients.codec import Heard, Message, Reader, pcm16
from yapbench.clients.interface import Audio
from yapbench.clients.kyutai import KyutaiWire, Transcript, text_of


class KyutaiJson(KyutaiWire):
    """Everything is text."""

    path = "/"

    def opening(self, request_id: str) -> Sequence[Message]:
        return ['{"type": "StartSTT"}']

    def encode(self, frame: Audio) -> Message:
        return json.dumps({"type": "Audio", "audio": base64.b64encode(pcm16(frame)).decode()})

    def end(self, request_id: str) -> Sequence[Message]:
        return ['{"type": "Flush"}']

    def reader(self, request_id: str) -> Reader:
        return _Reader()


class _Reader:
    """Each Word is followed by a Partial with the whole text so far."""

    def __init__(self) -> None:
        self._transcript = Transcript()

    def read(self, message: Message, *, ended: bool) -> Heard:
        row: dict[str, Any] = json.loads(message) if isinstance(message, str) else msgpack.unpackb(message)
        kind = row["type"]
        if not isinstance(message, str) and kind != "Error":
            raise TypeError(f"a binary {kind} on this wire")
        heard = self._read(row, kind, ended=ended)
        data = None if isinstance(message, str) else json.dumps(row)
        return Heard(heard.kind, heard.text, heard.outcome, heard.error, data)

    def _read(self, row: dict[str, Any], kind: str, *, ended: bool) -> Heard:
        if kind == "Word":
            self._transcript.words.append(text_of(row, "word"))
            return Heard("word")
        if kind == "Partial":
            return Heard("partial", text_of(row, "text"))
        if kind == "Error":
            return self._transcript.error(text_of(row, "message"))
        if kind == "Final":
            return self._transcript.final(text_of(row, "text"), ended=ended)
        return Heard({"Ready": "ready"}[kind])
