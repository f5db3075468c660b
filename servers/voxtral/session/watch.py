"""Whether a session has been silent, or has lasted, for too long. Pure: stamps come in, seconds of one clock."""

from __future__ import annotations

from typing import Literal

from servers.voxtral.faults import CloseCode

Verdict = Literal["idle_timeout", "max_duration"]
CLOSES: dict[Verdict, CloseCode] = {"idle_timeout": CloseCode.IDLE, "max_duration": CloseCode.MAX_DURATION}


class Watch:
    """One session's; asked at every tick."""

    def __init__(self, *, idle_timeout_s: float, max_duration_s: float, at_s: float) -> None:
        """0: never."""
        self._idle_timeout_s, self._max_duration_s = idle_timeout_s, max_duration_s
        self._opened_s = self.touched_s = at_s
        """`touched_s` is set at every text message; a method would cost more than the assignment."""

    def verdict(self, at_s: float, *, owes: bool) -> Verdict | None:
        """Why the session is over. While output is owed to it, it may well be waiting for that: silence counts from
        when all has come."""
        if self._max_duration_s and at_s - self._opened_s >= self._max_duration_s:
            return "max_duration"
        if owes:
            self.touched_s = at_s
        elif self._idle_timeout_s and at_s - self.touched_s >= self._idle_timeout_s:
            return "idle_timeout"
        return None
