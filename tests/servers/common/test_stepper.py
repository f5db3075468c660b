"""The stepper on a real loop with a real model thread: what is stepped together, when, and what if it fails."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from servers.common.batch_worker import Row, ThreadWorker
from servers.common.errors import Overloaded
from servers.common.interfaces import Audio, Frame
from servers.common.slots import Slot, SlotPool, Step
from servers.common.stepper import ILL_AFTER, Stepper

FIRST, NEXT, FLUSH = 6, 5, 4
POISON, DEADLY = -1.0, -2.0
TICK_S = 0.02


class Ears:
    """Adds up each slot's samples, weighed by where they stand; `gate` holds it back, `steps` is what it saw."""

    def __init__(self) -> None:
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.steps: list[list[Frame]] = []
        self._sums: dict[int, tuple[int, float]] = {}

    def __call__(self, frames: Sequence[Frame], bucket: int) -> list[float]:
        self.steps.append(list(frames))
        self.entered.set()
        assert self.gate.wait(20)
        marks = {float(mark) for frame in frames for mark in frame.samples if mark < 0}
        if DEADLY in marks:
            raise SystemExit
        if POISON in marks:
            raise ArithmeticError("a bad row")
        return [self._hear(frame) for frame in frames]

    def _hear(self, frame: Frame) -> float:
        count, total = (0, 0.0) if frame.first else self._sums[frame.slot]
        for sample in frame.samples.tolist():
            count += 1
            total += count * sample
        self._sums[frame.slot] = (count, total)
        return total


class Stream:
    """Takes a seat and keeps what it is told."""

    def __init__(self, pool: SlotPool[float]) -> None:
        self.steps: list[Step[float]] = []
        self.ended = asyncio.Event()
        self.slot: Slot[float] = pool.take(self._take)

    def _take(self, step: Step[float]) -> None:
        self.steps.append(step)
        if step.last or isinstance(step.result, Exception):
            self.ended.set()

    def say(self, *values: float) -> None:
        self.slot.append(np.array(values, np.float32), at_s=time.monotonic())

    @property
    def results(self) -> list[float | Exception]:
        return [step.result for step in self.steps]


@asynccontextmanager
async def running(
    ears: Ears, *, seats: int = 4, max_batch: int = 4, step_s: float = TICK_S
) -> AsyncIterator[tuple[SlotPool[float], Stepper[float]]]:
    worker: ThreadWorker[Frame, float] = ThreadWorker(lambda: ears)
    await worker.start()
    pool: SlotPool[float] = SlotPool(seats, first_samples=FIRST, next_samples=NEXT, flush_samples=FLUSH)
    stepper = Stepper(pool, worker, step_s=step_s, max_batch=max_batch)
    stepper.start()
    try:
        yield pool, stepper
    finally:
        ears.gate.set()
        await stepper.close()


async def until(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.001)


async def test_streams_that_have_a_frame_share_a_step() -> None:
    ears = Ears()
    async with running(ears) as (pool, _):
        streams = [Stream(pool) for _ in range(3)]
        for stream in streams:
            stream.say(*[1.0] * FIRST)
        await until(lambda: all(stream.steps for stream in streams))
    assert [len(step) for step in ears.steps] == [3]
    assert {step.batch_size for stream in streams for step in stream.steps} == {3}


async def test_less_than_a_frame_is_not_stepped() -> None:
    ears = Ears()
    async with running(ears) as (pool, _):
        Stream(pool).say(*[1.0] * (FIRST - 1))
        await asyncio.sleep(3 * TICK_S)
    assert ears.steps == []


async def test_a_backlog_does_not_wait_for_the_tick() -> None:
    ears = Ears()
    async with running(ears, step_s=0.2) as (pool, _):
        stream = Stream(pool)
        stream.say(*[1.0] * (FIRST + 20 * NEXT))
        await until(lambda: len(stream.steps) == 21)
        took_s = stream.steps[-1].ended_s - stream.steps[0].started_s
    assert took_s < 20 * 0.2 / 2


async def test_what_a_client_waits_for_does_not_wait_for_the_tick() -> None:
    ears = Ears()
    async with running(ears, step_s=30.0) as (pool, stepper):
        stream = Stream(pool)
        stream.say(1.0)
        stream.slot.end(at_s=time.monotonic())
        stepper.hurry()
        await asyncio.wait_for(stream.ended.wait(), 10)
    assert stream.results == [1.0]


async def test_a_full_batch_leaves_the_rest_to_the_next_step() -> None:
    ears = Ears()
    async with running(ears, seats=5, max_batch=2) as (pool, _):
        streams = [Stream(pool) for _ in range(5)]
        for stream in streams:
            stream.say(*[1.0] * FIRST)
            await asyncio.sleep(0)
        await until(lambda: all(stream.steps for stream in streams))
    assert [[frame.slot for frame in step] for step in ears.steps] == [[0, 1], [2, 3], [4]]


async def test_nothing_to_do_wakes_nobody() -> None:
    async with running(Ears(), step_s=0.001) as (_, stepper):
        await asyncio.sleep(0.05)
        assert stepper._timer is None
        assert stepper.counts.steps == 0


@pytest.mark.slow
async def test_looks_keep_to_absolute_ticks() -> None:
    ears, looks = Ears(), []
    async with running(ears, step_s=0.05) as (pool, stepper):
        stream = Stream(pool)
        stream.say(1.0)
        for _ in range(10):
            await asyncio.sleep(0.06)
            stream.say(*[1.0] * NEXT)
            await until(lambda: pool.due == 0)
        looks = [(step.started_s - stepper._started_s) % 0.05 for step in stream.steps]
    assert sum(late_s < 0.02 or late_s > 0.049 for late_s in looks) >= 8  # a busy machine may be late now and then


async def test_a_flush_is_told_by_the_step_that_completes_it() -> None:
    ears = Ears()
    async with running(ears) as (pool, _):
        stream = Stream(pool)
        stream.say(*[1.0] * (FIRST - 1))
        number = stream.slot.flush(at_s=time.monotonic())
        await until(lambda: stream.slot.flushed == number)
    assert [step.flush for step in stream.steps] == [0, number]


async def test_a_bad_row_ends_only_its_own_stream() -> None:
    ears = Ears()
    async with running(ears) as (pool, stepper):
        streams = [Stream(pool) for _ in range(3)]
        for value, stream in zip((1.0, POISON, 1.0), streams, strict=True):
            stream.say(*[value] * (FIRST + NEXT))
        await until(lambda: len(streams[0].steps) == len(streams[2].steps) == 2)
        assert stepper.healthy
    assert [type(result) for result in streams[1].results] == [ArithmeticError]
    assert streams[0].results == streams[2].results == [21.0, 66.0]


async def test_a_model_that_fails_on_everything_is_ill_until_it_hears_again() -> None:
    async with running(Ears()) as (pool, stepper):
        for _ in range(ILL_AFTER):
            assert stepper.healthy
            stream = Stream(pool)
            stream.say(*[POISON] * FIRST)
            await asyncio.wait_for(stream.ended.wait(), 10)
            stream.slot.leave()
        assert not stepper.healthy
        stream = Stream(pool)
        stream.say(*[1.0] * FIRST)
        await until(lambda: stream.steps)
        assert stepper.healthy


async def test_a_lost_worker_ends_every_stream() -> None:
    async with running(Ears()) as (pool, stepper):
        streams = [Stream(pool) for _ in range(3)]
        streams[0].say(*[DEADLY] * FIRST)
        streams[1].say(1.0)
        await asyncio.gather(*(asyncio.wait_for(stream.ended.wait(), 10) for stream in streams))
        assert not stepper.healthy
        assert isinstance(stepper.failure, RuntimeError)
        for stream in streams:
            assert [type(result) for result in stream.results] == [RuntimeError]
            stream.slot.leave()
        assert pool.free == pool.seats


async def test_a_lost_thread_says_so_to_who_comes_later() -> None:
    def die(items: Sequence[int], bucket: int) -> list[int]:
        raise SystemExit

    worker: ThreadWorker[int, int] = ThreadWorker(lambda: die)
    await worker.start()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="thread has ended"):
            await asyncio.wait_for(worker.run([1], 1), 10)


async def test_an_owner_that_fails_does_not_end_the_others() -> None:
    async with running(Ears()) as (pool, _):
        stream, told = Stream(pool), []

        def stumble(step: Step[float]) -> None:
            told.append(type(step.result))
            raise LookupError("a mistake in the session")

        pool.take(stumble).append(np.ones(FIRST, np.float32), at_s=0.0)
        stream.say(*[1.0] * (FIRST + NEXT))
        await until(lambda: len(stream.steps) == 2)
    assert told == [float, LookupError]


async def test_a_mistake_of_the_stepper_ends_every_stream() -> None:
    ears = Ears()
    async with running(ears) as (pool, stepper):
        stepper._on_step = lambda seconds, rows: [][rows]
        stream = Stream(pool)
        stream.say(*[1.0] * FIRST)
        await asyncio.wait_for(stream.ended.wait(), 10)
        assert isinstance(stepper.failure, IndexError)
        assert not stepper.healthy


async def test_who_left_hears_nothing_and_its_seat_waits_for_the_step() -> None:
    ears = Ears()
    async with running(ears, seats=1) as (pool, _):
        stream = Stream(pool)
        ears.gate.clear()
        stream.say(*[1.0] * (FIRST + NEXT))
        assert await asyncio.to_thread(ears.entered.wait, 10)
        stream.slot.leave()
        with pytest.raises(Overloaded):
            Stream(pool)
        ears.gate.set()
        await until(lambda: pool.free == 1)
    assert (stream.steps, len(ears.steps)) == ([], 1)


async def test_the_loop_turns_while_the_model_computes() -> None:
    ears = Ears()
    async with running(ears) as (pool, _):
        ears.gate.clear()
        Stream(pool).say(*[1.0] * FIRST)
        assert await asyncio.to_thread(ears.entered.wait, 10)
        turns = 0
        for _ in range(1000):
            await asyncio.sleep(0)
            turns += 1
    assert turns == 1000


class Broken:
    """A worker that is gone."""

    async def start(self) -> None:
        """Nothing to start."""

    async def run(self, items: Sequence[Frame], bucket: int) -> list[Row[float]]:
        raise ConnectionError("no worker")

    def stop(self) -> None:
        """Nothing to stop."""


async def test_a_worker_of_another_kind_may_be_lost_too() -> None:
    pool: SlotPool[float] = SlotPool(1, first_samples=FIRST, next_samples=NEXT, flush_samples=FLUSH)
    stepper = Stepper(pool, Broken(), step_s=TICK_S, max_batch=1)
    stepper.start()
    stream = Stream(pool)
    stream.say(*[1.0] * FIRST)
    await asyncio.wait_for(stream.ended.wait(), 10)
    assert isinstance(stepper.failure, ConnectionError)
    await stepper.close()


def alone(audio: Audio) -> float:
    """What a stream with this audio must add up to."""
    return float(sum((at + 1) * value for at, value in enumerate(audio.tolist())))


@pytest.mark.parametrize("seed", range(32))
async def test_sixteen_streams_hear_what_each_would_hear_alone(seed: int) -> None:
    """Starts, stalls, leaves and seats used again: 16 streams on 9 seats, at most 4 in a step."""
    chance = random.Random(seed)
    ears = Ears()
    async with running(ears, seats=9, max_batch=4, step_s=0.001) as (pool, stepper):

        async def speak() -> None:
            await asyncio.sleep(chance.random() * 0.02)
            await until(lambda: pool.free)
            stream = Stream(pool)
            audio = np.array([chance.randint(1, 9) for _ in range(chance.randint(0, 60))], np.float32)
            leaves_early = chance.random() < 0.2
            position = 0
            while position < len(audio) and not (leaves_early and position > 20):
                size = chance.randint(1, 14)
                stream.slot.append(audio[position : position + size], at_s=time.monotonic())
                position += size
                await asyncio.sleep(chance.choice((0, 0, 0.001, 0.004)))
            if not leaves_early and stream.slot.end(at_s=time.monotonic()):
                stepper.hurry()
                await asyncio.wait_for(stream.ended.wait(), 10)
                assert stream.results[-1] == alone(audio)
            stream.slot.leave()

        await asyncio.gather(*(speak() for _ in range(16)))
        await until(lambda: pool.free == 9)
    assert all(len({frame.slot for frame in step}) == len(step) <= 4 for step in ears.steps)
