"""What a client can say, as values. `request_id` is the utterance's, None where the client names none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Update:
    """`session.update`. The model has been checked: it is the one that is served."""

    request_id: str | None


@dataclass(frozen=True, slots=True)
class Start:
    """`input_audio_buffer.commit {final: false}`: an utterance begins."""

    request_id: str | None


@dataclass(slots=True)
class Append:
    """`input_audio_buffer.append`. Not frozen, because it comes twelve times a second."""

    request_id: str | None
    pcm: bytes
    """16 kHz mono PCM16, little-endian; at least one sample."""


@dataclass(frozen=True, slots=True)
class Finish:
    """`input_audio_buffer.commit {final: true}`: the utterance is complete."""

    request_id: str | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """`cancel {reason}`."""

    request_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Ping:
    """`ping`; its payload goes back as it came, any JSON."""

    request_id: str | None
    payload: Any


@dataclass(frozen=True, slots=True)
class End:
    """`end`: what is owed still goes out, then the session is over."""

    request_id: str | None


Message = Append | Start | Finish | Cancel | Ping | Update | End
