"""The swap to compiled functions while requests run, and a real compiler's work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from servers.common.batching import Batcher, BatchWindow, ThreadWorker
from servers.common.interfaces import Audio
from servers.smart_turn.model_v2 import Run, SmartTurnV2
from servers.smart_turn.model_v2_load import load_network
from servers.smart_turn.swap import BatchShape
from tests.env.torch.reference import speech

CPU = torch.device("cpu")
MARK = 2.0
"""Added to each probability by the "compiled" functions: tells whose answer it is."""


async def test_a_swap_under_load_fails_nobody_and_mixes_no_batch(checkpoint: Path) -> None:
    network, next_shape = load_network(checkpoint), threading.Semaphore(0)

    def compile_run(shape: BatchShape) -> Run:
        assert next_shape.acquire(timeout=60)

        def run(waves: Tensor, counts: Tensor) -> Tensor:
            return MARK + network(waves, counts)

        return run

    buckets = (1, 2, 4)
    detector = SmartTurnV2(
        network, device=CPU, dtype=torch.float32, batch_buckets=buckets, split_lengths=False, compile_run=compile_run
    )
    clips = [speech(seed, 0.5 + seed / 2) for seed in range(8)]
    expected = [detector.predict([clip])[0] for clip in clips]
    batches: list[list[float]] = []

    def predict(items: Sequence[Audio], bucket: int) -> list[float]:
        batches.append(detector.predict(items))
        return batches[-1]

    workers = [ThreadWorker(lambda: predict, name=f"model-{number}") for number in range(2)]
    window = BatchWindow(buckets=buckets, window_ms=5, idle_gap_ms=1)
    batcher: Batcher[Audio, float] = Batcher(workers, window, queue_limit=100, deadline_s=60)
    await batcher.start()
    detector.swap.start()

    async def ask(client: int) -> list[float]:
        answers = []
        for turn in range(24):
            answers.append((await batcher.submit(clips[(client + turn) % len(clips)])).value)
            next_shape.release()
        return answers

    answers = await asyncio.gather(*(ask(client) for client in range(8)))
    await batcher.close()

    assert detector.swap.status()["compiled_ready"]
    marked = [[value >= MARK for value in batch] for batch in batches]
    assert all(len(set(batch)) == 1 for batch in marked)
    assert {True, False} == {batch[0] for batch in marked}  # both have answered
    assert batcher.counts.failed == 0
    for client, given in enumerate(answers):
        wanted = [expected[(client + turn) % len(clips)] for turn in range(24)]
        assert [value % MARK for value in given] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default::DeprecationWarning")  # the compiler's own, about PyTorch
def test_what_the_compiler_made_gives_the_same(checkpoint: Path) -> None:
    detector = SmartTurnV2(
        load_network(checkpoint), device=CPU, dtype=torch.float32, batch_buckets=(2,), max_secs=1, torch_compile=True
    )
    clips = [speech(1, 0.4), speech(2, 1.0)]
    eager = detector.predict(clips)
    detector.swap.start()

    assert detector.swap.wait(500)
    facts = detector.swap.status()
    assert (facts["compile"]["error"], facts["compiled_ready"]) == (None, True)
    assert set(detector.swap.record.compiled) == {(2, 16_080)}
    assert detector.predict(clips) == pytest.approx(eager, abs=1e-5)
    assert detector.predict(clips[:1]) == pytest.approx(eager[:1], abs=1e-5)  # padded to the compiled shape
