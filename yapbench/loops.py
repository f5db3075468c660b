"""The two ways to keep a server busy: users who wait for their answers, and arrivals that wait for nobody.

Knows clients and phases; knows neither processes nor files.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yapbench.clients.interface import Client, Exchange
from yapbench.corpus import Utterance
from yapbench.load import LoadProfile, Point
from yapbench.pacing import Phases, Ticket, burst_offsets, order, phase_ns, poisson_offsets
from yapbench.schema import Outcome, Phase
from yapbench.timer import SECOND_NS, Pacer

REFUSED_IN_A_ROW: Final = 20
"""After so many refused connections the server counts as gone, and the point is given up."""

_BLOCK: Final = 5  # neighbouring arrivals meet the same queue: the bootstrap draws them together
_LEAD_NS: Final = 10_000_000  # between the order to start and the first arrival, so that this one is not late
_MOST_OPENED_AHEAD: Final = 64


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
    tried: bool = True
    """False: the server was gone before this request's turn came."""


class Sender:
    """Sends one request at a time for whoever asks, keeps the records and notices that the server is gone."""

    def __init__(
        self, profile: LoadProfile, utterances: Sequence[Utterance], payloads: Mapping[str, Any], *, run_id: str
    ) -> None:
        self.profile = profile
        self.records: list[Record] = []
        self.gone = False
        self._utterances, self._payloads, self._run_id = utterances, payloads, run_id
        self._refused_in_a_row = 0
        self._point, self._phase = Point(0, 0), Phase.WARMUP
        self._ok_ms: list[float] = []
        self._failed = 0
        self.begun: list[Point] = []
        self._measuring = False

    def begin(self, point: Point) -> Phases:
        """Start counting a new point."""
        self._point, self._phase, self._ok_ms, self._failed = point, Phase.WARMUP, [], 0
        self.begun.append(point)
        self._measuring = True
        profile = self.profile
        return Phases(warmup=profile.warmup, requests=profile.requests, duration_s=profile.duration_s)

    def rest(self) -> None:
        """No point is being measured until the next `begin`."""
        self._measuring = False

    async def send(
        self, client: Client[Any], point: Point, ticket: Ticket, *, stream: int, intended_ns: int
    ) -> Exchange:
        """One exchange, recorded."""
        utterance, request_id = self._choose(point, ticket)
        payload = self._payloads[utterance.id]
        intended_ns = self._in_phase(point, ticket, intended_ns, payload)
        exchange = await client.exchange(payload, request_id, intended_ns=intended_ns)
        intended_ns = intended_ns if exchange.t0_ns is None else exchange.t0_ns
        self._refused_in_a_row = self._refused_in_a_row + 1 if exchange.outcome is Outcome.REFUSED else 0
        self.gone = self.gone or self._refused_in_a_row >= REFUSED_IN_A_ROW
        self.records.append(Record(point, ticket, stream, utterance, request_id, intended_ns, exchange))
        if point == self._point:
            self._count(ticket, exchange, intended_ns)
        return exchange

    def give_up(self, point: Point, ticket: Ticket, *, stream: int, intended_ns: int) -> None:
        """Record as refused what was intended and cannot be sent any more."""
        utterance, request_id = self._choose(point, ticket)
        error = f"not sent: given up after {REFUSED_IN_A_ROW} refused connections in a row"
        ended_ns = max(intended_ns, time.monotonic_ns())  # it may not even have been due yet
        exchange = Exchange(outcome=Outcome.REFUSED, ended_ns=ended_ns, error=error)
        self.records.append(Record(point, ticket, stream, utterance, request_id, intended_ns, exchange, tried=False))

    def progress(self) -> dict[str, Any]:
        """Where the point being measured stands; see `load.run`."""
        ok = len(self._ok_ms)
        return {
            "phase": str(self._phase),
            "level": self._point.level,
            "repeat": self._point.repeat,
            "done": ok + self._failed,
            "total": self.profile.requests,
            "ok": ok,
            "failed": self._failed,
            "p50_ms": self._ok_ms[ok // 2] if ok else None,
            "points_done": len(self.begun) - self._measuring,
            "points": len(self.profile.points()),
        }

    def _in_phase(self, point: Point, ticket: Ticket, intended_ns: int, payload: Any) -> int:
        """When the ticket's audio begins. Requests, and calls with arrival times of their own: as intended."""
        stream = self.profile.stream
        if stream is None or self.profile.kind == "poisson":
            return intended_ns
        if stream.phases == "ends":
            last = max(other.last for other in self._payloads.values())
            return intended_ns + stream.due_ns(0, last) - stream.due_ns(0, payload.last)
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
            bisect.insort(self._ok_ms, (exchange.ended_ns - owed_ns) / 1e6)
        else:
            self._failed += 1


class ClosedLoop:
    """`level` users; each sends again the moment its answer came. Several points follow without a pause
    (ramp).

    A request is intended when the answer before it arrived: what the client itself needs in between is its
    lateness. A stream is dialled then, and its audio begins within a frame of the server being ready.
    """

    def __init__(self, sender: Sender, points: Sequence[Point], clients: Sequence[Client[Any]]) -> None:
        self._sender, self._clients = sender, clients
        self._left = deque(points)
        self._running: set[int] = set()

    async def run(self) -> None:
        """Until every point is measured, or the server is gone."""
        async with asyncio.TaskGroup() as self._group:
            self._next_point()
        if self._sender.gone:
            now_ns = time.monotonic_ns()
            for number, ticket in enumerate(self._phases.rest()):
                stream = number % int(self._point.level)
                self._sender.give_up(self._point, ticket, stream=stream, intended_ns=now_ns)

    def _next_point(self) -> None:
        self._point = self._left.popleft()
        self._phases = self._sender.begin(self._point)
        for stream in range(int(self._point.level)):
            if stream not in self._running:
                self._running.add(stream)
                self._group.create_task(self._user(stream, time.monotonic_ns()))

    async def _user(self, stream: int, intended_ns: int) -> None:
        while not self._sender.gone and stream < self._point.level:
            point, phases = self._point, self._phases
            ticket = phases.take(intended_ns)
            if ticket is None:
                if not self._left:
                    break
                self._next_point()
                continue
            exchange = await self._sender.send(
                self._clients[stream], point, ticket, stream=stream, intended_ns=intended_ns
            )
            phases.give_back(ticket)
            intended_ns = exchange.ended_ns
        self._running.discard(stream)


class OpenLoop:
    """Arrivals on an absolute schedule, sent when due whatever is outstanding.

    An arrival takes a connection that is free, else it opens one, and its stamps show that. A call is dialled
    some time before it is due, so that its audio begins then.
    """

    def __init__(
        self, sender: Sender, point: Point, clients: list[Client[Any]], new: Callable[[], Client[Any]], pacer: Pacer
    ) -> None:
        self._sender, self._point, self._clients, self._new, self._pacer = sender, point, clients, new, pacer
        self._idle = list(clients)
        self._phases = sender.begin(point)
        self._burst = sender.profile.kind == "burst"
        stream = sender.profile.stream
        self._ahead_ns = round(stream.dial_ahead_s * SECOND_NS) if stream else 0

    async def run(self) -> None:
        """Until the point is measured or the server is gone. Clients opened on the way join the list given."""
        self._start_ns = time.monotonic_ns() + _LEAD_NS + self._ahead_ns
        async with asyncio.TaskGroup() as group:
            self._clock = group.create_task(self._send_when_due(group))
        if rest := self._phases.rest() if self._sender.gone else []:
            for ticket, offset_ns in zip(rest, itertools.islice(self._offsets(), rest[0].index, None), strict=False):
                due_ns = self._start_ns + offset_ns
                self._sender.give_up(self._point, ticket, stream=self._stream(ticket), intended_ns=due_ns)

    async def _send_when_due(self, group: asyncio.TaskGroup) -> None:
        for offset_ns in self._offsets():
            due_ns = self._start_ns + offset_ns
            await self._pacer.until(due_ns - self._ahead_ns)
            # Only now: one that is cancelled while it waits must not hold a ticket.
            ticket = None if self._sender.gone else self._phases.take(due_ns)
            if ticket is None:
                return
            group.create_task(self._arrival(ticket, due_ns))

    async def _arrival(self, ticket: Ticket, due_ns: int) -> None:
        if not self._idle:
            self._idle.append(self._new())
            self._clients.append(self._idle[-1])
        client = self._idle.pop()
        await self._sender.send(client, self._point, ticket, stream=self._stream(ticket), intended_ns=due_ns)
        self._phases.give_back(ticket)
        self._idle.append(client)
        if self._phases.finished or self._sender.gone:
            self._clock.cancel()  # it may be waiting for an arrival that nobody needs any more

    def _offsets(self) -> Iterator[int]:
        profile, level = self._sender.profile, self._point.level
        if self._burst:
            return burst_offsets(int(level), profile.period_s)
        return poisson_offsets(level, seed=profile.seed, repeat=self._point.repeat)

    def _stream(self, ticket: Ticket) -> int:
        return ticket.index // (int(self._point.level) if self._burst else _BLOCK)


async def measure(sender: Sender, points: Sequence[Point], new: Callable[[], Client[Any]], pacer: Pacer) -> None:
    """Measure these points (several: a ramp) on connections opened before the clock starts, then close them."""
    kind = sender.profile.kind
    most = math.ceil(max(point.level for point in points))
    count = most if kind in ("closed", "ramp") else min(most, _MOST_OPENED_AHEAD)
    clients = [new() for _ in range(count)]
    try:
        await asyncio.gather(*(client.connect() for client in clients))
        if kind in ("closed", "ramp"):
            await ClosedLoop(sender, points, clients).run()
        else:
            await OpenLoop(sender, points[0], clients, new, pacer).run()
    finally:
        sender.rest()
        for client in clients:
            await client.close()
