"""Sends the requests of a load, one for whoever asks, and says what became of each.

Knows clients, utterances and phases; does not know when anybody asks.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench.clients.interface import Client, Exchange
from yapbench.corpus import Utterance
from yapbench.load.profile import LoadProfile, Point
from yapbench.load.tally import Tally
from yapbench.pacing.schedule import Ticket, order, phase_ns
from yapbench.pacing.timer import SECOND_NS
from yapbench.schema import Outcome, Phase

REFUSED_IN_A_ROW: Final = 20
"""After so many refused connections the server counts as gone, and the load is given up."""

_LATEST: Final = 1000  # answers whose median is shown while the load runs


@dataclass(frozen=True)
class Record:
    """One intended request and what became of it."""

    point: Point
    ticket: Ticket
    stream: int
    utterance: Utterance
    request_id: str
    intended_ns: int
    exchange: Exchange


class Sender:
    """Sends one request at a time for whoever asks, passes on what became of it and notices that the server is gone.

    `keep` gets each Record once. This is process `worker` of those that share `tally`.
    """

    def __init__(
        self,
        profile: LoadProfile,
        utterances: Sequence[Utterance],
        payloads: Mapping[str, Any],
        *,
        run_id: str,
        keep: Callable[[Record], object],
        tally: Tally,
        worker: int = 0,
    ) -> None:
        self.profile, self.tally, self.worker = profile, tally, worker
        self.last_words: str | None = None
        """Of the last connection that was tried and refused."""
        self._utterances, self._payloads, self._run_id, self._keep = utterances, payloads, run_id, keep
        self._refused_in_a_row = 0
        self._point, self._phase = Point(0, 0), Phase.WARMUP
        self._begun, self._measuring = 0, False
        self._span: tuple[int, int] | None = None
        self._latest_ms = deque[float](maxlen=_LATEST)
        self._ok = self._failed = 0
        synchronised = profile.stream is not None and profile.stream.phases == "ends"
        self._last_frame = max(payload.last for payload in payloads.values()) if synchronised else 0

    @property
    def gone(self) -> bool:
        """So many connections in a row were refused, to us or to another process, that the server counts as gone."""
        return self.tally.gone

    @property
    def spread_ns(self) -> int:
        """Within which time the users begin: within that of an utterance where that is asked for, else at once."""
        if not (self.profile.spread or self.profile.kind == "soak"):
            return 0
        mean_s = statistics.fmean(one.duration_s for one in self._utterances)
        pace = self.profile.stream.pace if self.profile.stream else 1.0
        return round(mean_s / (pace or 1.0) * SECOND_NS)

    def begin(self, point: Point) -> int:
        """Start counting the profile's next point; returns its number, from 1."""
        self.rest()
        self._point, self._phase, self._ok, self._failed = point, Phase.WARMUP, 0, 0
        self._latest_ms.clear()
        self._begun += 1
        self._measuring = True
        return self._begun

    def rest(self) -> None:
        """No point is being measured until the next `begin`; the others learn when the last one was."""
        if self._span is not None:
            self.tally.stretch(self._begun, *self._span)
        self._span, self._measuring = None, False

    async def send(
        self, client: Client[Any], point: Point, ticket: Ticket, *, stream: int, intended_ns: int
    ) -> Exchange:
        """One exchange, recorded."""
        utterance, request_id = self._choose(point, ticket)
        payload = self._payloads[utterance.id]
        intended_ns = self._in_phase(point, ticket, intended_ns, payload)
        exchange = await client.exchange(payload, request_id, intended_ns=intended_ns)
        intended_ns = intended_ns if exchange.t0_ns is None else exchange.t0_ns
        self._listen(exchange)
        self._record(Record(point, ticket, stream, utterance, request_id, intended_ns, exchange))
        if point == self._point:
            self._count(ticket, exchange, intended_ns)
        return exchange

    def give_up(self, point: Point, ticket: Ticket, *, stream: int, intended_ns: int) -> None:
        """Record as refused what was intended and cannot be sent any more."""
        utterance, request_id = self._choose(point, ticket)
        error = f"not sent: given up after {REFUSED_IN_A_ROW} refused connections in a row"
        ended_ns = max(intended_ns, time.monotonic_ns())  # it may not even have been due yet
        exchange = Exchange(outcome=Outcome.REFUSED, ended_ns=ended_ns, error=error)
        self._record(Record(point, ticket, stream, utterance, request_id, intended_ns, exchange))

    def progress(self) -> dict[str, Any]:
        """Where the point being measured stands; see `load.run`."""
        return {
            "phase": str(self._phase),
            "level": self._point.level,
            "repeat": self._point.repeat,
            "done": self._ok + self._failed,
            "total": self.profile.requests,
            "ok": self._ok,
            "failed": self._failed,
            "p50_ms": statistics.median_high(self._latest_ms) if self._latest_ms else None,
            "points_done": self._begun - self._measuring,
            "points": len(self.profile.points()),
        }

    def _listen(self, exchange: Exchange) -> None:
        """Is the server still there?"""
        if exchange.outcome is not Outcome.REFUSED:
            self._refused_in_a_row = 0
            return
        self._refused_in_a_row += 1
        self.last_words = exchange.error or self.last_words
        if self._refused_in_a_row >= REFUSED_IN_A_ROW and not self.gone:
            self.tally.give_up()

    def _record(self, record: Record) -> None:
        self._keep(record)
        # A straggler of an earlier point is never a counted one.
        if record.ticket.phase is Phase.STEADY:
            # What was refused while it was being dialled ended before it was due.
            start_ns, end_ns = record.intended_ns, max(record.intended_ns, record.exchange.ended_ns)
            first_ns, last_ns = self._span or (start_ns, end_ns)
            self._span = min(first_ns, start_ns), max(last_ns, end_ns)

    def _in_phase(self, point: Point, ticket: Ticket, intended_ns: int, payload: Any) -> int:
        """When the ticket's audio begins. Requests, and calls with arrival times of their own: as intended."""
        stream = self.profile.stream
        if stream is None or self.profile.kind == "poisson":
            return intended_ns
        if stream.phases == "ends":
            return intended_ns + stream.due_ns(0, self._last_frame) - stream.due_ns(0, payload.last)
        if self.profile.kind == "burst":
            return intended_ns
        if stream.phases == "aligned":
            return -(-intended_ns // stream.step_ns) * stream.step_ns
        seed, repeat = self.profile.seed, point.repeat
        return intended_ns + phase_ns(ticket.index, frame_ns=stream.step_ns, seed=seed, repeat=repeat)

    def _choose(self, point: Point, ticket: Ticket) -> tuple[Utterance, str]:
        count = len(self._utterances)
        position = order(count, seed=self.profile.seed, repeat=point.repeat)[ticket.index % count]
        request_id = f"{self._run_id}-l{point.level:g}-r{point.repeat}-{ticket.index}"
        return self._utterances[position], request_id

    def _count(self, ticket: Ticket, exchange: Exchange, intended_ns: int) -> None:
        self._phase = ticket.phase
        if ticket.phase is not Phase.STEADY:
            return
        if exchange.outcome is Outcome.OK:
            owed_ns = intended_ns if exchange.owed_ns is None else exchange.owed_ns
            self._ok += 1
            self._latest_ms.append((exchange.ended_ns - owed_ns) / 1e6)
        else:
            self._failed += 1
