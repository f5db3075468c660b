"""What tells one streaming wire from another: how a frame, a beginning and an end are written, how a message is read.

Knows no socket, no clock and no schedule; websocket.py has those for all wires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

import numpy as np

from yapbench.clients.interface import Audio
from yapbench.clients.smart_turn import key_headers
from yapbench.schema import Outcome

Message = str | bytes
"""A text or a binary WebSocket message."""

AT_CAPACITY: Final = frozenset({1013, 4002})
"""Close codes that say "no room, try again": the standard's and the one that some servers define."""


@dataclass(frozen=True)
class Heard:
    """What one message from the server means.

    `kind`: "ready", "partial", "final", "at_capacity", "error", or a word of the wire's own. `text`: the whole
    transcript of the utterance as it stands after this message, where the message changes it. `outcome`: set when
    the utterance ends with this message: OK once everything that the server owes has come. `data`: the message as
    JSON text; None: it is JSON text already.
    """

    kind: str
    text: str | None = None
    outcome: Outcome | None = None
    error: str | None = None
    data: str | None = None


class Reader(Protocol):
    """Reads the messages of one utterance, in their order."""

    def read(self, message: Message, *, ended: bool) -> Heard:
        """`ended`: all speech, and the end message, have been sent, so that a final may be the last one.

        Raises ValueError, LookupError, TypeError, AttributeError or ArithmeticError for a message that the wire does
        not allow.
        """
        ...


class Codec(Protocol):
    """One wire. Shared by all of its streams, so it keeps nothing of any of them."""

    path: ClassVar[str]
    key_variable: ClassVar[str]
    """Environment variable with the server's key."""
    sample_rate_hz: ClassVar[int] = 16_000
    waits_for_ready: ClassVar[bool] = False
    """Whether audio may be sent only after a message of kind "ready"."""
    ready_patience_s: ClassVar[float | None] = None
    """Audio is sent after so long even where no "ready" has come; None: there is no audio without it."""
    retries: ClassVar[int] = 0
    """How often clients of this wire try again when they are refused for lack of room; what the verbs do that speak one
    utterance at a time. A load does as its `retries` say."""
    keeps_open: ClassVar[bool] = False
    """Whether another utterance may follow on the same connection."""
    finds_end: ClassVar[bool] = True
    """Whether the server ends an utterance by itself after silence, with a final: the policy `silence` can be run."""

    def headers(self, *, key: str, bearer: str) -> dict[str, str]:
        """Headers of the upgrade; `bearer` is the key of a proxy. Either may be empty."""
        return key_headers(key, bearer)

    def opening(self, request_id: str) -> Sequence[Message]:
        """Messages that begin a session, sent as soon as the connection stands."""
        return ()

    def resume(self, request_id: str) -> Sequence[Message]:
        """Messages that begin another utterance on a connection that is kept open."""
        return ()

    def encode(self, frame: Audio) -> Message:
        """One frame of audio, float32 of shape (n,) in [-1, 1], as the wire carries it."""
        ...

    def end(self, request_id: str) -> Sequence[Message]:
        """Messages that say: the utterance is over, let us have the rest. Empty: the wire has none."""
        ...

    def reader(self, request_id: str) -> Reader:
        """A reader for a new utterance."""
        ...

    def reader_of_silence(self, request_id: str) -> Reader:
        """The same where no end message is sent: the server has to find the end."""
        return self.reader(request_id)

    def outcome_of_close(self, code: int) -> Outcome:
        """How an utterance counts whose connection was closed with `code` before everything had come."""
        return outcome_of_close(code)


def outcome_of_close(code: int) -> Outcome:
    """The usual meaning of close codes: the standard's, and the range that servers share among themselves."""
    if code in AT_CAPACITY:
        return Outcome.REJECTED
    if code in (1000, 1001, 1005):
        return Outcome.NO_FINAL
    if code in (1002, 1003, 1007, 1008, 1009, 1010, 4001):
        return Outcome.BAD_REQUEST
    if code in (4000, 4003):  # idle, maximum duration
        return Outcome.DEADLINE
    return Outcome.SERVER_ERROR


def pcm16(frame: Audio) -> bytes:
    """The frame as 16-bit little-endian PCM, clipped."""
    return np.rint(np.clip(frame, -1.0, 1.0) * 32767).astype("<i2").tobytes()
