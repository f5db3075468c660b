"""A thread that owns one model: builds it, warms it, runs every batch on it.

The channel is narrow (start, run, stop), so that a process could stand in its place. A failed batch is run
again item by item here, next to the model. Knows nothing of queues, windows or deadlines.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
Item = TypeVar("Item", contravariant=True)
Call = Callable[[Sequence[T], int], Sequence[R]]
"""The model: items and the bucket to pad them to -> one result for each item. Blocking."""


@dataclass(frozen=True, slots=True)
class Row(Generic[R]):
    """What a worker did for one item; stamps in seconds of the monotonic clock."""

    result: R | Exception
    started_s: float
    ended_s: float


class Worker(Protocol[Item, R]):
    """The channel to one model."""

    async def start(self) -> None:
        """Returns when the model is built and warm; raises what building raised."""
        ...

    async def run(self, items: Sequence[Item], bucket: int) -> list[Row[R]]:
        """One row for each item, in order; an item's failure is in its row. Raises when the worker itself is lost."""
        ...

    def stop(self) -> None:
        """Ends the worker after the call it is in. Does not wait."""
        ...


class ThreadWorker(Generic[T, R]):
    """One model in one thread. `build` runs there too: some runtimes tie a compiled model to its thread."""

    def __init__(self, build: Callable[[], Call[T, R]], *, name: str = "model") -> None:
        self._build, self._name = build, name
        self._jobs: queue.SimpleQueue[Callable[[Call[T, R]], None] | None] = queue.SimpleQueue()
        self._end: BaseException | None = None

    @property
    def is_lost(self) -> bool:
        """The thread has ended of itself: nothing will ever be answered again."""
        return self._end is not None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        built: asyncio.Future[None] = loop.create_future()
        # A daemon: a model stuck in native code must not keep the process from ending.
        threading.Thread(target=self._live, args=(loop, built), name=self._name, daemon=True).start()
        await built

    async def run(self, items: Sequence[T], bucket: int) -> list[Row[R]]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Row[R]]] = loop.create_future()

        def job(call: Call[T, R]) -> None:
            try:
                rows = run_rows(call, items, bucket)
            except BaseException as end:  # SystemExit and the like: the thread ends, and nobody may wait for it
                self._end = end
                _post(loop, done, _thread_ended(end))
            else:
                _post(loop, done, rows)

        if self._end is not None:
            raise _thread_ended(self._end)
        self._jobs.put(job)
        return await done

    def stop(self) -> None:
        self._jobs.put(None)

    def _live(self, loop: asyncio.AbstractEventLoop, built: asyncio.Future[None]) -> None:
        try:
            call = self._build()
        except Exception as error:  # handed to whoever waits in start()
            _post(loop, built, error)
            return
        _post(loop, built, None)
        while self._end is None and (job := self._jobs.get()) is not None:
            job(call)


def run_rows(call: Call[T, R], items: Sequence[T], bucket: int) -> list[Row[R]]:
    """Runs one batch; if it fails, each item once more alone, so that a bad one harms nobody else."""
    started_s = time.monotonic()
    whole = _attempt(call, items, bucket)
    if not isinstance(whole, Exception):
        ended_s = time.monotonic()
        return [Row(result, started_s, ended_s) for result in whole]
    if len(items) == 1:
        return [Row(whole, started_s, time.monotonic())]
    rows: list[Row[R]] = []
    for item in items:
        alone = _attempt(call, [item], bucket)
        rows.append(Row(alone if isinstance(alone, Exception) else alone[0], started_s, time.monotonic()))
    return rows


def _thread_ended(end: BaseException) -> RuntimeError:
    error = RuntimeError("the model's thread has ended")
    error.__cause__ = end
    return error


def _attempt(call: Call[T, R], items: Sequence[T], bucket: int) -> Sequence[R] | Exception:
    try:
        results = call(items, bucket)
    except Exception as error:  # the edge of the batch: whatever the runtime raises belongs to its items
        return error
    if len(results) != len(items):
        return ValueError(f"the model gave {len(results)} results for {len(items)} items")
    return results


def _post(loop: asyncio.AbstractEventLoop, future: asyncio.Future[R], outcome: R | Exception) -> None:
    """Settles `future` on its loop, from any thread."""

    def settle() -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    with suppress(RuntimeError):  # the loop was closed while the model still computed: nobody waits any more
        loop.call_soon_threadsafe(settle)
