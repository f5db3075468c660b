"""What the rules of a session bring about, as the machine sees those who do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from servers.voxtral.faults import WireFault
from servers.voxtral.session.turn import Turn


class Outside(Protocol):
    """Where effects go. Nothing of it calls back into the machine."""

    def tell(self, kind: str, request_id: str | None, payload: Mapping[str, Any]) -> None:
        """To the client, in order."""
        ...

    def tell_fault(self, request_id: str | None, fault: WireFault) -> None:
        """An `error`; the session ends where the fault says so."""
        ...

    def tell_dropped(self, size_bytes: int) -> None:
        """The oldest audio that waited for a start had to go."""
        ...

    def admit_cancel(self) -> None:
        """An utterance is about to be cancelled. Raises WireFault where that happens too often."""
        ...

    def concluded(self) -> None:
        """After `end`: nothing is owed any more."""
        ...


class Stamps(Protocol):
    """What is measured of a turn."""

    def fed(self, turn: Turn) -> None:
        """Its first audio came."""
        ...

    def finished(self, turn: Turn) -> None:
        """Its client has said all."""
        ...

    def delta(self, turn: Turn, text: str) -> None:
        """A delta goes out."""
        ...

    def done(self, turn: Turn) -> None:
        """Its `done` goes out."""
        ...
