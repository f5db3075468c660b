"""Whole files by REST: a WAV as multipart to `POST /transcribe`, one JSON answer with its text. Not real time."""

from __future__ import annotations

import io
from typing import Final

import soundfile

from yapbench.clients.interface import Audio, storable
from yapbench.clients.smart_turn import SmartTurnClient, excerpt, parse
from yapbench.corpus import Utterance

_BOUNDARY: Final = "yapbench-7f1c2b0e9d"  # a WAV of ours holds it by no chance worth a thought


class EchoUpload(SmartTurnClient):
    """One user with one kept-alive connection."""

    key_variable = "ECHO_KEY"
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

    def read(self, raw: bytes) -> tuple[str | None, str | None]:
        """The text, which must be there."""
        answer = parse(raw)
        text = answer.get("text") if isinstance(answer, dict) else None
        if not isinstance(text, str):
            return None, f"no text in it: {excerpt(raw)}"
        # Half of a surrogate pair is no text that anybody could have said, and no table could hold it.
        return (text, None) if storable(text) == text else (None, f"a text that is no Unicode: {excerpt(raw)}")
