"""What `echo` understands and says: the head of a `np.save` body, the operations of /ws, the script."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from servers.common.errors import BadInput, StartupRefused

BYTES_PER_SECOND = 32_000
"""16-bit mono at 16 kHz."""
_NPY_MAGIC = b"\x93NUMPY"
_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog"]
_WORD_S = 0.3

SCRIPTED_ERROR = {"error": {"code": "scripted_error", "message": "scripted error", "field": None, "limit": None}}
Operation = Literal["start", "flush", "close"]


def check_npy(body: bytes) -> None:
    """Raise BadInput unless the body begins as `np.save` begins it. The numbers in it are not looked at."""
    if not body.startswith(_NPY_MAGIC):
        raise BadInput("the body is not an array written by np.save", field="body")


def check_form(body: bytes) -> None:
    """Raise BadInput unless the body begins as a form whose first part is a WAV. The audio is not looked at."""
    if not body.startswith(b"--") or b"\r\n\r\nRIFF" not in body[:1024]:
        raise BadInput("the body is not a form with a WAV in it", field="file")


def read_operation(text: str) -> Operation:
    """The `op` of a text frame; raises BadInput for anything that `check_operation` refuses."""
    try:
        message = json.loads(text)
    except ValueError:
        raise BadInput("a text frame holds one JSON object", field="message") from None
    return check_operation(message)


def check_operation(message: object) -> Operation:
    """The `op` of a message; raises BadInput for anything else than {"op": "start" | "flush" | "close"}."""
    operation = message.get("op") if isinstance(message, dict) else None
    if operation not in ("start", "flush", "close"):
        raise BadInput("unknown operation", field="op", limit="start|flush|close")
    return cast(Operation, operation)


class Partial(BaseModel):
    """A text that is due once so much audio of the utterance has arrived."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    audio_s: float = Field(ge=0)
    text: str


class Lines(BaseModel):
    """What one utterance is answered with. Partials stand in the order of their times."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    partials: tuple[Partial, ...] = ()
    final: str

    @model_validator(mode="after")
    def _in_order(self) -> Lines:
        times = [partial.audio_s for partial in self.partials]
        if times != sorted(times):
            raise ValueError("the partials are not in the order of audio_s")
        return self


class Utterance:
    """Counts the audio of one utterance and says which partials have become due."""

    def __init__(self, lines: Lines) -> None:
        self.final = lines.final
        self._due = list(lines.partials)
        self._bytes = self._silent_bytes = 0
        self._spoken = False

    @property
    def audio_s(self) -> float:
        return self._bytes / BYTES_PER_SECOND

    @property
    def silence_s(self) -> float:
        """How long nothing but zeros has come since the last sound; 0 before the first."""
        return self._silent_bytes / BYTES_PER_SECOND if self._spoken else 0.0

    def hear(self, audio: bytes) -> list[str]:
        """More PCM16 has arrived, cut anywhere; returns the partials due by now."""
        self._bytes += len(audio)
        if audio.count(0) < len(audio):
            self._spoken, self._silent_bytes = True, 0
        else:
            self._silent_bytes += len(audio)
        texts = []
        while self._due and self._due[0].audio_s <= self.audio_s:
            texts.append(self._due.pop(0).text)
        return texts


def read_script(path: Path | None) -> tuple[Lines, ...]:
    """The utterances of a script file, used in turn; without a file nine words, one each 300 ms.

    The file holds one object, or a list of them: {"partials": [{"audio_s": 0.3, "text": "hello"}], "final":
    "hello world"}. Raises StartupRefused when it cannot be read.
    """
    if path is None:
        partials = [
            Partial(audio_s=_WORD_S * count, text=" ".join(_WORDS[:count])) for count in range(1, len(_WORDS) + 1)
        ]
        return (Lines(partials=tuple(partials), final=" ".join(_WORDS)),)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        lines = TypeAdapter(tuple[Lines, ...]).validate_python(data if isinstance(data, list) else [data])
    except (OSError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{first['loc']}: {first['msg']}" if first else str(error)
        raise StartupRefused(f"--script={path}: {reason}") from error
    if not lines:
        raise StartupRefused(f"--script={path}: no utterance in it")
    return lines
