"""When to send what: pure schedules and phases, and `Alarm`, which wakes at a time and never before it.

Knows no client, no server and no process. All times are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import heapq
import itertools
import os
import random
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from yapbench.schema import Phase

SECOND_NS: Final = 1_000_000_000


@functools.lru_cache(maxsize=16)
def order(count: int, *, seed: int, repeat: int) -> tuple[int, ...]:
    """Positions in a corpus of `count`, shuffled; request i of a point sends position `order[i % count]`.

    The same for every level of a repeat, so that levels and settings meet the same utterances. Neighbours
    differ, so that up to `count` simultaneous users each send another utterance.
    """
    positions = list(range(count))
    random.Random(f"order {seed} {repeat}").shuffle(positions)
    return tuple(positions)


def poisson_offsets(rate_hz: float, *, seed: int, repeat: int) -> Iterator[int]:
    """Endless arrival times after the start in ns, with exponential gaps of mean 1/`rate_hz`; the first is 0.

    Other rates get the same draws, scaled: levels differ by the rate, not by luck.
    """
    source = random.Random(f"poisson {seed} {repeat}")
    elapsed = 0.0
    while True:
        yield round(elapsed / rate_hz * SECOND_NS)
        elapsed += source.expovariate(1.0)


def burst_offsets(size: int, period_s: float) -> Iterator[int]:
    """Endless arrival times after the start in ns: `size` at once, every `period_s`."""
    for number in itertools.count():
        for _ in range(size):
            yield round(number * period_s * SECOND_NS)


@dataclass(frozen=True)
class Ticket:
    """The right to send one request: its order of intention within the point, and its phase."""

    index: int
    phase: Phase


class Phases:
    """Hands out the tickets of one point: warm-up by count, steady by count or time, then drain.

    Drain tickets keep the load up as long as a steady one is outstanding. Steady time counts from the first
    steady ticket.
    """

    def __init__(self, *, warmup: int, requests: int | None, duration_s: float | None) -> None:
        self._warmup, self._requests = warmup, requests
        self._duration_ns = None if duration_s is None else round(duration_s * SECOND_NS)
        self._steady_start_ns: int | None = None
        self._index = 0
        self.taken = 0
        """Steady tickets handed out."""
        self.ended = 0
        """Steady tickets given back."""
        self._complete = False

    @property
    def finished(self) -> bool:
        """All counted requests were handed out and have ended."""
        return self._complete and self.ended == self.taken

    def take(self, intended_ns: int) -> Ticket | None:
        """The ticket for a request intended at this time; None when the point is finished."""
        phase = self._phase(intended_ns)
        if phase is None:
            return None
        ticket = Ticket(self._index, phase)
        self._index += 1
        if phase is Phase.STEADY:
            self.taken += 1
            self._complete = self._requests is not None and self.taken >= self._requests
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        """The request of this ticket has ended, well or not."""
        if ticket.phase is Phase.STEADY:
            self.ended += 1

    def rest(self) -> list[Ticket]:
        """The tickets not handed out of what was asked for by count: what an aborted point still owes."""
        asked = self._warmup + (self._requests or 0)
        return [
            Ticket(index, Phase.WARMUP if index < self._warmup else Phase.STEADY) for index in range(self._index, asked)
        ]

    def _phase(self, intended_ns: int) -> Phase | None:
        if self._index < self._warmup:
            return Phase.WARMUP
        if self._steady_start_ns is None:
            self._steady_start_ns = intended_ns
        if self._duration_ns is not None and intended_ns - self._steady_start_ns >= self._duration_ns:
            self._complete = True
        if not self._complete:
            return Phase.STEADY
        return None if self.finished else Phase.DRAIN


class Alarm:
    """Wakes coroutines at absolute times: on Linux by one timerfd for all, elsewhere by the loop's timers.

    The loop's own timers have a grain of 1 ms and may fire early; a timerfd wakes within some 50 us of its
    time. Either way `until` looks at the clock before it returns.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        self._timer = _TimerFd() if sys.platform == "linux" else None
        self._armed_ns: int | None = None
        if self._timer is not None:
            asyncio.get_running_loop().add_reader(self._timer.descriptor, self._ring, self._timer)

    async def until(self, due_ns: int) -> None:
        """Return at or after `due_ns`, never before; others get a turn also when that is past."""
        if due_ns <= time.monotonic_ns():
            await asyncio.sleep(0)
        while (left_ns := due_ns - time.monotonic_ns()) > 0:
            if self._timer is None:
                await asyncio.sleep(left_ns / SECOND_NS)
                continue
            future = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (due_ns, next(self._numbers), future))
            self._arm(self._timer)
            await future

    def close(self) -> None:
        """Give the timer back. Nobody may be waiting."""
        if self._timer is not None:
            asyncio.get_running_loop().remove_reader(self._timer.descriptor)
            self._timer.close()
            self._timer = None

    def _arm(self, timer: _TimerFd) -> None:
        first_ns = self._waiting[0][0]
        if self._armed_ns is None or first_ns < self._armed_ns:
            self._armed_ns = first_ns
            timer.set(first_ns)

    def _ring(self, timer: _TimerFd) -> None:
        timer.acknowledge()
        self._armed_ns = None
        now_ns = time.monotonic_ns()
        while self._waiting and self._waiting[0][0] <= now_ns:
            future = heapq.heappop(self._waiting)[2]
            if not future.done():
                future.set_result(None)
        if self._waiting:
            self._arm(timer)


class _TimerFd:
    """Linux's timerfd through the C library: os.timerfd_create only comes with Python 3.13."""

    _ABSOLUTE_TIME: Final = 1

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None, use_errno=True)
        flags = os.O_NONBLOCK | os.O_CLOEXEC  # the same bits as TFD_NONBLOCK and TFD_CLOEXEC
        self.descriptor = self._check(self._library.timerfd_create(time.CLOCK_MONOTONIC, flags))

    def set(self, due_ns: int) -> None:
        """Become readable once, at `due_ns`; a time gone by means at once."""
        seconds, nanoseconds = divmod(due_ns, SECOND_NS)
        value = struct.pack("@qqqq", 0, 0, seconds, nanoseconds)  # struct itimerspec; no interval
        self._check(self._library.timerfd_settime(self.descriptor, self._ABSOLUTE_TIME, value, None))

    def acknowledge(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew between becoming readable and now
            os.read(self.descriptor, 8)

    def close(self) -> None:
        os.close(self.descriptor)

    @staticmethod
    def _check(result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), "the kernel refused a timerfd")
        return result
