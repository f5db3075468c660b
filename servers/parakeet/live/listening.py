"""Hears one client: samples in, chunks out, the detector in between, and a bound on what waits for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from servers.common.audio import SAMPLE_RATE_HZ
from servers.common.interfaces import Audio
from servers.parakeet.desk import Desk
from servers.parakeet.live.chunker import Chunk, Chunker, ClosedBy
from servers.parakeet.settings import Settings

BACKLOG_SAMPLES: Final = 10 * SAMPLE_RATE_HZ
"""A client that sends faster than it is heard is read no further than this ahead."""
MARKS: Final = 16
"""Flushes that may wait to be reached."""
LARGEST_CALL: Final = 32
"""Windows in one trip to the detector, about a second: a client with a backlog must not hold up the others there."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """A place in the stream at which the open chunk is closed, and what is done then."""

    at: int
    closed_by: ClosedBy
    then: Callable[[], None]


class Listener:
    """One client's. `append` and `close` say what came; `run` hears it, one trip to the detector at a time.

    `take` gets each chunk, in order, and the monotonic time at which its last sample came; `room` is awaited before
    anything that may close one; `heard` is called after each trip.
    """

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        *,
        take: Callable[[Chunk, float], None],
        room: Callable[[], Awaitable[None]],
        heard: Callable[[Chunker], None],
    ) -> None:
        self._desk, self._take, self._room, self._heard = desk, take, room, heard
        self._chunker, self._state = Chunker(settings), desk.new_stream()
        self._arrivals: deque[tuple[int, float]] = deque()
        """Samples received so far, and when, after each portion."""
        self._marks: deque[_Mark] = deque()
        self._news, self._progress = asyncio.Event(), asyncio.Event()

    @property
    def is_full(self) -> bool:
        """More waits to be heard than may."""
        return self._chunker.unjudged > BACKLOG_SAMPLES or len(self._marks) > MARKS

    @property
    def is_within_speech(self) -> bool:
        """A chunk is open, or what was received could open one."""
        return self._chunker.is_open or self._chunker.is_due

    async def has_room(self) -> None:
        """Returns when it is not full."""
        while self.is_full:
            self._progress.clear()
            await self._progress.wait()

    def append(self, samples: Audio, *, at_s: float) -> None:
        """16 kHz, shape (n,), any n, received at `at_s` of the monotonic clock."""
        self._chunker.append(samples)
        self._arrivals.append((self._chunker.received, at_s))
        if self._chunker.is_due:
            self._news.set()

    def close(self, closed_by: ClosedBy, *, then: Callable[[], None]) -> None:
        """The open chunk ends with what was received by now. `then` is called when that is heard."""
        self._marks.append(_Mark(self._chunker.received, closed_by, then))
        self._news.set()

    def give_up(self) -> None:
        """The detector is lost: what was judged of the open chunk is all that it gets, and nothing waits any more."""
        judged = self._chunker.received - self._chunker.unjudged
        self._close_chunk(judged, ClosedBy.END)

    async def run(self) -> None:
        """Until it is cancelled; raises the fault of a failed trip to the detector."""
        while True:
            if self._marks and len(samples := self._chunker.windows(LARGEST_CALL, until=self._marks[0].at)):
                await self._room()
                await self._hear(samples)
            elif self._marks:
                await self._room()
                mark = self._marks.popleft()
                self._close_chunk(mark.at, mark.closed_by)
                mark.then()
                self._progress.set()
            elif self._chunker.is_due:
                await self._room()
                await self._hear(self._chunker.windows(LARGEST_CALL))
            else:
                self._news.clear()
                await self._news.wait()

    async def _hear(self, samples: Audio) -> None:
        self._state, probabilities = await self._desk.hear(self._state, samples)
        for chunk in self._chunker.hear(probabilities):
            self._take(chunk, self._arrived_s(chunk.end))
        while self._arrivals and self._arrivals[0][0] <= self._chunker.kept_from:
            self._arrivals.popleft()
        self._heard(self._chunker)
        self._progress.set()

    def _close_chunk(self, at: int, closed_by: ClosedBy) -> None:
        chunk = self._chunker.close(at=at, closed_by=closed_by)
        if chunk is not None:
            self._take(chunk, self._arrived_s(chunk.end))

    def _arrived_s(self, sample: int) -> float:
        """When the last sample before number `sample` came."""
        return next(at_s for received, at_s in self._arrivals if received >= sample)
