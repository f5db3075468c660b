"""The two ways to keep a server busy: users who wait for their answers, and arrivals that wait for nobody.

Knows clients and phases, and that other processes may share them (tally.py); knows no files.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from yapbench.clients.interface import Client
from yapbench.load.profile import Point
from yapbench.load.sender import Sender
from yapbench.load.tally import LOOK_NS
from yapbench.pacing.schedule import Arrivals, Phases, Ticket, burst_offsets, poisson_offsets
from yapbench.pacing.timer import SECOND_NS, Pacer
from yapbench.schema import Outcome

_BLOCK: Final = 5  # neighbouring arrivals meet the same queue: the bootstrap draws them together
_LEAD_NS: Final = 10_000_000  # between the order to start and the first arrival, so that this one is not late
_MOST_OPENED_AHEAD: Final = 64
_TURNED_AWAY: Final = (Outcome.REJECTED, Outcome.REFUSED)
_TURNED_AWAY_NS: Final = SECOND_NS  # what a user waits who found no room, or nobody


class ClosedLoop:
    """`level` users; each sends again the moment its answer came. Several points follow without a pause
    (ramp, soak).

    A request is intended when the answer before it arrived: what the client itself needs in between is its
    lateness. A stream is dialled then, and its audio begins within a frame of the server being ready. Of several load
    processes each has every so many-th user; `clients` are those of ours, by user.
    """

    def __init__(
        self, sender: Sender, points: Sequence[Point], clients: Mapping[int, Client[Any]], pacer: Pacer
    ) -> None:
        self._sender, self._clients, self._pacer = sender, clients, pacer
        self._left = deque(points)
        self._running: set[int] = set()

    async def run(self, start_ns: int) -> None:
        """Until every point is measured, or the server is gone."""
        async with asyncio.TaskGroup() as self._group:
            self._next_point(start_ns)
            if self._left and self._sender.tally.workers > 1:
                self._group.create_task(self._follow())
        if self._sender.gone:
            now_ns = time.monotonic_ns()
            for ticket in self._phases.rest():
                stream = ticket.index % int(self._point.level)
                self._sender.give_up(self._point, ticket, stream=stream, intended_ns=now_ns)

    def _next_point(self, begin_ns: int) -> None:
        sender, profile = self._sender, self._sender.profile
        self._point = self._left.popleft()
        self._phases = Phases(
            warmup=profile.warmup,
            requests=profile.requests,
            duration_s=profile.duration_s,
            tally=sender.tally,
            number=sender.begin(self._point),
        )
        users = int(self._point.level)
        for stream in range(sender.worker, users, sender.tally.workers):
            if stream not in self._running:
                self._running.add(stream)
                self._group.create_task(self._user(stream, begin_ns + sender.spread_ns * stream // users))

    async def _user(self, stream: int, intended_ns: int) -> None:
        if intended_ns > time.monotonic_ns():
            await self._pacer.until(intended_ns)
        while not self._sender.gone and stream < self._point.level:
            point, phases = self._point, self._phases
            ticket = phases.take(intended_ns)
            if ticket is None:
                if not self._left or self._sender.gone:
                    break
                self._next_point(time.monotonic_ns())
                continue
            exchange = await self._sender.send(
                self._clients[stream], point, ticket, stream=stream, intended_ns=intended_ns
            )
            phases.give_back(ticket)
            intended_ns = exchange.ended_ns
            if self._sender.profile.stream and exchange.outcome in _TURNED_AWAY:
                # To dial again at once would be a flood of handshakes, and not the load that was asked for.
                intended_ns += _TURNED_AWAY_NS
                await self._pacer.until(intended_ns)
        self._running.discard(stream)

    async def _follow(self) -> None:
        """Go on to the next point when another process has: none of our users may be there to find out."""
        while self._left and not self._sender.gone:
            await self._pacer.until(time.monotonic_ns() + LOOK_NS)
            if self._left and self._phases.passed:
                self._next_point(time.monotonic_ns())


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
        profile = sender.profile
        self._burst = profile.kind == "burst"
        self._arrivals = Arrivals(
            self._offsets(),
            warmup=profile.warmup,
            requests=profile.requests,
            duration_s=profile.duration_s,
            tally=sender.tally,
            number=sender.begin(point),
            worker=sender.worker,
        )
        self._ahead_ns = round(profile.stream.dial_ahead_s * SECOND_NS) if profile.stream else 0

    async def run(self, start_ns: int) -> None:
        """Until the point is measured or the server is gone. Clients opened on the way join the list given."""
        self._start_ns = start_ns + _LEAD_NS + self._ahead_ns
        async with asyncio.TaskGroup() as group:
            self._clock = group.create_task(self._send_when_due(group))
            if self._sender.tally.workers > 1:
                group.create_task(self._follow())
        for ticket, offset_ns in self._arrivals.rest() if self._sender.gone else []:
            due_ns = self._start_ns + offset_ns
            self._sender.give_up(self._point, ticket, stream=self._stream(ticket), intended_ns=due_ns)

    async def _send_when_due(self, group: asyncio.TaskGroup) -> None:
        while True:
            due_ns = self._start_ns + self._arrivals.next_offset_ns
            await self._pacer.until(due_ns - self._ahead_ns)
            if self._over():
                return
            group.create_task(self._arrival(self._arrivals.take(), due_ns))

    async def _arrival(self, ticket: Ticket, due_ns: int) -> None:
        if not self._idle:
            self._idle.append(self._new())
            self._clients.append(self._idle[-1])
        client = self._idle.pop()
        await self._sender.send(client, self._point, ticket, stream=self._stream(ticket), intended_ns=due_ns)
        self._arrivals.give_back(ticket)
        self._idle.append(client)
        if self._over():
            self._clock.cancel()  # it may be waiting for an arrival that nobody needs any more

    async def _follow(self) -> None:
        """The same when it is another process that received what all were waiting for."""
        while not self._over():
            await self._pacer.until(time.monotonic_ns() + LOOK_NS)
        self._clock.cancel()

    def _over(self) -> bool:
        return self._sender.gone or self._arrivals.finished

    def _offsets(self) -> Iterator[int]:
        profile, level = self._sender.profile, self._point.level
        if self._burst:
            return burst_offsets(int(level), profile.period_s)
        return poisson_offsets(level, seed=profile.seed, repeat=self._point.repeat)

    def _stream(self, ticket: Ticket) -> int:
        return ticket.index // (int(self._point.level) if self._burst else _BLOCK)


async def measure(sender: Sender, points: Sequence[Point], new: Callable[[], Client[Any]], pacer: Pacer) -> None:
    """Measure these points (several: a ramp, a soak) on connections opened before the clock starts, then close them.

    All load processes begin at one instant, and none returns before all have ended.
    """
    profile, tally = sender.profile, sender.tally
    users = profile.kind not in ("poisson", "burst")
    most = math.ceil(max(point.level for point in points))
    own = range(sender.worker, most if users else min(most, _MOST_OPENED_AHEAD), tally.workers)
    clients = [new() for _ in own]
    try:
        await asyncio.gather(*(client.connect() for client in clients))
        start_ns = await tally.meet(pacer)
        if users:
            by_user = dict(zip(own, clients, strict=True))
            await ClosedLoop(sender, points, by_user, pacer).run(start_ns)
        else:
            await OpenLoop(sender, points[0], clients, new, pacer).run(start_ns)
    finally:
        sender.rest()
        for client in clients:
            await client.close()
    await tally.meet(pacer)
