"""What every wire looks like to the load generator: prepare before the clock starts, then connect, exchange,
close.

A client stamps and classifies. It computes no latency, tries nothing again unless it was told to, and never lets
a failure look like an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from yapbench.corpus import Utterance
from yapbench.schema import Outcome

Audio = NDArray[np.float32]
"""Mono samples, shape (n,), float32 in [-1, 1], at the client's `sample_rate_hz`."""

PayloadT = TypeVar("PayloadT")


@dataclass(frozen=True)
class Event:
    """One message from the server. `at_ns`: stamped when its last byte was in our hands, before parsing."""

    at_ns: int
    kind: str  # "answer" for a request; "ready" "partial" "final" "error" ... for a stream
    text: str | None = None  # the transcript, where the message holds one
    data: str | None = None  # the message itself as JSON


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What happened to one utterance, in CLOCK_MONOTONIC nanoseconds.

    `sent_ns` and `sent_end_ns` are None when nothing, or not all, was handed to the socket; the connect
    stamps are None when a kept-alive connection was used. `lateness_ns` has one value for each paced frame
    (one for a request): handed over minus due, never negative. `ended_ns` is the last event's stamp, or when
    the utterance was given up.
    """

    outcome: Outcome
    ended_ns: int
    events: tuple[Event, ...] = ()
    sent_ns: int | None = None
    sent_end_ns: int | None = None
    connect_start_ns: int | None = None
    connected_ns: int | None = None
    lateness_ns: tuple[int, ...] = ()
    status: int | None = None  # HTTP status or WebSocket close code
    error: str | None = None  # the server's or the socket's own words
    t0_ns: int | None = None
    """Streams: when audio second 0 was spoken. Later than intended where the server was not ready in time."""
    owed_ns: int | None = None
    """Streams: when the end of speech was due, from which on the server owes its last result."""


class Client(Protocol[PayloadT]):
    """One user of a server: at most one exchange at a time. The load generator owns as many as it needs.

    A stream's client opens its connection in `connect` or, where each utterance is a connection, in
    `exchange`.
    """

    sample_rate_hz: int
    """What the wire carries; the corpus is resampled to it once."""

    def prepare(self, utterance: Utterance, audio: Audio) -> PayloadT:
        """Everything that can be encoded before the clock starts: a body, or a list of frames."""
        ...

    async def connect(self) -> None:
        """Open what can be kept open. Must not raise: a server that is not there shows in each exchange."""
        ...

    async def exchange(self, payload: PayloadT, request_id: str, *, intended_ns: int) -> Exchange:
        """Send one utterance that was due at `intended_ns` and wait for its end, at most the client's
        timeout.

        A paced stream's frame k leaves at or after `t0_ns + (k + 1) * frame / pace`, where t0 is `intended_ns`
        or, if the server is not ready by then, whole frames later. Every failure of server, network or
        protocol is an Exchange; only cancellation and bugs raise.
        """
        ...

    async def close(self) -> None:
        """Give everything back; called once, also after failures."""
        ...


def outcome_of_status(status: int) -> Outcome:
    """How an HTTP status that is no success counts."""
    if status == 503:
        return Outcome.REJECTED
    if status == 504:
        return Outcome.DEADLINE
    if 400 <= status < 500:
        return Outcome.BAD_REQUEST
    if 500 <= status < 600:
        return Outcome.SERVER_ERROR
    return Outcome.PROTOCOL


def storable(text: str) -> str:
    """The same with what cannot be written as UTF-8 (half of a surrogate pair, which JSON allows) as question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
