"""The pacer is never early, keeps the order of time, and survives what is called by it."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from yapbench.errors import UsageError
from yapbench.pacing.timer import Pacer

MS = 1_000_000


async def test_coroutines_are_never_woken_early_and_in_order() -> None:
    pacer, woken, early = Pacer(), list[int](), list[int]()
    start_ns = time.monotonic_ns()

    async def wait(offset_ns: int) -> None:
        await pacer.until(start_ns + offset_ns)
        early.append(start_ns + offset_ns - time.monotonic_ns())
        woken.append(offset_ns)

    offsets = [30 * MS, 10 * MS, 10 * MS + 300_000, -5, 20 * MS]
    await asyncio.gather(*(wait(offset) for offset in offsets))
    pacer.close()
    assert max(early) <= 0
    assert woken == sorted(offsets)


async def test_someone_who_stopped_waiting_does_not_hold_the_others_up() -> None:
    pacer = Pacer()
    soon_ns = time.monotonic_ns() + 20 * MS
    waiting = asyncio.create_task(pacer.until(soon_ns))
    await asyncio.sleep(0)
    waiting.cancel()
    async with asyncio.timeout(10):
        await pacer.until(soon_ns + 5 * MS)
    pacer.close()
    assert waiting.cancelled()


async def test_a_callback_says_itself_when_it_comes_next() -> None:
    pacer, start_ns, calls, done = Pacer(), time.monotonic_ns(), list[int](), asyncio.Event()

    def call(now_ns: int) -> int | None:
        due_ns = start_ns + (len(calls) + 1) * 2 * MS
        calls.append(min(now_ns, time.monotonic_ns()) - due_ns)
        if len(calls) == 20:
            done.set()
            return None
        return due_ns + 2 * MS

    pacer.at(start_ns + 2 * MS, call)
    async with asyncio.timeout(10):
        await done.wait()
    pacer.close()
    assert min(calls) >= 0
    assert len(calls) == 20


async def test_what_is_due_at_one_waking_runs_in_the_order_of_time() -> None:
    pacer, seen, done = Pacer(), list[str](), asyncio.Event()
    now_ns = time.monotonic_ns()

    def say(word: str) -> None:
        pacer.at(now_ns + {"b": 2, "a": 1, "c": 3}[word] * MS, lambda _: seen.append(word))

    for word in "cab":
        say(word)
    pacer.at(now_ns + 4 * MS, lambda _: done.set())
    time.sleep(0.01)  # noqa: ASYNC251  (the loop is held up on purpose)
    async with asyncio.timeout(10):
        await done.wait()
    pacer.close()
    assert seen == ["a", "b", "c"]


async def test_a_callback_may_ask_for_more_and_for_an_earlier_time() -> None:
    pacer, seen, done = Pacer(), list[str](), asyncio.Event()
    now_ns = time.monotonic_ns()

    def first(_: int) -> None:
        pacer.at(now_ns + 2 * MS, lambda _: seen.append("second"))

    pacer.at(now_ns + 30 * MS, lambda _: done.set())
    pacer.at(now_ns + MS, first)
    async with asyncio.timeout(10):
        await done.wait()
    pacer.close()
    assert seen == ["second"]


async def test_a_callback_that_breaks_does_not_stop_the_clock() -> None:
    pacer, done, told = Pacer(), asyncio.Event(), list[str]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context.get("exception"))))

    def breaks(_: int) -> None:
        raise ZeroDivisionError("on purpose")

    now_ns = time.monotonic_ns()
    pacer.at(now_ns, breaks)
    pacer.at(now_ns, lambda _: done.set())
    async with asyncio.timeout(10):
        await done.wait()
    pacer.close()
    assert told == ["on purpose"]


async def test_without_a_timerfd_frames_cannot_be_paced_but_coroutines_wake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    pacer, due_ns = Pacer(), time.monotonic_ns() + 5 * MS
    with pytest.raises(UsageError, match="use Linux"):
        pacer.at(due_ns, lambda _: None)
    await pacer.until(due_ns)
    assert time.monotonic_ns() >= due_ns
    pacer.close()
