"""One utterance between its start and its end: hears what its speech brings, stamps it, and passes it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from servers.voxtral.faults import WireFault
from servers.voxtral.interfaces import Utterance

if TYPE_CHECKING:
    from servers.voxtral.session.machine import Machine


class Turn:
    """A Listener. Deaf once it is over, so that a late word of an aborted utterance cannot reach the client."""

    utterance: Utterance
    """Set right after the making: it is made with its listener."""

    def __init__(self, machine: Machine, request_id: str | None) -> None:
        self.request_id = request_id
        self.is_finishing = self.is_over = self.has_delta = False
        self.fed_s: float | None = None
        """When its first audio came, by the monotonic clock."""
        self.finished_s: float | None = None
        """When its client had said all."""
        self._machine = machine

    def heard(self, delta: str) -> None:
        if not self.is_over:
            self._machine.pass_on(self, delta)

    def finished(self, text: str, usage: Mapping[str, Any]) -> None:
        if not self.is_over:
            self._machine.conclude(self, text, usage)

    def failed(self, fault: WireFault) -> None:
        if not self.is_over:
            self._machine.fail(self, fault)

    def noticed(self, kind: str, details: Mapping[str, Any]) -> None:
        if not self.is_over:
            self._machine.notice(self, kind, details)
