"""What all utterances of one gateway share: the engine's spare seats, what was learnt of its limit, the numbers."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from servers.common.metrics import Metrics
from servers.voxtral.interfaces import Request
from servers.voxtral.settings import Settings
from servers.voxtral.speech.segment import Segment

LEAST_S: Final = 10.0
SAFE_SHARE: Final = 0.75
"""Of the length that an engine was seen to end a request at."""


class Pool:
    """Where an utterance goes on in a new request it holds two seats of the engine, for as long as the old one needs
    to answer its rest (some 0.3 s). Beside one seat for each session there are few for that; who gets none of them
    waits for a pause or lets go of the old request first."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        # One is left to the engine's own smoke utterances.
        self._spare = max(1, settings.vllm_max_num_seqs - settings.max_connections - 1)
        self._segment_s, self._segment_max_s = settings.segment_s, settings.segment_max_s
        self._longest_s = math.inf
        self._closing: set[asyncio.Task[None]] = set()
        self.requests = metrics.counter("engine_requests", "Requests begun at the engine")
        self.rollovers = metrics.counter(
            "rollovers", "Utterances that went on in a new request: at a pause, by length, cut off, in a rut", ["kind"]
        )
        self.rollovers_without_seat = metrics.counter(
            "rollovers_without_seat", "Those that had to let go of the old request first"
        )
        self.stalls = metrics.counter("engine_stalls", "Utterances given up because the engine said nothing")
        self.failures = metrics.counter("utterances_failed", "Utterances without a result", ["reason_code"])
        self.dropped_s = metrics.counter("overload_dropped_seconds", "Audio of running utterances that had to go")

    @property
    def segment_s(self) -> float:
        """From this length on a pause is looked for."""
        return min(self._segment_s, SAFE_SHARE * SAFE_SHARE * self._longest_s)

    @property
    def segment_max_s(self) -> float:
        """No request should become longer."""
        return min(self._segment_max_s, SAFE_SHARE * self._longest_s)

    def learn(self, length_s: float) -> None:
        """The engine ended a request that was so long: the next ones stay below. No context is as short as `LEAST_S`:
        such an end has another reason."""
        if length_s >= LEAST_S:
            self._longest_s = min(self._longest_s, length_s)

    def take_seat(self) -> bool:
        """A second seat, if there is one; goes back with `let_go` of the segment that was told to hold it."""
        if self._spare == 0:
            return False
        self._spare -= 1
        return True

    def let_go(self, segment: Segment) -> None:
        """Give a request up, and its second seat as soon as it is closed. Does not wait; once for each segment."""
        task = asyncio.create_task(self._abort(segment.request, holds_seat=segment.holds_seat))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Until all requests that were let go are closed."""
        while self._closing:
            await asyncio.gather(*self._closing)

    async def _abort(self, request: Request, *, holds_seat: bool) -> None:
        try:
            await request.abort()
        finally:
            self._spare += holds_seat
