"""Steps all streams that have something for the model, together: one task, one model thread, one step at a time.

Knows no model, no wire and no text; whoever took a slot gets what its steps brought.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from servers.common.batch_worker import Call, Row, Worker
from servers.common.interfaces import Frame, StreamingRecognizer
from servers.common.slots import Piece, Slot, SlotPool, Step

R = TypeVar("R")
_log = logging.getLogger("servers.stepper")

SHORTEST_TIMER_S = 0.0006
"""uvloop rounds to whole milliseconds: less than half of one would fire at once."""

ILL_AFTER = 3
"""Steps in a row in which every row failed, alone too: the model is broken (a CUDA error stays), not its input."""


@dataclass
class StepCounts:
    """What happened since the start."""

    steps: int = 0
    rows: int = 0
    failed_rows: int = 0
    batch_sizes: Counter[int] = field(default_factory=Counter)


def steps_of(recognizer: StreamingRecognizer[R]) -> Call[Frame, R]:
    """A recogniser as a worker's call. A step has no buckets: the batch is as large as it is."""
    return lambda frames, _: recognizer.step(frames)


class Stepper(Generic[R]):
    """Looks every `step_s` which slots have a whole frame and steps at most `max_batch` of them, longest waiting first.

    It looks again at once where frames were left over, or when the next look was due while it stepped; with nothing
    to do it sleeps until a slot has something. Lives on one event loop.
    """

    def __init__(
        self,
        pool: SlotPool[R],
        worker: Worker[Frame, R],
        *,
        step_s: float,
        max_batch: int,
        on_step: Callable[[float, int], None] = lambda seconds, rows: None,
    ) -> None:
        """`worker` has been started. `on_step` is told of each step how long it took and how many rows it had."""
        self.counts = StepCounts()
        self.failure: Exception | None = None
        """Why the model is lost; all streams have ended then, and new ones would never be stepped."""
        self._pool, self._worker, self._on_step = pool, worker, on_step
        self._step_s, self._max_batch = step_s, max_batch
        self._started_s, self._last_tick = time.monotonic(), 0
        self._look = asyncio.Event()
        self._is_hurried = False
        self._is_awake = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._failed_in_a_row = 0
        pool.on_due = self._await_tick

    @property
    def healthy(self) -> bool:
        """The worker lives and the model does not fail on everything it is given."""
        return self.failure is None and self._failed_in_a_row < ILL_AFTER

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="stepper")
        self._task.add_done_callback(self._check_end)

    async def close(self) -> None:
        """Ends after at most the step that runs now, without waiting for it. Streams left by then are not told."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._disarm()
        self._worker.stop()

    def hurry(self) -> None:
        """A client waits for what its slot is owed (a flush, an end): look now, not at the next tick."""
        self._is_hurried = True
        self._look.set()

    async def _run(self) -> None:
        while self.failure is None:
            await self._look.wait()
            self._is_awake = True
            self._disarm()
            await self._step_what_is_due()
            self._is_awake = False
            if self._pool.due:
                self._await_tick()

    async def _step_what_is_due(self) -> None:
        while True:
            self._look.clear()
            self._is_hurried = False
            looked_s = time.monotonic()
            self._last_tick = max(self._last_tick, self._ticks_until(looked_s))
            slots = self._pool.pick(self._max_batch)
            if not slots:
                return
            await self._step(slots, looked_s)
            is_late = self._ticks_until(time.monotonic()) > self._last_tick
            if not (is_late or self._is_hurried or self._pool.is_any_waiting_since(looked_s)):
                return

    async def _step(self, slots: Sequence[Slot[R]], at_s: float) -> None:
        taken = [slot.take(at_s=at_s) for slot in slots]
        try:
            rows = await self._worker.run([frame for frame, _ in taken], len(taken))
        except Exception as error:  # the edge of the batch: the worker itself is lost
            self._fail_all(error, slots)
            return
        self._count(rows)
        for slot, (frame, piece), row in zip(slots, taken, rows, strict=True):
            self._settle(slot, frame, piece, row, len(slots))

    def _settle(self, slot: Slot[R], frame: Frame, piece: Piece, row: Row[R], batch_size: int) -> None:
        is_left = slot.is_left
        if isinstance(row.result, Exception):
            slot.stop()
        elif piece.flush:
            slot.flushed = piece.flush
        self._pool.put_back(slot)
        if is_left:
            return
        step = Step(
            result=row.result,
            slot=slot.number,
            batch_size=batch_size,
            received_s=piece.received_s,
            queued_s=piece.queued_s,
            started_s=row.started_s,
            ended_s=row.ended_s,
            flush=piece.flush,
            last=frame.last,
        )
        _tell(slot, step)

    def _count(self, rows: Sequence[Row[R]]) -> None:
        failed = sum(isinstance(row.result, Exception) for row in rows)
        self._failed_in_a_row = self._failed_in_a_row + 1 if failed == len(rows) else 0
        self.counts.steps += 1
        self.counts.rows += len(rows)
        self.counts.failed_rows += failed
        self.counts.batch_sizes[len(rows)] += 1
        self._on_step(max(row.ended_s for row in rows) - min(row.started_s for row in rows), len(rows))

    def _fail_all(self, error: Exception, stepping: Sequence[Slot[R]]) -> None:
        """Tell every stream; none of their seats is ever stepped again."""
        _log.critical("the model is lost; this server hears nothing any more", exc_info=error)
        self.failure = error
        now_s = time.monotonic()
        streams = self._pool.taken
        for slot in streams:
            slot.stop()
        for slot in stepping:
            self._pool.put_back(slot)
        for slot in streams:
            step: Step[R] = Step(
                result=error,
                slot=slot.number,
                batch_size=0,
                received_s=now_s,
                queued_s=now_s,
                started_s=now_s,
                ended_s=now_s,
                flush=0,
                last=False,
            )
            _tell(slot, step)

    def _check_end(self, task: asyncio.Task[None]) -> None:
        """Whatever ends the task but `close`: no stream may wait for steps that never come."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail_all(error if isinstance(error, Exception) else RuntimeError(repr(error)), [])

    def _ticks_until(self, at_s: float) -> int:
        return math.floor((at_s - self._started_s) / self._step_s)

    def _await_tick(self) -> None:
        """Something is due: look at the next tick, counted from the start, so that no look delays the ones after."""
        if self._timer is not None or self._is_awake or self._look.is_set():
            return
        now_s = time.monotonic()
        tick = max(self._ticks_until(now_s), self._last_tick) + 1
        wait_s = self._started_s + tick * self._step_s - now_s
        self._timer = asyncio.get_running_loop().call_later(max(wait_s, SHORTEST_TIMER_S), self._tick, tick)

    def _tick(self, number: int) -> None:
        self._timer = None
        self._last_tick = number  # the timer may be half a millisecond early: not the same tick twice
        self._look.set()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _tell(slot: Slot[R], step: Step[R]) -> None:
    try:
        slot.deliver(step)
    except Exception as error:  # the edge to the stream: its owner's mistake must not end the streams of others
        _log.exception("a stream could not take its result")
        slot.stop()
        with suppress(Exception):  # it may be able to end
            slot.deliver(replace(step, result=error))
