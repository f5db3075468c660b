"""Errors and drops as one client is told of them: a flood of messages is not answered by a flood."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from servers.voxtral.faults import WireFault
from servers.voxtral.session.rates import Tally

FLOODS: Final = frozenset({"message_rate_limited", "cancel_rate_limited", "inbound_queue_full"})
"""Reason codes that come for as long as a client does not slow down. All others are told each."""
DROPPED: Final = "overload_drop"


class Complaints:
    """One connection's."""

    def __init__(
        self,
        tell: Callable[[str, str | None, Mapping[str, Any]], None],
        say: Callable[[str | None, WireFault], None],
    ) -> None:
        """`tell` sends a message, `say` a fault."""
        self._tell, self._say = tell, say
        self._tallies: dict[str, Tally] = {}
        self._newest: dict[str, tuple[str | None, WireFault]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request_id: str | None, fault: WireFault) -> None:
        """Of a flood the first is told at once, the others of its second by the newest of them, with `refused`."""
        if fault.reason_code not in FLOODS:
            self._say(request_id, fault)
            return
        self._newest[fault.reason_code] = (request_id, fault)
        self._count(fault.reason_code, 1)

    def add_dropped(self, seconds: float) -> None:
        """Of audio; told as a status."""
        self._count(DROPPED, seconds)

    def flush(self) -> None:
        """Tell the rest now."""
        self.stop()
        at_s = time.monotonic()
        for key, tally in self._tallies.items():
            self._say_tally(key, tally.rest(at_s))

    def stop(self) -> None:
        """No timer runs any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _count(self, key: str, amount: float) -> None:
        tally, at_s = self._tallies.setdefault(key, Tally()), time.monotonic()
        self._say_tally(key, tally.add(amount, at_s))
        if tally.untold and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(tally.due_s(at_s), self._say_due)

    def _say_due(self) -> None:
        """Kinds whose second has not passed are told early rather than by timers of their own."""
        self._timer = None
        self.flush()

    def _say_tally(self, key: str, amount: float) -> None:
        if not amount:
            return
        if key == DROPPED:
            self._tell("status", None, {"kind": DROPPED, "dropped_seconds": round(amount, 3)})
        else:
            request_id, fault = self._newest[key]
            fault.details["refused"] = round(amount)
            self._say(request_id, fault)
