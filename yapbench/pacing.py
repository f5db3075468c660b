"""When to send what: schedules and phases as pure functions of their seed.

Knows no client, no server, no process and no clock. All times are CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from yapbench.schema import Phase
from yapbench.timer import SECOND_NS


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


def phase_ns(index: int, *, frame_ns: int, seed: int, repeat: int) -> int:
    """Where within a frame stream number `index` begins, uniform in [0, `frame_ns`): callers are not in step."""
    return random.Random(f"phase {seed} {repeat} {index}").randrange(frame_ns)


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
