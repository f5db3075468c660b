"""The queue in front of a model: gathers single items into batches, refuses early, forgets the late.

Each item has one future, one deadline and, in its answer, the stamps of its own way. What waits while a
worker is free waits in a window (batch_window.py); a full batch never waits, nor does anything with window 0.
Knows nothing of audio, HTTP or any model.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from servers.common.batch_window import BatchWindow, CloseReason
from servers.common.batch_worker import Row, ThreadWorker, Worker
from servers.common.errors import DeadlineExceeded, Draining, InferenceFailed, Overloaded

__all__ = ["Answer", "BatchWindow", "Batcher", "CloseReason", "Counts", "Row", "ThreadWorker", "Worker"]

T = TypeVar("T")
R = TypeVar("R")

SHORTEST_TIMER_S = 0.0006
"""uvloop rounds to whole milliseconds: less than half of one would fire at once and spin the loop."""

COMING_FOR_S = 0.1
"""How long an announced item keeps the window from closing on a pause: a body that trickles must not slow others."""

RENEWAL = 0.2
"""Weight of the newest full batch in the measured duration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Generic[R]):
    """One item's result and its way; stamps in seconds of the monotonic clock."""

    value: R
    queued_s: float
    started_s: float
    ended_s: float
    batch_size: int
    bucket: int
    reason: CloseReason
    worker: int

    @property
    def queue_s(self) -> float:
        """From the item's arrival to the start of the model call."""
        return self.started_s - self.queued_s

    @property
    def inference_s(self) -> float:
        """The model call; after a failed batch both calls."""
        return self.ended_s - self.started_s


@dataclass
class Counts:
    """What happened since the start."""

    answered: int = 0
    failed: int = 0
    rejected: int = 0
    expired: int = 0
    cancelled: int = 0
    batch_sizes: Counter[int] = field(default_factory=Counter)
    close_reasons: Counter[CloseReason] = field(default_factory=Counter)


@dataclass(eq=False, slots=True, repr=False)  # deque.remove writes what it does not find into its error
class _Waiting(Generic[T, R]):
    item: T
    queued_s: float
    future: asyncio.Future[Answer[R]]


class Batcher(Generic[T, R]):
    """Lives on one event loop. `clock` is replaced in tests that run in virtual time."""

    def __init__(
        self,
        workers: Sequence[Worker[T, R]],
        window: BatchWindow,
        *,
        queue_limit: int,
        deadline_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.window, self.counts = window, Counts()
        self._workers, self._clock = workers, clock
        self._queue_limit, self._deadline_s = queue_limit, deadline_s
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._idle: deque[int] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._coming: dict[object, float] = {}
        self._opened_s: float | None = None
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._full_batch_s = 0.0
        self._closing = False

    @property
    def depth(self) -> int:
        """Items waiting for a batch."""
        return len(self._waiting)

    async def start(self) -> None:
        """Starts all workers at once; returns when each is warm. Raises what the first failing one raised."""
        await asyncio.gather(*(worker.start() for worker in self._workers))
        self._idle.extend(range(len(self._workers)))
        self._consider()

    def submit(self, item: T, *, deadline_s: float | None = None) -> asyncio.Future[Answer[R]]:
        """Puts `item` in line. Cancel the future to withdraw it.

        Raises Overloaded when the queue is full, or so long that the deadline could not be kept. The future
        fails with DeadlineExceeded `deadline_s` from now, with InferenceFailed when the model fails on it.
        """
        allowed_s = self._deadline_s if deadline_s is None else deadline_s
        self._refuse_if_full(allowed_s)
        loop, now_s = asyncio.get_running_loop(), self._clock()
        entry: _Waiting[T, R] = _Waiting(item, now_s, loop.create_future())
        expiry = loop.call_later(allowed_s, self._expire, entry, allowed_s)
        entry.future.add_done_callback(lambda _: self._forget(entry, expiry))
        self._waiting.append(entry)
        self._last_s = now_s
        self._consider()
        return entry.future

    @contextmanager
    def announced(self) -> Iterator[None]:
        """To be held while an item is on its way (its body is being read) until it is submitted, or is not after all.

        Large bodies come one after another with pauses that are no pauses in arrivals: meanwhile the window closes
        when it is full or at its cap, not on a gap.
        """
        token = object()
        self._coming[token] = self._clock()
        try:
            yield
        finally:
            del self._coming[token]
            if self._timer is not None and not self._coming:  # it was set for the cap
                self._timer.cancel()
                self._timer = None
            self._consider()

    async def close(self, *, timeout_s: float = 5.0) -> None:
        """Refuses new items, finishes the accepted ones for at most `timeout_s`, then stops the workers."""
        self._closing = True
        self._consider()
        loop = asyncio.get_running_loop()
        end_s = loop.time() + timeout_s
        while self._running and (left_s := end_s - loop.time()) > 0:
            await asyncio.wait(self._running, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        unfinished, waiting = list(self._running), list(self._waiting)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        _turn_away(waiting)
        for worker in self._workers:
            worker.stop()

    def expected_wait_s(self) -> float:
        """What a new item would wait for its answer at the measured rate of full batches; 0 if unknown."""
        batches_ahead = math.ceil((len(self._waiting) + 1) / self.window.largest)
        return (1 + batches_ahead / len(self._workers)) * self._full_batch_s

    def _refuse_if_full(self, allowed_s: float) -> None:
        wait_s = self.expected_wait_s()
        # With less than one batch ahead an item is always taken: only work done renews the estimate.
        hopeless = len(self._waiting) >= self.window.largest and wait_s > allowed_s
        if not (self._closing or hopeless or len(self._waiting) >= self._queue_limit):
            return
        self.counts.rejected += 1
        if self._closing:
            raise Draining("the server is going away")
        raise Overloaded(
            f"{len(self._waiting)} requests are waiting already",
            retry_after_s=wait_s,
            limit=self._queue_limit,
        )

    def _consider(self) -> None:
        """Starts what is due; else sees to it that time is looked at again."""
        if not (self._idle and self._waiting):
            return
        now_s = self._clock()
        opened_s = self._opened_s = now_s if self._opened_s is None else self._opened_s
        newest_s = next(reversed(self._coming.values()), -math.inf)
        coming_s = newest_s + COMING_FOR_S - now_s
        reason = self.window.close(
            now_s=now_s,
            opened_s=opened_s,
            last_s=self._last_s,
            depth=len(self._waiting),
            more_coming=coming_s > 0,
        )
        if self._closing:
            reason = CloseReason.DRAIN
        if reason is not None:
            self._start_batches(reason)
        elif self._timer is None:
            # Not moved at each arrival: it may fire early and is then set again for the rest.
            wake_s = self.window.wake_s(opened_s=opened_s, last_s=self._last_s, more_coming=coming_s > 0)
            wait_s = min(wake_s - now_s, coming_s) if coming_s > 0 else wake_s - now_s
            self._timer = asyncio.get_running_loop().call_later(max(wait_s, SHORTEST_TIMER_S), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._consider()

    def _start_batches(self, reason: CloseReason) -> None:
        """Deals what waits evenly to the free workers; one batch would leave the others idle."""
        self._shut_window()
        while self._idle and self._waiting:
            share = min(math.ceil(len(self._waiting) / len(self._idle)), self.window.largest)
            batch: list[_Waiting[T, R]] = []
            while self._waiting and len(batch) < share:
                entry = self._waiting.popleft()
                if not entry.future.done():  # cancelled or expired in this very turn of the loop
                    batch.append(entry)
            if batch:
                self._start_batch(batch, reason)

    def _start_batch(self, batch: list[_Waiting[T, R]], reason: CloseReason) -> None:
        self.counts.batch_sizes[len(batch)] += 1
        self.counts.close_reasons[reason] += 1
        task = asyncio.get_running_loop().create_task(self._run(self._idle.popleft(), batch, reason))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, worker: int, batch: list[_Waiting[T, R]], reason: CloseReason) -> None:
        bucket, began_s = self.window.bucket_for(len(batch)), self._clock()
        try:
            rows = await self._workers[worker].run([entry.item for entry in batch], bucket)
        except asyncio.CancelledError:
            _turn_away(batch)
            raise
        except Exception as error:  # the edge of the batch: the worker itself broke
            rows = [Row(error, began_s, self._clock()) for _ in batch]
        if len(batch) == self.window.largest:
            weight = RENEWAL if self._full_batch_s else 1.0
            self._full_batch_s += weight * (self._clock() - began_s - self._full_batch_s)
        self._free(worker)
        for entry, row in zip(batch, rows, strict=True):
            self._settle(entry, row, batch_size=len(batch), bucket=bucket, reason=reason, worker=worker)

    def _free(self, worker: int) -> None:
        if not self._idle:
            # The window of what waits opens now, and pauses count from now: the clients answered by this batch
            # are about to come back. Without that, closed-loop clients once split over two half batches stay so.
            self._last_s = self._clock()
        self._idle.append(worker)
        self._consider()

    def _settle(
        self,
        entry: _Waiting[T, R],
        row: Row[R],
        *,
        batch_size: int,
        bucket: int,
        reason: CloseReason,
        worker: int,
    ) -> None:
        if entry.future.done():
            return
        if isinstance(row.result, Exception):
            self.counts.failed += 1
            failure = InferenceFailed("the model failed on this request")
            failure.__cause__ = row.result
            entry.future.set_exception(failure)
            return
        self.counts.answered += 1
        answer = Answer(
            value=row.result,
            queued_s=entry.queued_s,
            started_s=row.started_s,
            ended_s=row.ended_s,
            batch_size=batch_size,
            bucket=bucket,
            reason=reason,
            worker=worker,
        )
        entry.future.set_result(answer)

    def _expire(self, entry: _Waiting[T, R], allowed_s: float) -> None:
        if not entry.future.done():
            self.counts.expired += 1
            entry.future.set_exception(DeadlineExceeded(f"no answer within {allowed_s:g} s", limit=allowed_s))

    def _forget(self, entry: _Waiting[T, R], expiry: asyncio.TimerHandle) -> None:
        expiry.cancel()
        if entry.future.cancelled():
            self.counts.cancelled += 1
        with suppress(ValueError):  # a batch has taken it already
            self._waiting.remove(entry)
        if not self._waiting:
            self._shut_window()

    def _shut_window(self) -> None:
        self._opened_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _turn_away(entries: Sequence[_Waiting[T, R]]) -> None:
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(Draining("the server is going away"))
