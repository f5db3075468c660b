"""What the machine brings about, written down; and utterances that only remember what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from servers.voxtral.faults import WireFault
from servers.voxtral.interfaces import Listener
from servers.voxtral.session.held import Held
from servers.voxtral.session.machine import Machine
from servers.voxtral.session.turn import Turn


class SilentUtterance:
    """Says nothing by itself."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.fed = b""
        self.is_finished = self.is_aborted = self.has_ended = self.owes = False
        self.full: WireFault | None = None

    def feed(self, pcm: bytes) -> None:
        if self.full:
            raise self.full
        assert not self.is_finished and not self.is_aborted
        self.fed += pcm

    def finish(self) -> None:
        assert not self.is_finished and not self.is_aborted
        self.is_finished = True

    def abort(self) -> None:
        assert not self.is_aborted
        self.is_aborted = True


class Outside:
    """`told` are the messages, each (kind, request_id, payload)."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str | None, Mapping[str, Any]]] = []
        self.faults: list[WireFault] = []
        self.dropped_bytes = self.concluded_times = self.cancels = 0
        self.cancels_max = 1_000_000

    def tell(self, kind: str, request_id: str | None, payload: Mapping[str, Any]) -> None:
        self.told.append((kind, request_id, payload))

    def tell_fault(self, request_id: str | None, fault: WireFault) -> None:
        self.faults.append(fault)
        self.told.append(("error", request_id, fault.payload()))

    def tell_dropped(self, size_bytes: int) -> None:
        self.dropped_bytes += size_bytes

    def admit_cancel(self) -> None:
        if self.cancels >= self.cancels_max:
            raise WireFault("rate_limited", "cancel_rate_limited", "too many")
        self.cancels += 1

    def concluded(self) -> None:
        self.concluded_times += 1

    def take(self) -> list[tuple[str, str | None]]:
        """Kinds and ids told since the last time."""
        found, self.told = [(kind, request_id) for kind, request_id, _ in self.told], []
        return found


class Stamps:
    """Nothing is measured."""

    def fed(self, turn: Turn) -> None:
        assert not turn.is_over

    def finished(self, turn: Turn) -> None:
        assert turn.is_finishing

    def delta(self, turn: Turn, text: str) -> None:
        assert not turn.is_over

    def done(self, turn: Turn) -> None:
        assert turn.is_finishing


class Stage:
    """A machine, what is around it, and the utterances it has begun."""

    def __init__(self, *, max_messages: int = 100, max_bytes: int = 1000) -> None:
        self.outside = Outside()
        self.utterances: list[SilentUtterance] = []
        self.held = Held(max_messages=max_messages, max_bytes=max_bytes)
        self.machine = Machine(self._hear, self.outside, held=self.held, stamps=Stamps())

    @property
    def now(self) -> SilentUtterance:
        """The newest utterance."""
        return self.utterances[-1]

    def done(self) -> None:
        """The newest utterance's end."""
        self.now.listener.finished("text", {"total_tokens": 1})

    def _hear(self, listener: Listener) -> SilentUtterance:
        self.utterances.append(SilentUtterance(listener))
        return self.now
