"""What the parts of the gateway know of each other: the engine as an utterance sees it, an utterance as a session does.

    client -- connection -- machine -- Utterance -- Request -- engine

A Request is one connection to the engine that answers once: audio in, one delta for each step of 80 ms out, a Done. An
Utterance is what the client began and will finish; where it is long it goes through several Requests, which nobody but
it knows of. All of it lives on one event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from servers.voxtral.faults import WireFault


@dataclass(frozen=True, slots=True)
class Delta:
    """What one step brought; mostly nothing, then the text is empty."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The request's end: all its text, and the engine's own count of tokens."""

    text: str
    usage: Mapping[str, Any] = field(default_factory=dict)


class EngineGone(Exception):
    """The engine is not there, or went away: its socket is refused or closed."""


class EngineRefused(Exception):
    """The engine answered with an `error` event; its own words are for the log, not for a client."""

    def __init__(self, code: str, message: str) -> None:
        self.code, self.message = code, message
        super().__init__(f"{code}: {message}")


class Request(Protocol):
    """One answer of the engine to one piece of audio. Has been begun; `abort` may be called at any time, repeatedly."""

    async def send(self, pcm: bytes) -> None:
        """16 kHz mono PCM16, any even number of bytes but none. Raises EngineGone."""
        ...

    async def finish(self) -> None:
        """No more audio comes. Raises EngineGone."""
        ...

    def events(self) -> AsyncIterator[Delta | Done]:
        """Until and with Done. Raises EngineGone and EngineRefused. To be iterated once."""
        ...

    async def abort(self) -> None:
        """Give it up: the engine frees its seat. After Done this closes the connection. Never raises."""
        ...


class Engine(Protocol):
    """The engine that is in force now, be it a child or somebody else's."""

    @property
    def available(self) -> bool:
        """Whether it answers; False while it starts and after it went."""
        ...

    async def begin(self) -> Request:
        """A new request, begun. Raises EngineGone, and EngineRefused."""
        ...


class Listener(Protocol):
    """Whom an utterance tells what it hears; on the event loop, never from within `feed`, `finish` or `abort`."""

    def heard(self, delta: str) -> None:
        """One step's text, in order; all of an utterance's deltas together are its text."""
        ...

    def finished(self, text: str, usage: Mapping[str, Any]) -> None:
        """The utterance's end; nothing comes after it."""
        ...

    def failed(self, fault: WireFault) -> None:
        """The utterance's end without a result; nothing comes after it."""
        ...

    def noticed(self, kind: str, details: Mapping[str, Any]) -> None:
        """A `status` for the client, such as overload_drop with dropped_seconds."""
        ...


class Utterance(Protocol):
    """Speech from a start to its finish. Never blocks, never raises but for WireFault where said."""

    def feed(self, pcm: bytes) -> None:
        """More audio. Raises WireFault inbound_queue_full: then none of it is kept."""
        ...

    def finish(self) -> None:
        """The client has said all."""
        ...

    def abort(self) -> None:
        """Forget it: the listener hears nothing more, the engine's seat becomes free."""
        ...

    @property
    def owes(self) -> bool:
        """Whether output is still to come for audio that was fed, or for a finish."""
        ...
