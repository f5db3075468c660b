"""The batcher itself in virtual time: which window is worth what. Deterministic, no thread, no waiting.

Model: T(n) = 8.27 + 1.83 n ms; a client comes back 0.6 ms + exp(0.4 ms) after its answer. The expected numbers
come from an independent simulation of the same model.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import statistics
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from servers.common.batching import Batcher, BatchWindow, Row

FIXED = BatchWindow(buckets=(1, 2, 4, 6), window_ms=5, idle_gap_ms=0)
NO_WINDOW = BatchWindow(buckets=(1, 2, 4, 6), window_ms=0, idle_gap_ms=0)
GAP = BatchWindow(buckets=(1, 2, 4, 6), window_ms=5, idle_gap_ms=1)
RUN_S = 30.0


def service_s(size: int) -> float:
    return (8.27 + 1.83 * size) / 1000


class VirtualTime(selectors.DefaultSelector):
    """Instead of waiting for `timeout` it moves the clock."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everything waits for something that never comes"
        self.now_s += max(timeout, 0.0)
        return super().select(0)


def run_virtually(main: Coroutine[Any, Any, None]) -> None:
    virtual = VirtualTime()
    loop = asyncio.SelectorEventLoop(virtual)
    loop.time = lambda: virtual.now_s  # type: ignore[method-assign]
    try:
        loop.run_until_complete(main)
    finally:
        loop.close()


class TimedWorker:
    """A model that takes T(n) of virtual time."""

    async def start(self) -> None: ...

    def stop(self) -> None: ...

    async def run(self, items: Sequence[int], bucket: int) -> list[Row[int]]:
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await asyncio.sleep(service_s(len(items)))
        return [Row(item, started_s, loop.time()) for item in items]


@dataclass(frozen=True)
class Outcome:
    rps: float
    p50_ms: float


def simulate(
    window: BatchWindow, *, clients: int = 0, rate_hz: float = 0.0, workers: int = 1, seed: int = 1
) -> Outcome:
    """`clients` in a closed loop, or Poisson arrivals at `rate_hz`, for RUN_S of virtual time."""
    latencies_s: list[float] = []
    rng = random.Random(seed)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        batcher = Batcher[int, int](
            [TimedWorker() for _ in range(workers)], window, queue_limit=10_000, deadline_s=60, clock=loop.time
        )
        await batcher.start()

        async def ask() -> None:
            sent_s = loop.time()
            await batcher.submit(1)
            latencies_s.append(loop.time() - sent_s)

        async def client() -> None:
            await asyncio.sleep(rng.uniform(0, 0.02))
            while loop.time() < RUN_S:
                await ask()
                await asyncio.sleep(0.0006 + rng.expovariate(1 / 0.0004))

        async def arrivals() -> None:
            async with asyncio.TaskGroup() as group:
                while loop.time() < RUN_S:
                    group.create_task(ask())
                    await asyncio.sleep(rng.expovariate(rate_hz))

        await asyncio.gather(*(client() for _ in range(clients)), *([arrivals()] if rate_hz else []))
        await batcher.close()

    run_virtually(main())
    return Outcome(len(latencies_s) / RUN_S, statistics.median(latencies_s) * 1000)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("window", "clients", "rps", "p50_ms"),
    [
        (FIXED, 1, 62, 15.1),
        (FIXED, 4, 188, 20.4),
        (FIXED, 6, 288, 19.7),
        (FIXED, 16, 312, 56),
        (NO_WINDOW, 1, 90, 10.1),
        (NO_WINDOW, 4, 168, 23.0),
        (NO_WINDOW, 6, 218, 26.6),
        (NO_WINDOW, 16, 312, 56),
        (GAP, 1, 83, 11.1),
        (GAP, 4, 220, 16.8),
        (GAP, 6, 286, 19.7),
        (GAP, 16, 312, 56),
    ],
)
def test_closed_loop(window: BatchWindow, clients: int, rps: float, p50_ms: float) -> None:
    outcome = simulate(window, clients=clients)

    assert outcome.rps == pytest.approx(rps, rel=0.03)
    assert outcome.p50_ms == pytest.approx(p50_ms, rel=0.03)


@pytest.mark.parametrize(
    ("window", "rate_hz", "p50_ms"),
    [(NO_WINDOW, 50, 10.1), (NO_WINDOW, 220, 22.9), (GAP, 50, 11.6), (GAP, 220, 24.3)],
)
def test_open_arrivals(window: BatchWindow, rate_hz: float, p50_ms: float) -> None:
    assert simulate(window, rate_hz=rate_hz).p50_ms == pytest.approx(p50_ms, rel=0.05)


@pytest.mark.slow
def test_the_gap_is_worth_its_place() -> None:
    alone, four, sixteen = (simulate(GAP, clients=clients) for clients in (1, 4, 16))

    assert alone.p50_ms <= 1.25 * service_s(1) * 1000
    assert four.rps >= 1.10 * simulate(FIXED, clients=4).rps
    assert sixteen.rps == pytest.approx(simulate(FIXED, clients=16).rps, rel=0.03)


def test_a_second_worker_is_used() -> None:
    one, two = (simulate(GAP, clients=16, workers=workers) for workers in (1, 2))

    assert two.rps > 1.6 * one.rps
