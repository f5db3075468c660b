"""The envelope {type, session_id, request_id, payload}: text frames to messages, and what goes out to text frames.

Knows nothing of an utterance's state. Every refusal is a WireFault that names the field, and value and limit where
there are any.
"""

from __future__ import annotations

import math
from binascii import Error, a2b_base64
from collections.abc import Mapping
from typing import Any, Final

from servers.voxtral.faults import WireFault, invalid_message, invalid_payload
from servers.voxtral.session.fields import (
    PING_LENGTH,
    bad_audio,
    encode,
    read_final,
    read_id,
    read_object,
    read_payload,
    read_ping,
    read_reason,
    shown,
)
from servers.voxtral.session.messages import Append, Cancel, End, Finish, Message, Ping, Start, Update
from servers.voxtral.settings import SAMPLE_RATE_HZ

COMMIT: Final = "input_audio_buffer.commit"
APPEND: Final = "input_audio_buffer.append"
KINDS: Final = ("session.update", COMMIT, APPEND, "ping", "end", "cancel")


class Envelope:
    """One connection's: remembers what the client calls the session."""

    def __init__(self, session_id: str, *, model: str, max_append_s: float) -> None:
        """`model`: the only one that a client may name."""
        self.session_id = session_id
        self.asked_by: str | None = None
        """The request_id of the newest message, None where it had none, or one that cannot be read."""
        self._model = model
        self._max_append_s = max_append_s
        self._max_bytes = 2 * math.floor(max_append_s * SAMPLE_RATE_HZ)
        self._max_base64 = 4 * math.ceil(self._max_bytes / 3)
        self._max_text = 2 * self._max_base64 + PING_LENGTH
        self._session = encode(session_id)

    def read(self, text: str) -> Message:
        """Raises WireFault."""
        self.asked_by = None
        if len(text) > self._max_text:
            # Not even parsed: small lists take twenty times the memory of their text.
            raise invalid_payload(
                "message_too_long",
                f"a message of {len(text)} characters is too long; {self._max_append_s:g} s of audio fit in one",
                field="message",
                value=len(text),
                limit=self._max_text,
            )
        row = read_object(text)
        self.asked_by = request_id = read_id(row, "request_id")
        session_id = read_id(row, "session_id")
        if session_id is not None and session_id != self.session_id:
            self.session_id, self._session = session_id, encode(session_id)
        match row.get("type"):
            case "input_audio_buffer.append":
                return Append(request_id, self._read_audio(read_payload(row)))
            case "input_audio_buffer.commit":
                return Finish(request_id) if read_final(read_payload(row)) else Start(request_id)
            case "ping":
                return Ping(request_id, read_ping(row, len(text)))
            case "cancel":
                return Cancel(request_id, read_reason(read_payload(row)))
            case "session.update":
                self._check_update(read_payload(row))
                return Update(request_id)
            case "end":
                return End(request_id)
            case None:
                raise invalid_message("missing_type", "the message has no type", field="type", limit=list(KINDS))
            case kind:
                raise invalid_message(
                    "unknown_type",
                    "there is no such message here",
                    field="type",
                    value=shown(kind),
                    limit=list(KINDS),
                )

    def write(self, kind: str, request_id: str | None, payload: Any) -> str:
        """A text frame. `kind` needs no escaping; `payload` is JSON of finite numbers."""
        request = "null" if request_id is None else encode(request_id)
        head = f'{{"type":"{kind}","session_id":{self._session},"request_id":{request},"payload":'
        return f"{head}{encode(payload)}}}"

    def _read_audio(self, payload: Mapping[str, Any]) -> bytes:
        audio = payload.get("audio")
        if not isinstance(audio, str):
            raise bad_audio("is missing" if audio is None else "is not text")
        if len(audio) > self._max_base64:
            raise self._too_long(len(audio) * 3 // 4)
        try:
            pcm = a2b_base64(audio, strict_mode=True)
        except (Error, ValueError):
            raise bad_audio("is not base64", value=shown(audio)) from None
        if not pcm:
            raise bad_audio("is empty")
        if len(pcm) % 2:
            raise bad_audio(f"has {len(pcm)} bytes: half a sample is missing", value=len(pcm))
        if len(pcm) > self._max_bytes:
            raise self._too_long(len(pcm))
        return pcm

    def _too_long(self, size: int) -> WireFault:
        seconds = round(size / 2 / SAMPLE_RATE_HZ, 3)
        return invalid_payload(
            "audio_too_long",
            f"{seconds:g} s of audio in one message are too many",
            field="audio",
            value=seconds,
            limit=self._max_append_s,
        )

    def _check_update(self, payload: Mapping[str, Any]) -> None:
        for name, value in payload.items():
            if name not in ("model", "type") and value is not None:
                raise invalid_payload(
                    "unsupported_field",
                    f"{shown(name)} cannot be chosen here",
                    field=shown(name),
                    value=shown(value),
                    limit=["model"],
                )
        model = payload.get("model")
        if model is not None and model != self._model:
            raise invalid_payload(
                "unsupported_model",
                f"only {self._model} is served here",
                field="model",
                value=shown(model),
                limit=[self._model],
            )
