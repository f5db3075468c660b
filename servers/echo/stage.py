"""What an answer of `echo` goes through besides its route: queue, delay, fault, stall, and their log."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from servers.common.trace import LineFile, Trace, header
from servers.echo.chance import Chance, Fault
from servers.echo.model import FixedQueue, Turn
from servers.echo.settings import Settings

_LOG_LIMIT = 1_000_000
_REMEMBERED = 64  # finals, of all sessions


@dataclass(frozen=True)
class Plan:
    """When one message is due, and why. Times are `time.monotonic()` seconds."""

    turn: Turn
    due_s: float
    fault: Fault | None

    @property
    def asked_s(self) -> float:
        """What is to be injected: queue, service and delay together."""
        return self.due_s - self.turn.arrived_s


class Stage:
    """One per app. `open` and `close` bracket its life on the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._chance = Chance(settings)
        self.queue = FixedQueue(
            service_s=settings.service_ms / 1000, workers=settings.workers, limit=settings.queue_limit
        )
        self._log: LineFile | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._texts: deque[tuple[str, str]] = deque(maxlen=_REMEMBERED)
        self.trace = Trace(None, server=settings.server)

    def open(self) -> None:
        """Open the files; raises StartupRefused when one cannot be written."""
        self.trace = Trace(self._settings.trace_path, server=self._settings.server)
        if self._settings.delay_log:
            self._log = LineFile(self._settings.delay_log, limit=_LOG_LIMIT)
            self._log.add(header(self._settings.server))

    def close(self) -> None:
        if self._stall:
            self._stall.cancel()
        self.trace.close()
        if self._log:
            self._log.close()

    def enter(self) -> None:
        """A request or session has come: the first one starts the clock of the stall."""
        if self._settings.stall_for_s and self._stall is None:
            self._stall = asyncio.get_running_loop().call_later(self._settings.stall_at_s, self._freeze)

    def plan_answer(self) -> Plan:
        """For an answer or a final; raises Overloaded when the queue is full."""
        turn = self.queue.admit(time.monotonic())
        delay_s = self._chance.delay_s(self._settings.delay_ms)
        return Plan(turn, turn.finished_s + delay_s, self._chance.fault())

    def plan_partial(self) -> Plan:
        """For a partial: it has a delay but needs no worker and does not fail."""
        now_s = time.monotonic()
        return Plan(Turn(now_s, now_s, now_s), now_s + self._chance.delay_s(self._settings.partial_delay_ms), None)

    def text_of(self, plan: Plan, request_id: str, text: str) -> str:
        """What a session is told: its own text or, by the plan's fault, the last one of another session, if any."""
        others = [said for session, said in self._texts if session != request_id]
        self._texts.append((request_id, text))
        return others[-1] if plan.fault == "crosstalk" and others else text

    async def wait(self, plan: Plan, *, request_id: str, kind: str, utterance: int = 0) -> None:
        """Sleep until the plan is due and log what was really injected, timer error and stalls included."""
        if (left_s := plan.due_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
        now_s = time.monotonic()
        if self._log:
            self._log.add(
                {
                    "event": "delay",
                    "kind": kind,
                    "request_id": request_id,
                    "utterance": utterance,
                    "at_s": now_s,
                    "asked_s": plan.asked_s,
                    "injected_s": now_s - plan.turn.arrived_s,
                    "queue_s": plan.turn.queue_s,
                    "fault": plan.fault,
                }
            )

    def _freeze(self) -> None:
        """Block the event loop: the whole server, health included, answers nothing."""
        at_s = time.monotonic()
        time.sleep(self._settings.stall_for_s)
        if self._log:
            self._log.add({"event": "stall", "at_s": at_s, "injected_s": time.monotonic() - at_s})
