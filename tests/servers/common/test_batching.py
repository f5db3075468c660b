"""The batcher on a real loop with real threads: every item gets exactly one outcome, its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.common.batching import Answer, Batcher, BatchWindow, CloseReason, ThreadWorker
from servers.common.errors import DeadlineExceeded, Draining, InferenceFailed, Overloaded

WINDOW = BatchWindow(buckets=(1, 2, 4), window_ms=20, idle_gap_ms=10)


class Model:
    """Doubles numbers, refuses negative ones; `gate` holds it back, `batches` is what it saw."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[list[int]] = []
        self.buckets: list[int] = []

    def __call__(self, items: Sequence[int], bucket: int) -> list[int]:
        self.batches.append(list(items))
        self.buckets.append(bucket)
        self.entered.set()
        assert self.gate.wait(20)
        if min(items) < 0:
            raise ArithmeticError("a negative number")
        return [2 * item for item in items]


@asynccontextmanager
async def running(
    *models: Callable[[Sequence[int], int], Sequence[int]],
    window: BatchWindow = WINDOW,
    queue_limit: int = 100,
    deadline_s: float = 20.0,
) -> AsyncIterator[Batcher[int, int]]:
    def worker(model: Callable[[Sequence[int], int], Sequence[int]]) -> ThreadWorker[int, int]:
        return ThreadWorker(lambda: model)

    workers = [worker(model) for model in models]
    batcher = Batcher(workers, window, queue_limit=queue_limit, deadline_s=deadline_s)
    await batcher.start()
    try:
        yield batcher
    finally:
        await batcher.close()


async def occupy(batcher: Batcher[int, int], model: Model, item: int = 100) -> asyncio.Future[Answer[int]]:
    """Makes the only worker busy with `item` until the gate opens."""
    model.gate.clear()
    model.entered.clear()
    future = batcher.submit(item)
    assert await asyncio.to_thread(model.entered.wait, 10)
    return future


async def test_items_that_come_together_share_a_batch() -> None:
    model = Model()
    async with running(model) as batcher:
        answers = await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3)))

    assert [answer.value for answer in answers] == [2, 4, 6]
    assert model.batches == [[1, 2, 3]]
    assert {(answer.batch_size, answer.bucket, answer.reason) for answer in answers} == {(3, 4, CloseReason.GAP)}
    assert model.buckets == [4]


async def test_a_full_bucket_does_not_wait() -> None:
    patient = BatchWindow(buckets=(1, 2), window_ms=60_000, idle_gap_ms=0)
    async with running(Model(), window=patient) as batcher, asyncio.timeout(10):
        answers = await asyncio.gather(*(batcher.submit(item) for item in range(4)))

    assert {answer.reason for answer in answers} == {CloseReason.FULL}


async def test_stamps_are_in_order_and_from_one_clock() -> None:
    async with running(Model()) as batcher:
        answer = await batcher.submit(1)

    assert answer.queued_s <= answer.started_s <= answer.ended_s
    assert answer.queue_s >= 0.009
    assert answer.inference_s >= 0


async def test_what_waits_when_a_worker_becomes_free_goes_together() -> None:
    model, no_wait = Model(), BatchWindow(buckets=(4,), window_ms=0, idle_gap_ms=0)
    async with running(model, window=no_wait) as batcher:
        first = await occupy(batcher, model)
        others = [batcher.submit(item) for item in (1, 2, 3)]
        model.gate.set()
        await asyncio.gather(first, *others)

    assert model.batches == [[100], [1, 2, 3]]


async def test_free_workers_share_what_waits() -> None:
    one, other = Model(), Model()
    patient = BatchWindow(buckets=(4,), window_ms=60_000, idle_gap_ms=0)
    async with running(one, other, window=patient) as batcher:
        await asyncio.gather(*(batcher.submit(item) for item in range(4)))

    assert sorted(map(len, one.batches + other.batches)) == [2, 2]
    assert one.batches and other.batches


async def test_a_bad_row_harms_nobody() -> None:
    model = Model()
    async with running(model) as batcher:
        outcomes = await asyncio.gather(*(batcher.submit(item) for item in (1, -2, 3)), return_exceptions=True)

    assert isinstance(outcomes[0], Answer)
    assert isinstance(outcomes[2], Answer)
    assert (outcomes[0].value, outcomes[2].value) == (2, 6)
    assert isinstance(outcomes[1], InferenceFailed)
    assert isinstance(outcomes[1].__cause__, ArithmeticError)
    assert model.batches == [[1, -2, 3], [1], [-2], [3]]
    assert (batcher.counts.answered, batcher.counts.failed) == (2, 1)


async def test_a_wrong_number_of_results_is_a_failure_not_a_mix_up() -> None:
    async with running(lambda items, bucket: [0] * (len(items) + 1)) as batcher:
        with pytest.raises(InferenceFailed):
            await batcher.submit(1)


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    model = Model()
    async with running(model, queue_limit=2) as batcher:
        running_items = [await occupy(batcher, model), batcher.submit(1), batcher.submit(2)]
        with pytest.raises(Overloaded) as refusal:
            batcher.submit(3)
        model.gate.set()
        await asyncio.gather(*running_items)

    assert refusal.value.limit == 2
    assert int(refusal.value.headers()["Retry-After"]) >= 1
    assert batcher.counts.rejected == 1
    assert [3] not in model.batches


async def test_a_hopeless_wait_is_refused_before_the_queue_is_full() -> None:
    model = Model()
    async with running(model, window=BatchWindow(buckets=(1,), window_ms=0, idle_gap_ms=0)) as batcher:
        measured = await occupy(batcher, model)
        await asyncio.sleep(0.1)
        model.gate.set()
        await measured
        waiting = [await occupy(batcher, model), batcher.submit(1, deadline_s=20)]

        with pytest.raises(Overloaded):
            batcher.submit(2, deadline_s=0.05)
        model.gate.set()
        await asyncio.gather(*waiting)


async def test_an_idle_server_takes_even_what_may_come_late() -> None:
    model = Model()
    async with running(model, window=BatchWindow(buckets=(1,), window_ms=0, idle_gap_ms=0)) as batcher:
        slow = await occupy(batcher, model)
        await asyncio.sleep(0.1)
        model.gate.set()
        await slow

        assert (await batcher.submit(4, deadline_s=0.09)).value == 8


async def test_an_expired_item_is_answered_in_time_and_never_computed() -> None:
    model = Model()
    async with running(model) as batcher:
        first = await occupy(batcher, model)
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(1, deadline_s=0.02)
        assert batcher.depth == 0
        model.gate.set()
        await first

    assert model.batches == [[100]]
    assert batcher.counts.expired == 1


async def test_a_running_item_expires_too() -> None:
    model = Model()
    async with running(model, deadline_s=0.05) as batcher:
        with pytest.raises(DeadlineExceeded):
            await (await occupy(batcher, model))
        model.gate.set()


async def test_a_cancelled_item_gives_its_place_back_and_is_never_computed() -> None:
    model = Model()
    async with running(model, queue_limit=1) as batcher:
        first = await occupy(batcher, model)
        batcher.submit(1).cancel()
        await asyncio.sleep(0)
        second = batcher.submit(2)
        model.gate.set()
        await asyncio.gather(first, second)

    assert model.batches == [[100], [2]]
    assert batcher.counts.cancelled == 1


async def test_an_item_is_never_written_out() -> None:
    written: list[int] = []

    class Slow(int):
        def __repr__(self) -> str:
            written.append(self)
            return ""

    async with running(Model()) as batcher:
        assert (await batcher.submit(Slow(4))).value == 8
        batcher.submit(Slow(5)).cancel()
        assert (await batcher.submit(Slow(6))).value == 12
    assert written == []


async def test_closing_finishes_what_was_accepted() -> None:
    model = Model()
    async with running(model) as batcher:
        accepted = [await occupy(batcher, model), *(batcher.submit(item) for item in range(6))]
        closing = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(Draining):
            batcher.submit(7)
        model.gate.set()
        await closing

    assert [future.result().value for future in accepted] == [200, 0, 2, 4, 6, 8, 10]


async def test_closing_does_not_wait_for_ever() -> None:
    model = Model()
    async with running(model) as batcher:
        stuck = [await occupy(batcher, model), batcher.submit(1)]
        await batcher.close(timeout_s=0.05)
        model.gate.set()

    for future in stuck:
        with pytest.raises(Draining):
            future.result()


async def test_a_model_that_cannot_be_built_fails_the_start() -> None:
    def build() -> Model:
        raise FileNotFoundError("no weights")

    batcher = Batcher([ThreadWorker(build)], WINDOW, queue_limit=1, deadline_s=1)

    with pytest.raises(FileNotFoundError, match="no weights"):
        await batcher.start()


async def test_a_model_lives_in_one_thread() -> None:
    threads: list[str] = []

    def build() -> Callable[[Sequence[int], int], list[int]]:
        threads.append(threading.current_thread().name)

        def call(items: Sequence[int], bucket: int) -> list[int]:
            threads.append(threading.current_thread().name)
            return list(items)

        return call

    batcher = Batcher([ThreadWorker(build, name="mine")], WINDOW, queue_limit=9, deadline_s=9)
    await batcher.start()
    await batcher.submit(1)
    await batcher.close()

    assert threads == ["mine", "mine"]


steps = st.lists(st.tuples(st.integers(-1, 9), st.sampled_from(["wait", "cancel", "late"]), st.booleans()), max_size=40)


@settings(max_examples=25, deadline=None)
@given(steps, st.integers(1, 3), st.integers(1, 8))
def test_every_item_gets_one_outcome_and_it_is_its_own(
    steps: list[tuple[int, str, bool]], workers: int, queue_limit: int
) -> None:
    async def main() -> None:
        window = BatchWindow(buckets=(1, 3), window_ms=2, idle_gap_ms=1)
        async with running(*(Model() for _ in range(workers)), window=window, queue_limit=queue_limit) as it:
            asked: list[tuple[int, asyncio.Future[Answer[int]]]] = []
            refused = 0
            for item, fate, pause in steps:
                try:
                    future = it.submit(item, deadline_s=0.0005 if fate == "late" else 20)
                except Overloaded:
                    refused += 1
                    continue
                asked.append((item, future))
                if pause:
                    await asyncio.sleep(0.001)
                if fate == "cancel":
                    future.cancel()
            outcomes = await asyncio.gather(*(future for _, future in asked), return_exceptions=True)
            counts = it.counts

        for (item, _), outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, Answer):
                assert outcome.value == 2 * item >= 0
            elif isinstance(outcome, InferenceFailed):
                assert item < 0
        assert counts.rejected == refused
        assert it.depth == 0
        settled = counts.answered + counts.failed + counts.expired + counts.cancelled
        assert settled == len(asked)
        assert sum(size * count for size, count in counts.batch_sizes.items()) <= len(asked)

    asyncio.run(main())


async def test_while_one_is_on_its_way_a_pause_closes_no_window() -> None:
    model, short_gap = Model(), BatchWindow(buckets=(1, 2, 4), window_ms=10_000, idle_gap_ms=1)
    async with running(model, window=short_gap) as batcher:
        with batcher.announced():
            first = batcher.submit(1)
            await asyncio.sleep(0.02)
            assert model.batches == []
            second = batcher.submit(2)
        answers = await asyncio.gather(first, second)

    assert (model.batches, answers[0].reason) == ([[1, 2]], CloseReason.GAP)


async def test_an_announced_item_that_never_comes_holds_nobody_beyond_the_cap() -> None:
    model, window = Model(), BatchWindow(buckets=(1, 2), window_ms=20, idle_gap_ms=1)
    async with running(model, window=window) as batcher:
        with batcher.announced():
            answer = await batcher.submit(1)

    assert answer.reason is CloseReason.CAP


async def test_a_trickling_body_counts_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servers.common.batching.COMING_FOR_S", 0.02)
    model, window = Model(), BatchWindow(buckets=(1, 2), window_ms=10_000, idle_gap_ms=1)
    async with running(model, window=window) as batcher:
        with batcher.announced():
            answer = await batcher.submit(1)

    assert answer.reason is CloseReason.GAP
