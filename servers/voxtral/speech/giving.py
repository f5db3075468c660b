"""An utterance's audio on its way to the engine: as it comes, bounded by the engine's answers, in one request or more.

One task gives. What is answered is another task's; it takes the requests from here in their order, and asks for a new
one where one failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Final

from servers.voxtral.interfaces import Engine, EngineGone
from servers.voxtral.settings import STEP_BYTES, STEP_S, Settings
from servers.voxtral.speech.backlog import Backlog
from servers.voxtral.speech.pauses import Pauses
from servers.voxtral.speech.pool import Pool
from servers.voxtral.speech.replay import Replay, take_first
from servers.voxtral.speech.rut import RutWatch
from servers.voxtral.speech.segment import Kind, Segment

PIECE_BYTES: Final = round(1.0 / STEP_S * STEP_BYTES) // 2 * 2
"""More is never sent at once: a step must not wait behind a long message."""
NEW_S: Final = 1.0
"""No request is left before it heard so much that none before it heard: there would be no end to hearing again."""
HEAR_PAUSE_S: Final = 0.2
"""So much of a pause the new request hears too: a word may begin more softly than silence is judged."""


def bytes_of(seconds: float) -> int:
    """Whole steps, rounded up."""
    return -int(-seconds // STEP_S) * STEP_BYTES


class Giving:
    """`changed` is called whenever audio or a finish went to the engine."""

    def __init__(
        self, settings: Settings, engine: Engine, pool: Pool, *, backlog: Backlog, changed: Callable[[], None]
    ) -> None:
        self._settings, self._engine, self._pool, self._backlog, self._changed = (
            settings,
            engine,
            pool,
            backlog,
            changed,
        )
        self.pauses, self.rut = Pauses(), RutWatch(settings.rut_s)
        self._replay = Replay()
        self._again_bytes = bytes_of(settings.overlap_s) + settings.delay_steps * STEP_BYTES
        self._segment: Segment | None = None
        self.waiting: deque[Segment] = deque()
        """Begun, and not yet read."""
        self._anew: tuple[Kind, int] | None = None
        self._is_closing = False
        self._wake, self._more = asyncio.Event(), asyncio.Event()

    def wake(self) -> None:
        """There is more audio."""
        self._wake.set()

    def close(self) -> None:
        """The audio that waits is the last."""
        self._is_closing = True
        self._wake.set()

    def answered(self, segment: Segment) -> None:
        """The engine needs nothing any more that lies far before its answer."""
        steps = min(segment.answered_steps, segment.sent_bytes // STEP_BYTES)
        self._replay.forget_before((segment.first_step + steps) * STEP_BYTES - self._again_bytes)
        if self._backlog.bytes or (self._segment is not None and self._segment.again):
            self._wake.set()

    def begin_anew(self, kind: Kind, step: int) -> None:
        """The request that was read failed behind that step: another one has to hear what followed."""
        self._anew = (kind, step)
        self._wake.set()

    def is_last(self, segment: Segment) -> bool:
        """Whether all audio there is and will be went into it and those before, and none has to be heard again."""
        is_newest = segment is self._segment and segment.end_step is None
        return self._is_closing and is_newest and not self._backlog.bytes

    async def next(self) -> Segment:
        """The request to be read next."""
        while self._anew is not None or not self.waiting:
            self._more.clear()
            await self._more.wait()
        return self.waiting.popleft()

    async def run(self) -> None:
        """For ever. Raises EngineGone and EngineRefused where a request cannot be begun."""
        while True:
            if self._anew is not None:
                await self._begin_anew(*self._anew)
            elif self._can_give():
                await self._give()
            elif self._can_finish():
                await self._finish()
            else:
                self._wake.clear()
                await self._wake.wait()

    def _can_give(self) -> bool:
        if self._segment is None:
            return self._backlog.bytes > 0
        has_audio = self._segment.again or self._backlog.bytes
        is_open = not self._segment.is_finished
        return bool(has_audio) and is_open and self._segment.room_bytes(self._settings.engine_lag_max_s) > 0

    def _can_finish(self) -> bool:
        segment = self._segment
        if not self._is_closing or segment is None or segment.is_finished:
            return False
        return not segment.again and not self._backlog.bytes

    async def _give(self) -> None:
        segment = self._segment or await self._begin(0, deque())
        is_looking = segment.sent_s >= self._pool.segment_s and segment.new_s >= NEW_S
        limit = min(segment.room_bytes(self._settings.engine_lag_max_s), STEP_BYTES if is_looking else PIECE_BYTES)
        if segment.again:
            piece = take_first(segment.again, limit)
        else:
            piece = self._backlog.take(limit)
            self._replay.add(piece)
            self.pauses.add(piece)
        segment.sent_bytes += len(piece)
        self.rut.sent(segment.first_step + segment.sent_bytes // STEP_BYTES, self.pauses.loud_s)
        self._changed()
        with contextlib.suppress(EngineGone):  # whoever reads learns why
            await segment.request.send(piece)
        if is_looking and not segment.again and (kind := self._reason_to_go_on(segment)):
            await self._go_on(segment, kind)

    def _reason_to_go_on(self, segment: Segment) -> Kind | None:
        if self._anew is not None or (self._is_closing and not self._backlog.bytes):
            return None
        if self.pauses.quiet_s * 1000 >= self._settings.pause_ms:
            return "pause"
        return "length" if segment.sent_s >= self._pool.segment_max_s else None

    async def _go_on(self, old: Segment, kind: Kind) -> None:
        """In a new request, while the old one answers its rest."""
        old.holds_seat = self._pool.take_seat()
        if not old.holds_seat and old.sent_s < self._pool.segment_max_s + self._settings.overlap_s:
            return  # the next pause may find one
        if kind == "pause":
            place = self._replay.end - bytes_of(min(self.pauses.quiet_s / 2, HEAR_PAUSE_S))
        else:
            place = self._replay.end - self._again_bytes
        old.leave(within_a_word=kind == "length")
        first_step, again = self._since(max(place, (old.first_step + 1) * STEP_BYTES))
        await self._finish()
        if not old.holds_seat:
            self._pool.rollovers_without_seat.inc()
            await old.over.wait()
        if self._anew is None:
            await self._begin(first_step, again, kind)

    async def _finish(self) -> None:
        assert self._segment is not None
        self._segment.is_finished = True
        self._changed()
        with contextlib.suppress(EngineGone):
            await self._segment.request.finish()

    async def _begin_anew(self, kind: Kind, step: int) -> None:
        while self.waiting:
            self._pool.let_go(self.waiting.pop())
        await self._begin(*self._since(step * STEP_BYTES - self._again_bytes), kind)
        self._anew = None
        self._more.set()

    def _since(self, place: int) -> tuple[int, deque[bytes]]:
        """The step at or before there, or the first that is kept, and the audio from there on."""
        first_step = max(place // STEP_BYTES, -(-self._replay.start // STEP_BYTES))
        return first_step, self._replay.since(first_step * STEP_BYTES)

    async def _begin(self, first_step: int, again: deque[bytes], kind: Kind | None = None) -> Segment:
        request = await self._engine.begin()
        self._pool.requests.inc()
        if kind is not None:
            self._pool.rollovers.labels(kind).inc()
        segment = Segment(
            request,
            first_step=first_step,
            delay_steps=self._settings.delay_steps,
            again=again,
            after=kind,
        )
        self._segment = segment
        self.waiting.append(segment)
        self._more.set()
        return segment
