"""When to send what: schedules and phases as pure functions of their seed.

Knows no client, no server and no clock; what several load processes count together lies in a Tally. All times are
CLOCK_MONOTONIC nanoseconds.
"""

from __future__ import annotations

import functools
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from yapbench.load.tally import Slot, Tally
from yapbench.pacing.timer import SECOND_NS
from yapbench.schema import Phase


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
    """Hands out the tickets of one point to users: warm-up by count, steady by count or time, then drain.

    Drain tickets keep the load up as long as a steady one is outstanding. Steady time counts from the first
    steady ticket. Several load processes hand out of one stock, `tally`: together exactly what one would, in the order
    in which their users ask. `number`: of the point, in the tally.
    """

    def __init__(
        self,
        *,
        warmup: int,
        requests: int | None,
        duration_s: float | None,
        tally: Tally | None = None,
        number: int = 1,
    ) -> None:
        self._warmup, self._requests = warmup, requests
        self._duration_ns = None if duration_s is None else round(duration_s * SECOND_NS)
        self._tally = tally or Tally(points=number)
        self._number = number
        self._tally.begin(number)

    @property
    def finished(self) -> bool:
        """All counted requests were handed out and have ended."""
        with self._tally as numbers:
            return numbers[Slot.POINT] == self._number and _finished(numbers, 1)

    @property
    def passed(self) -> bool:
        """Another process has gone on to a later point."""
        return self._tally.begun > self._number

    def take(self, intended_ns: int) -> Ticket | None:
        """The ticket for a request intended at this time; None when the point is finished, or the server gone."""
        with self._tally as numbers:
            if numbers[Slot.POINT] != self._number or numbers[Slot.GONE]:
                return None
            phase = self._phase(numbers, intended_ns)
            if phase is None:
                return None
            index = numbers[Slot.INDEX]
            numbers[Slot.INDEX] = index + 1
            if phase is Phase.STEADY:
                numbers[Slot.TAKEN] += 1
                numbers[Slot.COMPLETE] = self._requests is not None and numbers[Slot.TAKEN] >= self._requests
            return Ticket(index, phase)

    def give_back(self, ticket: Ticket) -> None:
        """The request of this ticket has ended, well or not."""
        if ticket.phase is Phase.STEADY:  # and so the point is still ours
            with self._tally as numbers:
                numbers[Slot.ENDED] += 1

    def rest(self) -> list[Ticket]:
        """The tickets not handed out of what was asked for by count: what an aborted point still owes.

        They count as handed out then: who asks again, or next, gets none.
        """
        with self._tally as numbers:
            if numbers[Slot.POINT] != self._number:
                return []
            asked = range(numbers[Slot.INDEX], self._warmup + (self._requests or 0))
            numbers[Slot.INDEX] += len(asked)
        return [Ticket(index, Phase.WARMUP if index < self._warmup else Phase.STEADY) for index in asked]

    def _phase(self, numbers: memoryview[int], intended_ns: int) -> Phase | None:
        if numbers[Slot.INDEX] < self._warmup:
            return Phase.WARMUP
        if numbers[Slot.INDEX] == self._warmup:
            numbers[Slot.FIRST_NS] = intended_ns
        if self._duration_ns is not None and intended_ns - numbers[Slot.FIRST_NS] >= self._duration_ns:
            numbers[Slot.COMPLETE] = 1
        if not numbers[Slot.COMPLETE]:
            return Phase.STEADY
        return None if _finished(numbers, 1) else Phase.DRAIN


class Arrivals:
    """The tickets of one point whose requests have times of their own: this process's part of them.

    Arrival number i belongs to process i % `workers`, whatever the others do. The phases are those of `Phases`; a
    drain goes on until the steady arrivals of all processes have ended. `offsets`: ns after the start, never falling.
    """

    def __init__(
        self,
        offsets: Iterator[int],
        *,
        warmup: int,
        requests: int | None,
        duration_s: float | None,
        tally: Tally | None = None,
        number: int = 1,
        worker: int = 0,
    ) -> None:
        self._warmup, self._requests = warmup, requests
        self._duration_ns = None if duration_s is None else round(duration_s * SECOND_NS)
        self._tally = tally or Tally(points=number)
        self._tally.begin(number)
        self._own = itertools.islice(self._numbered(offsets), worker, None, self._tally.workers)
        self._complete = False
        self._look()

    @property
    def finished(self) -> bool:
        """All counted requests of all processes were handed out and have ended."""
        with self._tally as numbers:
            return _finished(numbers, self._tally.workers)

    @property
    def next_offset_ns(self) -> int:
        """When the next one is due, after the start."""
        return self._next[1]

    def take(self) -> Ticket:
        """The next one's ticket."""
        ticket = self._next[0]
        if ticket.phase is Phase.STEADY:
            with self._tally as numbers:
                numbers[Slot.TAKEN] += 1
        self._look()
        return ticket

    def give_back(self, ticket: Ticket) -> None:
        """The request of this ticket has ended, well or not."""
        if ticket.phase is Phase.STEADY:
            with self._tally as numbers:
                numbers[Slot.ENDED] += 1

    def rest(self) -> list[tuple[Ticket, int]]:
        """What is left of what was asked for by count, with its offsets: what an aborted point still owes."""
        owed = (Phase.WARMUP,) if self._requests is None else (Phase.WARMUP, Phase.STEADY)
        return list(
            itertools.takewhile(lambda arrival: arrival[0].phase in owed, itertools.chain([self._next], self._own))
        )

    def _look(self) -> None:
        """Draw the next one, and say so once there is none left to count."""
        self._next = next(self._own)
        if self._next[0].phase is Phase.DRAIN and not self._complete:
            self._complete = True
            with self._tally as numbers:
                numbers[Slot.COMPLETE] += 1

    def _numbered(self, offsets: Iterator[int]) -> Iterator[tuple[Ticket, int]]:
        first_ns = 0
        for index, offset_ns in enumerate(offsets):
            if index == self._warmup:
                first_ns = offset_ns
            if index < self._warmup:
                phase = Phase.WARMUP
            elif self._requests is not None:
                phase = Phase.STEADY if index < self._warmup + self._requests else Phase.DRAIN
            else:
                within = self._duration_ns is not None and offset_ns - first_ns < self._duration_ns
                phase = Phase.STEADY if within else Phase.DRAIN
            yield Ticket(index, phase), offset_ns


def _finished(numbers: memoryview[int], parts: int) -> bool:
    return numbers[Slot.COMPLETE] == parts and numbers[Slot.ENDED] == numbers[Slot.TAKEN]
