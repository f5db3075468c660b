"""What `echo` understands: the head of a `np.save` body, a form with a WAV, the operations and audio of a stream."""

from __future__ import annotations

import io
import json
import wave
from typing import Literal, cast

from servers.common.errors import BadInput
from servers.echo.script import Ear, Lines, Script

BYTES_PER_SECOND = 32_000
"""16-bit mono at 16 kHz."""
_NPY_MAGIC = b"\x93NUMPY"

SCRIPTED_ERROR = {"error": {"code": "scripted_error", "message": "scripted error", "field": None, "limit": None}}
Operation = Literal["start", "flush", "close"]


def check_npy(body: bytes) -> None:
    """Raise BadInput unless the body begins as `np.save` begins it. The numbers in it are not looked at."""
    if not body.startswith(_NPY_MAGIC):
        raise BadInput("the body is not an array written by np.save", field="body")


def read_form(body: bytes) -> bytes:
    """The PCM of a form whose first part is a WAV. Raises BadInput for anything else."""
    head, mark, _ = body[:1024].partition(b"\r\n\r\nRIFF")
    if not head.startswith(b"--") or not mark:
        raise BadInput("the body is not a form with a WAV in it", field="file")
    try:
        with wave.open(io.BytesIO(body[len(head) + 4 :])) as file:
            pcm: bytes = file.readframes(file.getnframes())
            return pcm
    except (wave.Error, EOFError) as error:
        raise BadInput(f"the WAV cannot be read: {error}", field="file") from error


def read_operation(text: str) -> Operation:
    """The `op` of a text frame; raises BadInput for anything that `check_operation` refuses."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput("a text frame holds one JSON object", field="message") from None
    return check_operation(message)


def check_operation(message: object) -> Operation:
    """The `op` of a message; raises BadInput for anything else than {"op": "start" | "flush" | "close"}."""
    operation = message.get("op") if isinstance(message, dict) else None
    if operation not in ("start", "flush", "close"):
        raise BadInput("unknown operation", field="op", limit="start|flush|close")
    return cast(Operation, operation)


class Utterance:
    """Counts the audio of one utterance and says which partials have become due."""

    def __init__(self, script: Script, number: int = 0) -> None:
        self._ear = Ear(script) if script.sizes else None
        self._lines = None if script.sizes else script.in_turn(number)
        self._said = self._bytes = self._silent_bytes = 0
        self._spoken = False

    @property
    def audio_s(self) -> float:
        return self._bytes / BYTES_PER_SECOND

    @property
    def silence_s(self) -> float:
        """How long nothing but zeros has come since the last sound; 0 before the first."""
        return self._silent_bytes / BYTES_PER_SECOND if self._spoken else 0.0

    @property
    def final(self) -> str:
        """The whole transcript; empty for a sound that the script does not know."""
        return self._known().final

    def hear(self, audio: bytes) -> list[str]:
        """More PCM16 has arrived, cut anywhere; returns the partials due by now."""
        self._bytes += len(audio)
        if audio.count(0) < len(audio):
            self._spoken, self._silent_bytes = True, 0
        else:
            self._silent_bytes += len(audio)
        if self._lines is None and self._ear is not None:
            self._lines = self._ear.listen(audio)
        texts = []
        partials = self._lines.partials if self._lines else ()
        while self._said < len(partials) and partials[self._said].audio_s <= self.audio_s:
            texts.append(partials[self._said].text)
            self._said += 1
        return texts

    def _known(self) -> Lines:
        if self._lines is None:
            assert self._ear is not None
            self._lines = self._ear.give_up()
        return self._lines
