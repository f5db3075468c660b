"""Whole files by REST: a WAV as multipart to `POST /transcribe`, one JSON answer with its text. Not real time.

An upload is measured as a stream without a clock (StreamOptions' `eos=file`): its text against its reference, its audio
against the time that the answer took.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Final

import soundfile

from yapbench.clients.interface import Audio, Exchange, storable
from yapbench.clients.smart_turn import SmartTurnClient, excerpt, parse
from yapbench.corpus import Utterance

_BOUNDARY: Final = "yapbench-7f1c2b0e9d"  # a WAV of ours holds it by no chance worth a thought


class Upload(SmartTurnClient):
    """One user with one kept-alive connection. A server's own is a subclass with its key's name."""

    route = "/transcribe"
    content_type = f"multipart/form-data; boundary={_BOUNDARY}"
    answer_kind = "final"

    def prepare(self, utterance: Utterance, audio: Audio) -> bytes:
        """The form with the audio as 16-bit WAV."""
        file = io.BytesIO()
        soundfile.write(file, audio, self.sample_rate_hz, format="WAV", subtype="PCM_16")
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="audio.wav"\r\n'
        kind = "Content-Type: audio/wav\r\n\r\n"
        return f"{head}{kind}".encode() + file.getvalue() + f"\r\n--{_BOUNDARY}--\r\n".encode()

    async def exchange(self, payload: bytes, request_id: str, *, intended_ns: int) -> Exchange:
        """As of a request; the text is owed from when all of the file was handed over."""
        found = await super().exchange(payload, request_id, intended_ns=intended_ns)
        return replace(found, owed_ns=found.sent_end_ns)

    def read(self, raw: bytes) -> tuple[str | None, str | None]:
        """The text, which must be there."""
        answer = parse(raw)
        text = answer.get("text") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            return None, f"no text in it: {excerpt(raw)}"
        # Half of a surrogate pair is no text that anybody could have said, and no table could hold it.
        return (text, None) if storable(text) == text else (None, f"a text that is no Unicode: {excerpt(raw)}")
