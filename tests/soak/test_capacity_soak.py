"""The search against a queue whose capacity follows from its numbers alone: real server, real sockets, real time."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from pathlib import Path

import numpy as np
import pytest

from yapbench.capacity.results import CapacityResults
from yapbench.pacing.schedule import order
from yapbench.runner import Run
from yapbench.trial import Trial

WORKERS, SERVICE_S, SLO_MS, FRAME_S = 8, 0.25, 500.0, 0.08
ASKED = {
    "client": "echo_pcm",
    "workers": WORKERS,
    "service_ms": 1e3 * SERVICE_S,
    "slo_ms": SLO_MS,
    "start": 4,
    "most": 256,
    "duration_s": 8.0,
    "most_probes": 10,
    "seed": 1,
}


def p95_ms(streams: int, speech_ends_s: list[float], *, utterances: int = 40_000) -> float:
    """End of speech to final of so many users in a closed loop before the queue, in virtual time.

    The end message leaves with the frame that holds the end of speech; the next utterance is dialled (5 ms) and begins
    anywhere within a frame.
    """
    draw, free = random.Random(1), [0.0] * WORKERS
    said = itertools.cycle(order(len(speech_ends_s), seed=1, repeat=0))  # as the load generator sends them

    def ends(after_s: float) -> tuple[float, float]:
        speech_s = speech_ends_s[next(said)]
        sent_s = math.ceil(speech_s / FRAME_S) * FRAME_S
        return after_s + 0.005 + draw.random() * FRAME_S + sent_s, sent_s - speech_s

    waiting = [ends(draw.random() * 3) for _ in range(streams)]
    heapq.heapify(waiting)
    found: list[float] = []
    while len(found) < utterances:
        at_s, late_s = heapq.heappop(waiting)
        final_s = max(free[0], at_s) + SERVICE_S
        heapq.heapreplace(free, final_s)
        found.append(final_s - at_s + late_s)
        heapq.heappush(waiting, ends(final_s))
    return float(1e3 * np.quantile(found[utterances // 10 :], 0.95))


def known_capacity(trial: Trial) -> float:
    """Where the p95 crosses the target, between two neighbouring numbers of streams."""
    speech_ends_s = [utterance.speech_end_s for utterance in trial.corpus if utterance.speech_end_s is not None]
    assert len(speech_ends_s) == len(trial.corpus)
    low, high = 1, 256
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if p95_ms(middle, speech_ends_s) <= SLO_MS else (low, middle)
    below, above = (p95_ms(level, speech_ends_s) for level in (low, high))
    return low + (SLO_MS - below) / (above - below)


@pytest.mark.soak
def test_a_known_capacity_is_found_within_5_percent(tmp_path: Path) -> None:
    run = Run.from_parameters("echo", "80_capacity", {**ASKED, "out_dir": str(tmp_path / "trial")})
    with run:
        run.start()
        run.measure()
    found, truth = CapacityResults(run.data()).answer, known_capacity(run.trial)

    assert found.estimate == pytest.approx(truth, rel=0.05), (found.verdict, found.low, found.high, truth)
    assert run.data().info["duration_s"] <= 240
