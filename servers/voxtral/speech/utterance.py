"""One utterance: its audio goes to the engine in one task, what the engine says is told in another, until one end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

from servers.common.patience import Patience
from servers.voxtral.faults import ENGINE_STALLED, TRUNCATED, WireFault, engine_failed
from servers.voxtral.interfaces import Done, Engine, EngineGone, Listener
from servers.voxtral.settings import SAMPLE_RATE_HZ, STEP_BYTES, STEP_S, Settings
from servers.voxtral.speech.backlog import Backlog
from servers.voxtral.speech.drops import Drops
from servers.voxtral.speech.ends import fault_of
from servers.voxtral.speech.giving import Giving
from servers.voxtral.speech.pool import Pool
from servers.voxtral.speech.segment import Segment
from servers.voxtral.speech.telling import NO_USAGE, Telling

PROGRESS_STEPS: Final = 12
"""A request that got not even a second further than the one cut off before it makes no progress."""
OWED_S: Final = 1.0
"""An engine that owes less may well wait for audio; one that owes so much and is silent stands still."""
SETTLED_S: Final = 2.0
"""What is owed less than that, and did not come for so long, does not come."""


class Speech:
    """See interfaces.Utterance. Takes no seat of the engine before its first audio."""

    def __init__(self, listener: Listener, settings: Settings, engine: Engine, pool: Pool) -> None:
        self._listener, self._pool = listener, pool
        self._stall_s = settings.engine_stall_s
        max_bytes = 2 * round(settings.inbound_audio_max_s * SAMPLE_RATE_HZ)
        self._backlog = Backlog(max_messages=settings.inbound_queue_max, max_bytes=max_bytes)
        self._giving = Giving(settings, engine, pool, backlog=self._backlog, changed=self._watch)
        self._telling, self._drops = Telling(listener), Drops(listener)
        self._patience = Patience(self._stall_s, self._stalled)
        self._is_awaited = self._is_finishing = self._is_over = False
        self._tasks: list[asyncio.Task[None]] = []
        self._empty_end: asyncio.Handle | None = None
        self._segment: Segment | None = None
        self._cut_step: int | None = None
        self._active_s = 0.0

    def feed(self, pcm: bytes) -> None:
        """More audio. Raises WireFault inbound_queue_full: then none of it is kept."""
        if self._is_over or self._is_finishing or not pcm:
            return
        dropped = self._backlog.add(pcm)
        if dropped:
            self._drops.add(dropped)
            self._pool.dropped_s.inc(dropped / STEP_BYTES * STEP_S)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._guard(work)) for work in (self._giving.run, self._read)]
            self._watch()
        self._giving.wake()

    def finish(self) -> None:
        """The client has said all."""
        if self._is_over or self._is_finishing:
            return
        self._is_finishing = True
        if self._tasks:
            self._giving.close()
        else:
            self._empty_end = asyncio.get_running_loop().call_soon(self._end, Done("", NO_USAGE))

    def abort(self) -> None:
        """Forget it: the listener hears nothing more, the engine's seat becomes free."""
        if self._is_over:
            return
        self._is_over = True
        for task in self._tasks:
            task.cancel()
        if self._empty_end is not None:
            self._empty_end.cancel()
        for segment in (self._segment, *self._giving.waiting):
            if segment is not None:
                self._pool.let_go(segment)
        self._giving.waiting.clear()
        self._segment = None
        self._patience.stop()
        self._drops.stop()
        self._backlog.clear()

    @property
    def owes(self) -> bool:
        """Whether output is still to come for audio that was fed, or for a finish."""
        if self._is_over:
            return False
        if self._is_finishing or self._backlog.bytes or (self._tasks and self._segment is None):
            return True
        return self.lag_s >= OWED_S or (self.lag_s > 0 and time.monotonic() - self._active_s < SETTLED_S)

    @property
    def lag_s(self) -> float:
        """Audio that the engine has and could have answered."""
        return self._segment.owed_s if self._segment is not None else 0.0

    async def _guard(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Whatever ends a task but its cancellation ends the utterance."""
        try:
            await work()
        except Exception as error:
            self._fail(fault_of(error))

    async def _read(self) -> None:
        while True:
            segment = self._segment = await self._giving.next()
            self._telling.begin(segment)
            self._watch()
            done = await self._hear(segment)
            if self._is_over:  # the listener did that
                return
            self._segment = None
            self._pool.let_go(segment)
            self._watch()
            if done is None:
                self._telling.abandon()
                self._giving.rut.leave(self._giving.pauses.loud_s)
                self._giving.begin_anew("rut", segment.step)
            elif not segment.is_answered(done.usage):
                self._telling.end(done)
                self._note_cut(segment)
                self._giving.begin_anew("truncation", segment.step)
            else:
                self._telling.end(done)
                if self._giving.is_last(segment):
                    self._end(self._telling.result())
                    return
            segment.over.set()

    async def _hear(self, segment: Segment) -> Done | None:
        """All that the request says; None where it is in a rut."""
        events = segment.request.events()
        try:
            async for event in events:
                if isinstance(event, Done):
                    return event
                segment.answered_steps += 1
                if event.text:
                    self._giving.rut.heard(self._giving.pauses.loud_s)
                self._is_awaited = False  # waiting begins anew
                self._watch()
                self._telling.hear(segment, event.text)
                self._giving.answered(segment)
                if self._is_over or (not segment.is_finished and self._giving.rut.is_in(segment.step)):
                    return None
        finally:
            if (close := getattr(events, "aclose", None)) is not None:
                await close()
        raise EngineGone("the engine's answer ended without a Done")

    def _watch(self) -> None:
        """Whether the engine is being waited for may have changed."""
        segment = self._segment
        self._active_s = time.monotonic()
        is_awaited = segment is None or segment.is_finished or segment.owed_s >= OWED_S
        if is_awaited and not self._is_awaited:
            self._patience.touch()
        elif not is_awaited:
            self._patience.stop()
        self._is_awaited = is_awaited

    def _note_cut(self, segment: Segment) -> None:
        """Raises WireFault where another request would be cut off as well."""
        self._pool.learn(segment.answered_steps * STEP_S)
        if self._cut_step is not None and segment.step - self._cut_step < PROGRESS_STEPS:
            raise engine_failed(TRUNCATED, "the speech engine ended this utterance before its audio")
        self._cut_step = segment.step

    def _stalled(self) -> None:
        self._pool.stalls.inc()
        message = f"the speech engine said nothing for {self._stall_s:g} s"
        self._fail(engine_failed(ENGINE_STALLED, message, {"limit_s": self._stall_s}))

    def _end(self, done: Done) -> None:
        if not self._is_over:
            self._drops.tell()
            self.abort()
            self._listener.finished(done.text, done.usage)

    def _fail(self, fault: WireFault) -> None:
        if not self._is_over:
            self._pool.failures.labels(fault.reason_code).inc()
            self._drops.tell()
            self.abort()
            self._listener.failed(fault)
